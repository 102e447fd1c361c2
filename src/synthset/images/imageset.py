"""Labelled images from anywhere, seen one way: what the trainer, the evaluator and the exports read.

An `ImageSet` holds no pixels, only how to read them; `tensor()` decodes all of them once, in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from synthset.core.errors import DataError
from synthset.images.decoding import decode, resize

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)  # arrays have no one answer to ==, so a set equals only itself
class ImageSet:
    """n labelled images with the names of their k classes.

    Attributes:
        name: how to speak of the set in tables and errors.
        class_names: the k names, in label order.
        labels: int64 (n,), each in 0..k-1.
        read: gives the encoded bytes (PNG, JPEG or WebP) of image i, 0 ≤ i < n.
        groups: one free word an image (its strategy, where it has one), or empty.
        origin: says where image i lies (a file, a row), for errors; None where there is nothing to say.
        metric: what the field scores the set by, accuracy or mean_per_class.
    Raises:
        DataError: labels outside 0..k-1, or groups that are not one an image.
    """

    name: str
    class_names: tuple[str, ...]
    labels: np.ndarray
    read: Callable[[int], bytes]
    groups: tuple[str, ...] = ()
    origin: Callable[[int], str] | None = None
    metric: str = "accuracy"

    def __post_init__(self) -> None:
        k = len(self.class_names)
        if len(self) and not (self.labels.min() >= 0 and self.labels.max() < k):
            raise DataError(
                f"Expected labels 0..{k - 1} for the {k} classes of '{self.name}', "
                f"got {self.labels.min()}..{self.labels.max()}."
            )
        if self.groups and len(self.groups) != len(self):
            raise DataError(f"Expected {len(self)} groups, one an image of '{self.name}', got {len(self.groups)}.")

    def __len__(self) -> int:
        return len(self.labels)

    def place(self, index: int) -> str:
        """How to speak of image `index` in an error: the set, the row, and the file where it is known."""
        where = f" ({self.origin(index)})" if self.origin else ""
        return f"Image {index} of '{self.name}'{where}"

    def image(self, index: int) -> Image.Image:
        """Image `index` in RGB at its own size. Raises DataError, naming the set and row, if unreadable."""
        try:
            return decode(self.read(index))
        except DataError as error:
            raise DataError(f"{self.place(index)}: {error}") from error

    def tensor(self, size_px: int, antialias: bool = True, out: np.ndarray | None = None) -> Tensor:
        """All images decoded and resized: uint8 (n, 3, size_px, size_px), in `out` where it is given."""
        import torch

        pixels = np.empty((len(self), 3, size_px, size_px), np.uint8) if out is None else out

        def one(index: int) -> None:
            pixels[index] = np.asarray(resize(self.image(index), size_px, antialias)).transpose(2, 0, 1)  # HWC -> CHW

        with ThreadPoolExecutor() as pool:
            for _ in pool.map(one, range(len(self))):
                pass
        return torch.from_numpy(pixels)

    def select(self, indices: Sequence[int] | np.ndarray) -> ImageSet:
        """The images at `indices` (or where a mask of n booleans is true), in that order."""
        chosen = np.asarray(indices)
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        origin = self.origin
        return replace(
            self,
            labels=self.labels[chosen],
            read=lambda i: self.read(int(chosen[i])),
            groups=tuple(self.groups[i] for i in chosen) if self.groups else (),
            origin=(lambda i: origin(int(chosen[i]))) if origin else None,
        )
