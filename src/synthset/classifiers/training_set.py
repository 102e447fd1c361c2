"""Images that a training learns from: decoded, in two sets of rows, with a fingerprint and channel statistics.

Images are decoded once, into memory or, where they would take too much of it, into a file that is mapped. Either way
they are one tensor, so that nothing else in a training depends on which it is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import psutil
import torch
from torch import Tensor

from synthset.classifiers.distributed import World
from synthset.core.errors import DataError, some
from synthset.core.files import PART
from synthset.core.seeds import derive_seed
from synthset.images.decoding import read_size
from synthset.images.imageset import ImageSet

log = logging.getLogger("synthset")

LARGEST_SIZE_PX = 224  # of images whose size nobody chose: the architectures were made for it
MAX_LOOKED_AT = 2000  # images whose sizes decide on that of the model
FAR = 4


@dataclass(frozen=True)
class TrainingSet:
    """All images in one uint8 tensor (n, 3, size, size), their labels (n,), and the two sets of rows.

    Attributes:
        targets: float32 (n, k): probabilities that are learned in place of the labels; None for the labels.
    """

    pixels: Tensor
    labels: Tensor
    training_rows: Tensor
    held_back_rows: Tensor
    targets: Tensor | None = None

    def to(self, device: torch.device) -> TrainingSet:
        """Everything on the GPU where half of its free memory holds it; else batches are sent one by one."""
        if device.type != "cuda" or self.pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
            return self
        targets = None if self.targets is None else self.targets.to(device)
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device), targets=targets)

    def read(self, rows: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Images, uint8 (len(rows), 3, size, size), and their targets or labels, on `device`."""
        rows = rows.to(self.pixels.device)
        # a row is one piece of memory: twice as fast as self.pixels[rows]
        learned = self.labels if self.targets is None else self.targets
        return self.pixels.index_select(0, rows).to(device), learned[rows].to(device)


@contextmanager
def decoded(
    images: ImageSet, size_px: int, antialias: bool, folder: Path, world: World, memory_bytes: int | None = None
) -> Iterator[Tensor]:
    """All images, uint8 (n, 3, size_px, size_px), for the time of the block.

    Args:
        folder: of the training; the file lies there, or above it, for the time of the block at most. The file of a
            single process has no name, so that a kill leaves nothing; that of several goes with the next start.
        memory_bytes: more than that in all goes into the file; half of what is free by default.
    Raises:
        DataError: an unreadable image.
    """
    shape = (len(images), 3, size_px, size_px)
    num_bytes = int(np.prod(shape))
    if memory_bytes is None:
        memory_bytes = world.from_first(lambda: psutil.virtual_memory().available) // 2
    start = time.monotonic()
    if num_bytes * world.size <= memory_bytes:
        pixels = images.tensor(size_px, antialias)
        log.debug("decoding %d images into memory took %.1f s", len(images), time.monotonic() - start)
        yield pixels
        return
    with _open_shared(folder, num_bytes, world) if world.size > 1 else _open_unnamed(folder, num_bytes) as file:
        pixels = np.memmap(file, np.uint8, "r+", shape=shape)
        if world.is_first:
            images.tensor(size_px, antialias, out=pixels)
        world.wait()
        log.debug("decoding %d images into a file took %.1f s", len(images), time.monotonic() - start)
        yield torch.from_numpy(pixels)


def check_images(images: ImageSet, validation_fraction: float) -> None:
    """Raise DataError unless there are two classes, each with an image to train on, and one to hold back if need be."""
    if len(images.class_names) < 2:
        raise DataError(f"Expected at least two classes in '{images.name}', got {len(images.class_names)}.")
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    least, what = (2, "two images") if validation_fraction else (1, "one image")
    why = ", one to train on and one to hold back" if validation_fraction else ""
    few = [f"{images.class_names[i]} ({counts[i]})" for i in np.flatnonzero(counts < least)]
    if few:
        raise DataError(
            f"Expected at least {what} of each class in '{images.name}'{why}, got fewer of {some(few, 10)}. Create "
            "more images."
        )


@dataclass(frozen=True)
class Sides:
    """Longer sides of the images of a set.

    Attributes:
        median_px: of those that were looked at.
        far: places and sizes of the images with FAR times as long a side, or a FARth of it.
        looked_at: number of images whose sizes were read.
    """

    median_px: int
    far: tuple[str, ...]
    looked_at: int

    @property
    def size_px(self) -> int:
        """Side of the images that a model sees, where nobody chose one."""
        return min(LARGEST_SIZE_PX, self.median_px)


def read_sides(images: ImageSet) -> Sides:
    """The longer sides of up to MAX_LOOKED_AT images, taken evenly; files say their sizes before their pixels.

    Raises:
        DataError: no images, or none of these that can be read.
    """
    if not len(images):
        raise DataError(f"Expected images in '{images.name}', found none. Run 'synthset create' first.")
    rows = np.linspace(0, len(images) - 1, min(len(images), MAX_LOOKED_AT)).round().astype(int).tolist()
    sizes: dict[int, tuple[int, int]] = {}
    for row in rows:
        with suppress(DataError, OSError):  # training names all that cannot be read
            sizes[row] = read_size(images.read(row))
    if not sizes:
        images.image(rows[0])
        raise DataError(f"Expected images in '{images.name}', found none that can be read.")
    median = int(np.median([max(size) for size in sizes.values()]))
    far = [row for row, size in sizes.items() if not median < FAR * max(size) < FAR**2 * median]
    named = tuple(
        f"{images.origin(i) if images.origin else f'image {i}'} ({'×'.join(map(str, sizes[i]))})" for i in far
    )
    return Sides(median, named, len(sizes))


def hold_back(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into training and held-back ones, class by class, at random from `seed`.

    Of each class `fraction`, at least one image and not all, is held back; of a fraction of 0 none is.
    Returns:
        Two sorted, disjoint int64 arrays that cover 0..n-1.
    """
    if not fraction:
        return np.arange(len(labels)), np.empty(0, np.int64)
    generator = np.random.default_rng(derive_seed(seed, "hold back"))
    held_back = []
    for rows in _rows_by_class(labels):
        count = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        held_back.append(generator.permutation(rows)[:count])
    rows = np.sort(np.concatenate(held_back))
    return np.setdiff1d(np.arange(len(labels)), rows), rows


def _rows_by_class(labels: np.ndarray) -> list[np.ndarray]:
    """The rows of each class that has any, ascending."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def fingerprint(images: ImageSet) -> str:
    """A hash of class names, labels and encoded images, in order: what a training depends on."""
    digest = hashlib.blake2b(json.dumps(images.class_names).encode(), digest_size=16)
    digest.update(np.asarray(images.labels, "<i8").tobytes())
    for index in range(len(images)):
        digest.update(hashlib.blake2b(images.read(index), digest_size=16).digest())
    return digest.hexdigest()


def channel_statistics(pixels: Tensor, rows: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over the images `rows` of uint8 (n, 3, h, w), in [0, 1]."""
    counts = np.zeros((3, 256), np.int64)  # histograms are exact and need little memory
    for start in range(0, len(rows), 1024):
        chunk = pixels[torch.from_numpy(rows[start : start + 1024])]
        for channel in range(3):
            counts[channel] += np.bincount(chunk[:, channel].flatten().numpy(), minlength=256)
    levels = np.arange(256) / 255
    shares = counts / counts.sum(1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0)).clip(1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())


def split_batches(rows: Tensor, batch_size: int) -> list[Tensor]:
    """Consecutive batches; a last one of a single image joins the one before, as BatchNorm needs two."""
    batches = list(rows.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1 and batch_size > 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


@contextmanager
def _open_unnamed(folder: Path, num_bytes: int) -> Iterator[BinaryIO]:
    """A file of zeros on the disk of `folder`, which need not be there yet."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    with tempfile.TemporaryFile(dir=existing, suffix=PART) as file:
        file.truncate(num_bytes)
        yield file


@contextmanager
def _open_shared(folder: Path, num_bytes: int, world: World) -> Iterator[BinaryIO]:
    """The same file for all processes; deleted at the end, and the folder with it if nothing else came."""
    path = folder / f".pixels.{world.from_first(os.getpid)}{PART}"
    if world.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(num_bytes)
    world.wait()
    try:
        with path.open("r+b") as file:
            yield file
    finally:
        if world.is_first:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                folder.rmdir()
