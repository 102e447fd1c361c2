"""Labelled images from anywhere, seen one way: what the trainer, the evaluator and the exports read.

An `ImageSet` holds no pixels, only how to read them; `tensor()` decodes all of them once, in parallel.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from synthset.core.errors import DataError
from synthset.core.names import shown
from synthset.images.decoding import decode, resize

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("synthset")
Result = TypeVar("Result")

# which drawing an image is: the id of its request, and what it was drawn from
IDENTITY = ("id", "prompt", "guidance_scale", "seed")
MAX_NAMED = 20  # unreadable images that an error names
BLOCK_BYTES, BLOCK_IMAGES = 2**28, 4096  # that are decoded at once, at most


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
        identity: all that says which drawing image i is, see IDENTITY; None where nothing is known.
        metric: what the field scores the set by, accuracy or mean_per_class.
        kind: of images: "real"; "synthetic" where Synthset drew them, "exported" where it wrote them into folders.
        split: which part of a set with several they are, as it is called there; empty where there are none.
        together: neighbours that are read at once, where one of them is: who goes through all images in another order
            reads the least by staying among so many for a while.
    Raises:
        DataError: labels outside 0..k-1, groups that are not one an image, or names that no file can hold.
    """

    name: str
    class_names: tuple[str, ...]
    labels: np.ndarray
    read: Callable[[int], bytes]
    groups: tuple[str, ...] = ()
    origin: Callable[[int], str] | None = None
    identity: Callable[[int], Mapping[str, Any]] | None = None
    metric: str = "accuracy"
    kind: str = "real"
    split: str = ""
    together: int = 1

    def __post_init__(self) -> None:
        k = len(self.class_names)
        if other := [name for name in self.class_names if shown(name) != name]:  # half of a character
            raise DataError(f"Expected class names in Unicode in '{self.name}', got '{shown(other[0])}'. Rename it.")
        if len(self) and not (self.labels.min() >= 0 and self.labels.max() < k):
            raise DataError(
                f"Expected labels 0..{k - 1} for the {k} classes of '{self.name}', "
                f"got {self.labels.min()}..{self.labels.max()}."
            )
        if self.groups and len(self.groups) != len(self):
            raise DataError(f"Expected {len(self)} groups, one an image of '{self.name}', got {len(self.groups)}.")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def summary(self) -> str:
        """What it is, in one line."""
        part = f", split {self.split}" if self.split else ""
        return f"'{self.name}'{part}: {len(self):,} images of {len(self.class_names):,} classes"

    def place(self, index: int) -> str:
        """How to speak of image `index` in an error: the set, the row, and the file where it is known."""
        where = f" ({self.origin(index)})" if self.origin else ""
        return f"Image {index} of '{self.name}'{where}"

    def identity_of(self, index: int) -> dict[str, Any]:
        """Which drawing, or which file, image `index` is: IDENTITY, None for what is not known."""
        known = self.identity(index) if self.identity else {}
        return {name: known.get(name) for name in IDENTITY} | {"file": self.origin(index) if self.origin else None}

    def image(self, index: int) -> Image.Image:
        """Image `index` in RGB at its own size. Raises DataError, naming the set and row, if unreadable."""
        try:
            return decode(self.read(index))
        except (DataError, OSError) as error:
            raise DataError(f"{self.place(index)}: {error}") from error

    def tensor(self, size_px: int, antialias: bool = True, out: np.ndarray | None = None) -> Tensor:
        """All images decoded and resized: uint8 (n, 3, size_px, size_px), in `out` where it is given.

        Raises:
            UnreadableImagesError: some do not decode; all of them are named.
        """
        import torch

        pixels = np.empty((len(self), 3, size_px, size_px), np.uint8) if out is None else out
        if reasons := self._decode(pixels, antialias):
            raise _unreadable(self, reasons)
        return torch.from_numpy(pixels)

    def _decode(self, pixels: np.ndarray, antialias: bool, start: int = 0) -> dict[int, str]:
        """Decode and resize n images from `start` on into uint8 (n, 3, h, h); gives reasons by row, where they fail."""

        def one(index: int) -> None:
            image = resize(self.image(index), pixels.shape[-1], antialias)
            pixels[index - start] = np.asarray(image).transpose(2, 0, 1)  # HWC -> CHW

        return self._reasons(one, range(start, start + len(pixels)))

    def blocks(self, size_px: int, antialias: bool = True) -> Iterator[tuple[slice, Tensor]]:
        """As `tensor`, some images at a time, so that memory holds any number of them: their rows, and they.

        Raises:
            UnreadableImagesError: after the last block; those that do not decode are black.
        """
        import torch

        reasons: dict[int, str] = {}
        size = max(1, min(BLOCK_IMAGES, BLOCK_BYTES // (3 * size_px**2)))
        for start in range(0, len(self), size):
            pixels = np.zeros((min(size, len(self) - start), 3, size_px, size_px), np.uint8)
            reasons |= self._decode(pixels, antialias, start)
            yield slice(start, start + len(pixels)), torch.from_numpy(pixels)
        if reasons:
            raise _unreadable(self, reasons)

    def check(self) -> None:
        """Decode all images. Raises UnreadableImagesError, which names all that do not."""
        self.for_each(self.image)

    def for_each(self, work: Callable[[int], Any]) -> None:
        """Do `work` for each index, in parallel. Raises UnreadableImagesError for all those that raised DataError."""
        if reasons := self._reasons(work, range(len(self))):
            raise _unreadable(self, reasons)

    def _reasons(self, work: Callable[[int], Any], rows: Sequence[int]) -> dict[int, str]:
        """Do `work` for each of the rows, in parallel; gives the words of those that raised DataError."""

        def reason(index: int) -> str | None:
            try:
                work(index)
            except DataError as error:
                return str(error)
            return None

        with ThreadPoolExecutor() as pool:
            return {row: text for row, text in zip(rows, pool.map(reason, rows), strict=True) if text is not None}

    def select(self, indices: Sequence[int] | np.ndarray) -> ImageSet:
        """The images at `indices` (or where a mask of n booleans is true), in that order."""
        chosen = np.asarray(indices)
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        origin, identity = self.origin, self.identity
        return replace(
            self,
            labels=self.labels[chosen],
            read=lambda i: self.read(int(chosen[i])),
            groups=tuple(self.groups[i] for i in chosen) if self.groups else (),
            origin=(lambda i: origin(int(chosen[i]))) if origin else None,
            identity=(lambda i: identity(int(chosen[i]))) if identity else None,
        )


class UnreadableImagesError(DataError):
    """Images of a set that do not decode: `rows` of them, all named in one line."""

    def __init__(self, message: str, rows: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


def of_readable(
    images: ImageSet, work: Callable[[ImageSet], Result], *, strict: bool = False
) -> tuple[ImageSet, Result]:
    """The images that can be read, and what `work` makes of them; the others are left out, with a warning.

    Raises:
        DataError: no images; or unreadable ones, if `strict` or if there are no others.
    """
    if len(images) == 0:
        raise DataError(f"Expected images in '{images.name}', found none.")
    try:
        return images, work(images)
    except UnreadableImagesError as error:
        if strict or len(error.rows) == len(images):
            raise
        log.warning("%s They are left out.", error)
        readable = images.select(np.setdiff1d(np.arange(len(images)), error.rows))
        return readable, work(readable)


def readable(images: ImageSet, *, strict: bool = False) -> ImageSet:
    """The images that can be decoded, which all are for this; the others are left out, with a warning.

    Raises:
        DataError: as `of_readable`.
    """
    return of_readable(images, ImageSet.check, strict=strict)[0]


def _unreadable(images: ImageSet, reasons: Mapping[int, str]) -> UnreadableImagesError:
    """The error that names the images, by row and reason."""
    if len(reasons) == 1:
        return UnreadableImagesError(next(iter(reasons.values())), list(reasons))
    shown = [_in_brief(images, row, reason) for row, reason in list(reasons.items())[:MAX_NAMED]]
    more = f" and {len(reasons) - MAX_NAMED:,} more" if len(reasons) > MAX_NAMED else ""
    message = (
        f"{len(reasons):,} of the {len(images):,} images of '{images.name}' cannot be read: {'; '.join(shown)}{more}"
    )
    return UnreadableImagesError(f"{message}. Mend them, or take them away.", list(reasons))


def _in_brief(images: ImageSet, row: int, reason: str) -> str:
    """An image and what it is: "cat/3.jpg: a GIF"."""
    where = images.origin(row) if images.origin else f"image {row}"
    return f"{where}: {reason.rpartition(', got ')[2].rstrip('.')}"
