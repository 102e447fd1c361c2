"""Real images that drawing makes use of: it begins at them, noised part of the way, or is conditioned on them.

    real images ─▶ M of each class, by seed ─▶ each request takes one, in turn ─▶ encode ─▶ noise ─▶ denoise

The fewer real images there are, the more of an image is drawn anew, so that what is drawn does not only repeat
them. He et al. 2023, section 3.2 ("RG"), with the shares of the sampler's steps of their code, see STRENGTHS.

Strategies that mix images (interpolation.py) begin at pure noise, and take the same images as conditions.

Images that a classifier is tested on must not be among those that drawing makes use of, see `few_shot_pool`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from synthset.core.errors import DataError, UsageError, setting, some
from synthset.generators.base import DrawsFromImages, GeneratedImage, Generator, ImageRequest, image_conditions_of
from synthset.images.imageset import ImageSet, of_readable
from synthset.images.opening import ImagePath, ImageSource
from synthset.prompts.strategies import StrategyRun
from synthset.real import match_set, open_set
from synthset.real.few_shot import readable_shots
from synthset.real.learning import few_shot_pool, training_split
from synthset.real.matching import with_classes

STRENGTHS = {1: 0.5, 2: 0.4, 4: 0.35, 8: 0.2, 16: 0.15}  # real images a class -> share of the steps
MAX_IMAGES = 50_000  # they are held in memory
TABLE_SCHEMA = pa.schema(
    [("sha256", pa.string()), ("label", pa.int64()), ("class_name", pa.string()), ("bytes", pa.binary())]
)


@dataclass(frozen=True, eq=False)
class InitialImages:
    """The real images that the images of a dataset begin at, or are conditioned on.

    Attributes:
        hashes: of each class, the SHA-256 of its files in hexadecimal; at least one.
        files: their bytes (PNG, JPEG or WebP) by that hash.
        strength: share of the sampler's steps that a noised image passes, in (0, 1].
    """

    class_names: tuple[str, ...]
    hashes: tuple[tuple[str, ...], ...]
    files: Mapping[str, bytes] = field(repr=False)
    strength: float

    def describe(self, strategies: Sequence[StrategyRun]) -> dict[str, Any]:
        """The entry in the job; it depends on what the strategies do with the images."""
        digest = hashlib.sha256("\n".join(" ".join(names) for names in self.hashes).encode()).hexdigest()
        mixing = {strategy.name: strategy.mixed_images for strategy in strategies if strategy.mixed_images}
        return {
            **({"strength": self.strength} if len(mixing) < len(strategies) else {}),
            **({"mixed": mixing} if mixing else {}),
            "images": sum(map(len, self.hashes)),
            "hash": digest,
        }

    def table(self) -> pa.Table:
        """One row an image, see TABLE_SCHEMA, as a dataset stores them."""
        rows = [
            {"sha256": name, "label": label, "class_name": self.class_names[label], "bytes": self.files[name]}
            for label, names in enumerate(self.hashes)
            for name in names
        ]
        return pa.Table.from_pylist(rows, schema=TABLE_SCHEMA)


def choose_initial_images(
    source: ImageSource,
    class_names: Sequence[str],
    shots: int | None = None,
    seed: int = 0,
    strength: float | None = None,
) -> InitialImages:
    """Real images of `class_names` to begin at, read and checked.

    Args:
        source: a known real set, of which the images of `few_shot_pool` may be chosen; or images of one's own,
            all of which may: a path (of one with splits, the training split) or an ImageSet.
        class_names: of the dataset to be drawn; those of the images are matched to them by name.
        shots: real images of each class; None takes all.
        seed: decides which.
        strength: share of the sampler's steps; None takes that of STRENGTHS for so many real images.
    Raises:
        UsageError, UnknownNameError: other classes, fewer images than shots in a class, or no such set.
        DataError: a class without images that decode, an image that does not where the source is opened strictly, or
            too many to hold.
    """
    if isinstance(source, ImageSet):
        real, strict = source, False
    else:
        source = ImagePath.of(source)
        real, strict = _open_initial(source), source.opening.strict
    real = with_classes(real, class_names, every=True)
    _count(real)
    if (size := len(real) if shots is None else shots * len(class_names)) > MAX_IMAGES:
        raise DataError(
            f"Expected at most {MAX_IMAGES:,} initial images, got {size:,} of '{real.name}'. Give fewer "
            f"{setting('shots')}."
        )
    if shots is None:
        real, _ = of_readable(real, ImageSet.check, strict=strict)
    else:
        real = readable_shots(real, shots, seed, strict=strict)
    counts = _count(real)
    if strength is None:
        strength = strength_for(int(counts.min()))
    files = [real.read(index) for index in range(len(real))]
    names = [hashlib.sha256(file).hexdigest() for file in files]
    hashes = tuple(tuple(names[i] for i in np.flatnonzero(real.labels == k)) for k in range(len(class_names)))
    return InitialImages(tuple(class_names), hashes, dict(zip(names, files, strict=True)), strength)


def _count(real: ImageSet) -> np.ndarray:
    """The images of each class. Raises DataError for a class without any."""
    counts = np.bincount(real.labels, minlength=len(real.class_names))
    if not counts.all():
        names = [name for name, count in zip(real.class_names, counts, strict=True) if not count]
        raise DataError(f"Expected initial images of every class in '{real.name}', found none of: {some(names)}.")
    return counts


def _open_initial(source: ImagePath) -> ImageSet:
    """Images of a path or a name that may be learned from."""
    wanted = source.opening.split
    if match_set(source.path) is None:  # the user has chosen: all images of a path without splits, or any split of it
        return open_set(source if wanted else source.with_split(training_split(source)))
    if wanted not in (None, training_split(source)):
        raise UsageError(
            f"Expected the training split of '{source}' to draw from, got {setting('split', wanted)}: the others are "
            "for tests. Leave it out."
        )
    return few_shot_pool(source)


def strength_for(shots: int) -> float:
    """The strength that goes with so many real images a class: that of the nearest number in STRENGTHS.

    >>> [strength_for(shots) for shots in (1, 2, 3, 4, 6, 16, 1000)]
    [0.5, 0.4, 0.35, 0.35, 0.2, 0.15, 0.15]
    """
    return STRENGTHS[min(STRENGTHS, key=lambda listed: abs(math.log(listed / shots)))]


def with_initial_images(generator: Generator, images: InitialImages) -> Generator:
    """A generator that knows the real images that its requests name.

    Raises:
        UsageError: it cannot begin at an image.
    """
    if not isinstance(generator, DrawsFromImages):
        raise UsageError(
            f"Expected a generator that can begin at real images, got {type(generator).__name__}, which has no "
            "generate_from. Leave out the initial images."
        )
    return _WithFiles(generator, images.files)


def check_conditions(generator: Generator, strategies: Sequence[StrategyRun], negative_prompts: Sequence[str]) -> None:
    """Raises UsageError where a generator cannot draw so: by strategies with real images or without, or by text."""
    conditions = image_conditions_of(generator)
    mixing = [strategy.name for strategy in strategies if strategy.mixed_images]
    if conditions == "none" and mixing:
        raise UsageError(
            f"'{generator.config.model}' cannot be conditioned on images, as {' and '.join(mixing)} must. Name "
            "the miniature, an image-variation or unCLIP checkpoint, or load your own with image_conditions=True."
        )
    others = [strategy.name for strategy in strategies if not strategy.mixed_images]
    if conditions == "needed" and others:
        raise UsageError(
            f"'{generator.config.model}' draws from real images alone, not by {' and '.join(others)}. Give "
            f"{setting('strategies', 'interpolate_three')} or interpolate_all, and {setting('initial_images')}."
        )
    if any(negative_prompts) and not getattr(generator, "reads_text", True):
        raise UsageError(f"'{generator.config.model}' reads images and no text. Leave out the negative prompt.")


class _WithFiles:
    """A generator that can begin at images, with the files that requests name at hand."""

    def __init__(self, generator: Any, files: Mapping[str, bytes]) -> None:
        self.generator, self.files, self.config = generator, files, generator.config
        self.preferred_batch_size = getattr(generator, "preferred_batch_size", 1)
        self.text_reader = getattr(generator, "text_reader", None)

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        return self.generator.generate_from(requests, initial_images=self.files)
