"""Parts of a real set, drawn class by class: halves, and the M images of each class of few-shot training."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from synthset.core.errors import UsageError
from synthset.images.imageset import ImageSet, UnreadableImagesError

log = logging.getLogger("synthset")


def few_shot(real: ImageSet, shots: int, seed: int) -> ImageSet:
    """`shots` images of each class, drawn by `seed`, in the order of `real`.

    The draws of one seed are nested: the images of fewer shots are among those of more, so that a curve over shots
    adds images and replaces none.
    Raises:
        UsageError: no shots, or classes with fewer images, which are named.
    """
    return real.select(_draw(real, shots, seed))


def readable_shots(real: ImageSet, shots: int, seed: int, *, strict: bool = False) -> ImageSet:
    """As `few_shot`, where the next images of the draw stand in for those that do not decode, with a warning.

    Raises:
        UsageError: as few_shot.
        UnreadableImagesError: images that do not decode, if `strict`.
    """
    unreadable: list[int] = []
    while True:
        rows = _draw(real, shots, seed, unreadable)
        drawn = real.select(rows)
        try:
            drawn.check()
        except UnreadableImagesError as error:
            if strict:
                raise
            log.warning("%s Others are drawn in their place.", error)
            unreadable += rows[list(error.rows)].tolist()
        else:
            return drawn


def _draw(real: ImageSet, shots: int, seed: int, unreadable: Sequence[int] = ()) -> np.ndarray:
    """The rows of the shots, in order, without some that cannot be."""
    if shots < 1:
        raise UsageError(f"Expected at least 1 shot, got {shots}.")
    is_readable = ~np.isin(np.arange(len(real)), unreadable)
    counts = np.bincount(real.labels[is_readable], minlength=len(real.class_names))
    short = [f"{counts[label]} of '{real.class_names[label]}'" for label in np.flatnonzero(counts < shots)]
    if short:
        named = ", ".join(short[:5]) + (f" and {len(short) - 5} more classes" if len(short) > 5 else "")
        raise UsageError(
            f"Expected at least {shots} image{'' if shots == 1 else 's'} of every class of '{real.name}', got {named}. "
            "Take fewer shots, or add images."
        )
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(np.flatnonzero(real.labels == label)) for label in range(len(counts))]
    return np.sort(np.concatenate([order[is_readable[order]][:shots] for order in orders]))


def split(real: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Two disjoint parts of `real`, the first with `fraction` of each class, drawn by `seed`.

    Both keep the order of `real`. A class with at least two images is in both parts.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"Expected a fraction between 0 and 1, got {fraction}.")
    generator = np.random.default_rng(seed)
    in_first = np.zeros(len(real), bool)
    for label in range(len(real.class_names)):
        rows = generator.permutation(np.flatnonzero(real.labels == label))
        count = round(fraction * len(rows))
        if len(rows) > 1:
            count = min(max(count, 1), len(rows) - 1)
        in_first[rows[:count]] = True
    return real.select(in_first), real.select(~in_first)
