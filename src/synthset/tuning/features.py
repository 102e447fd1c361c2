"""Images as tuning reads them: vectors, computed once, or pixels, where each epoch encodes them anew.

Both are arrays of n rows, in memory where they are small and else in a file without a name, which the system takes
away with the process: 1.28 million vectors of 1,024 dimensions are 5 GB on disk, and only the rows of a step are read.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthset.core.errors import DataError, UsageError
from synthset.core.progress import track
from synthset.encoders.clip import Encoder, OpenClipEncoder
from synthset.encoders.embed import EmbeddingCache, embed_images
from synthset.images.imageset import ImageSet
from synthset.images.sketch import hash_files

IN_MEMORY_BYTES = 1 << 30  # more than this goes to disk
BLOCK = 65_536  # vectors computed, hashed or compared at once: 256 MB at 1,024 dimensions


@dataclass(frozen=True, eq=False)
class Features:
    """Unit vectors, float32 (n, d), of the n images of a set; in memory or a np.memmap."""

    images: ImageSet
    vectors: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """int64 (n,), each in 0..k-1."""
        return np.asarray(self.images.labels, np.int64)

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def file_hashes(self) -> np.ndarray:
        """See `hash_files`."""
        return hash_files(self.images)

    def read(self, rows: np.ndarray) -> Tensor:
        """The vectors of `rows`, float32 (m, d), in memory."""
        return read_rows(self.vectors, rows)

    def fingerprint(self) -> str:
        """A hash of classes, labels and vectors: what tuning depends on."""
        digest = hashlib.blake2b(json.dumps(self.images.class_names).encode(), digest_size=16)
        digest.update(np.asarray(self.labels, "<i8").tobytes())
        for start in range(0, len(self), BLOCK):
            digest.update(self.vectors[start : start + BLOCK].tobytes())
        return digest.hexdigest()


def compute_features(
    images: ImageSet,
    encoder: Encoder,
    cache: EmbeddingCache | None = None,
    *,
    in_memory_bytes: int = IN_MEMORY_BYTES,
    folder: Path | None = None,
    block: int = BLOCK,
) -> Features:
    """The vectors of all images, from the cache or computed now.

    Args:
        in_memory_bytes: vectors that are larger in all are kept in a file.
        folder: where that file is; by default where the cache is, which is made for as much.
        block: images embedded at once, where there is a file.
    Raises:
        DataError, ModelError: as embed_images.
    """
    shape = (len(images), encoder.dimension)
    if 4 * shape[0] * shape[1] <= in_memory_bytes:
        vectors = embed_images(images, encoder, cache).numpy()
    else:
        vectors = _scratch(shape, np.float32, folder or (cache.folder if cache else None))
        for start in range(0, len(images), block):
            rows = np.arange(start, min(start + block, len(images)))
            vectors[rows] = embed_images(images.select(rows), encoder, cache).numpy()
    return Features(images, vectors)


def read_rows(array: np.ndarray, rows: np.ndarray) -> Tensor:
    """Rows of an array that may lie on disk, in memory."""
    return torch.from_numpy(np.ascontiguousarray(array[rows]))


def compute_pixels(
    images: ImageSet, encoder: Encoder, *, in_memory_bytes: int = IN_MEMORY_BYTES, folder: Path | None = None
) -> np.ndarray:
    """All images as the encoder takes them, resized and cropped, before they are normalised.

    Args:
        in_memory_bytes, folder: as for `compute_features`.
    Returns:
        uint8 (n, 3, h, w), in memory or a np.memmap.
    Raises:
        DataError: images that cannot be read, which are named; no image.
        UsageError: an encoder that open_clip did not build.
    """
    if not len(images):
        raise DataError(f"Expected images in '{images.name}', found none.")
    clip = open_clip_encoder(encoder)
    mean, std = normalisation(clip.model)

    def one(row: int) -> np.ndarray:
        prepared = clip.prepare(images.image(row))  # chw, (x / 255 - mean) / std of some uint8 x
        return (prepared * std + mean).mul(255).round().clamp(0, 255).to(torch.uint8).numpy()

    shape = (len(images), *one(0).shape)
    on_disk = int(np.prod(shape)) > in_memory_bytes
    pixels = _scratch(shape, np.uint8, folder) if on_disk else np.empty(shape, np.uint8)
    with track(len(images), f"reading {images.name}") as progress:

        def read(row: int) -> None:
            pixels[row] = one(row)
            progress.advance()

        images.for_each(read)
    return pixels


def open_clip_encoder(encoder: Encoder) -> OpenClipEncoder:
    """The encoder, whose model can be reached. Raises UsageError for another kind."""
    if not isinstance(encoder, OpenClipEncoder):
        raise UsageError(f"Expected an encoder that open_clip built, to encode in each epoch, got '{encoder.name}'.")
    return encoder


def normalisation(model: Any) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the channels, each (3, 1, 1), that a model of open_clip takes away."""
    from open_clip import get_model_preprocess_cfg

    described = get_model_preprocess_cfg(model)
    mean, std = (torch.tensor(described[name], dtype=torch.float32).view(3, 1, 1) for name in ("mean", "std"))
    return mean, std


def _scratch(shape: tuple[int, ...], dtype: type, folder: Path | None) -> np.memmap:
    """An array in a file that has no name, or loses it at the end: nothing is left behind, even by a kill."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:  # the mapping keeps it alive
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        size = np.prod(shape) * np.dtype(dtype).itemsize / 2**30
        raise DataError(
            f"Expected room for {size:.1f} GB in '{folder or tempfile.gettempdir()}', got: {error.strerror or error}. "
            "Set SYNTHSET_CACHE to a larger disk."
        ) from error
