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

from synthset.errors import DataError
from synthset.images import decode, resize

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ImageSet:
    """n labelled images with the names of their k classes.

    Attributes:
        name: how to speak of the set in tables and errors.
        class_names: the k names, in label order.
        labels: int64 (n,), each in 0..k-1.
        read: gives the encoded bytes (PNG, JPEG or WebP) of image i, 0 ≤ i < n.
        groups: one free word an image (its strategy, where it has one), or empty.
    """

    name: str
    class_names: tuple[str, ...]
    labels: np.ndarray
    read: Callable[[int], bytes]
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Image.Image:
        """Image `index` in RGB at its own size. Raises DataError, naming the set and row, if unreadable."""
        try:
            return decode(self.read(index))
        except DataError as error:
            raise DataError(f"Image {index} of '{self.name}': {error}") from error

    def tensor(self, size_px: int, antialias: bool = True) -> Tensor:
        """All images decoded and resized: uint8 (n, 3, size_px, size_px)."""
        import torch

        def one(index: int) -> np.ndarray:
            return np.asarray(resize(self.image(index), size_px, antialias))

        pixels = np.empty((len(self), size_px, size_px, 3), np.uint8)
        with ThreadPoolExecutor() as pool:
            for index, array in enumerate(pool.map(one, range(len(self)))):
                pixels[index] = array
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()  # NHWC -> NCHW

    def select(self, indices: Sequence[int] | np.ndarray) -> ImageSet:
        """The images at `indices`, in that order."""
        chosen = np.asarray(indices, np.int64)
        groups = tuple(self.groups[i] for i in chosen) if self.groups else ()
        return replace(
            self, labels=self.labels[chosen], read=lambda i: self.read(int(chosen[i])), groups=groups
        )
