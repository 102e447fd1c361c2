"""Images to pre-train on, of any number of places, as one set: with their classes, or without any."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from synthset.core.errors import DataError, UsageError
from synthset.dataset.opening import open_images
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource
from synthset.prediction.sources import find_pictures

UNLABELLED = "images"


def open_all(sources: Sequence[ImageSource], with_classes: bool) -> ImageSet:
    """The images of all places, one after another; classes of one name are one.

    Args:
        with_classes: whether their classes are learned; else images that lie in no classes will do.
    Raises:
        UsageError: no place, or a single class.
        DataError: a place without images.
    """
    if not sources:
        raise UsageError("Expected images to pre-train on, got no place. Name a dataset.")
    sets = [open_images(source) if with_classes else _open_any(source) for source in sources]
    names = tuple(dict.fromkeys(name for one in sets for name in one.class_names))
    if with_classes and len(names) < 2:
        raise DataError(f"Expected images of two classes or more in '{sets[0].name}', got {len(names)}.")
    if len(sets) == 1:
        return sets[0]
    numbers = {name: number for number, name in enumerate(names)}
    labels = [np.array([numbers[name] for name in one.class_names], np.int64)[one.labels] for one in sets]
    ends = list(accumulate(map(len, sets)))

    def place(index: int) -> tuple[ImageSet, int]:
        number = bisect_right(ends, index)
        return sets[number], index - (ends[number - 1] if number else 0)

    def read(index: int) -> bytes:
        images, row = place(index)
        return images.read(row)

    def origin(index: int) -> str:
        images, row = place(index)
        return f"{images.name}, {images.origin(row) if images.origin else f'image {row}'}"

    together = " + ".join(one.name for one in sets)
    block = max(one.together for one in sets)
    return ImageSet(together, names, np.concatenate(labels), read, origin=origin, kind=sets[0].kind, together=block)


def _open_any(source: ImageSource) -> ImageSet:
    """A set of the images of a place, whatever their classes: those that lie in none are of one."""
    try:
        return open_images(source)
    except (DataError, UsageError):
        if isinstance(source, ImageSet) or not Path(ImagePath.of(source).path).exists():
            raise
    pictures = find_pictures([ImagePath.of(source).path])
    labels = np.zeros(len(pictures), np.int64)
    return ImageSet(str(source), (UNLABELLED,), labels, pictures.read, origin=lambda index: pictures.names[index])
