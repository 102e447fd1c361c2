"""The part of a real set that may be learned from; testing never reads it."""

from __future__ import annotations

from pathlib import Path

from synthset.core.errors import UsageError
from synthset.images.imageset import ImageSet
from synthset.real import load_real, match_set, split


def few_shot_pool(real: str | Path | ImageSet, seed: int = 0) -> ImageSet:
    """The part of a real set that few-shot images may be taken from; testing never reads it.

    The training split, of a known set or a path that has one. Of anything else it is the first part of
    `real.split(set, 0.5, seed)`, so whoever tests on such a set tests on the second part, with the same seed.

    Raises:
        UsageError: a set that is for testing only, or splits of which none is for training.
        DataError: as real.load_real.
    """
    if isinstance(real, ImageSet):
        return split(real, 0.5, seed)[0]
    training = training_split(real)
    return load_real(real, training) if training else split(load_real(real), 0.5, seed)[0]


def training_split(real: str | Path) -> str | None:
    """The name of the split to learn from, or None where there are no splits.

    Raises:
        UsageError: there are splits, but none for training.
    """
    known = match_set(str(real))
    if known:
        if known.splits and not known.train_split:
            raise UsageError(
                f"Expected a real set with images to learn from, got '{known.name}', which is for testing only. Give "
                "another set of the same classes, or a path."
            )
        return known.train_split or None
    try:
        load_real(real)
    except UsageError as error:  # it holds splits, and wants to know which
        try:
            load_real(real, "train")
        except UsageError:
            raise error from None
        return "train"
    return None
