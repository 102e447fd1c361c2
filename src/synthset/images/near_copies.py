"""Near copies by perceptual hash: images that look alike at a glance, whatever their size, format and brightness."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from synthset.core.progress import track
from synthset.images.imageset import ImageSet

if TYPE_CHECKING:
    from torch import Tensor

HASH_BITS = 64
HASH_DISTANCE = 4  # bits in which the hashes of near copies differ at most
_BLOCK, _OTHER_BLOCK = 1024, 4096  # that are compared at once: 16 MB


def perceptual_hashes(images: ImageSet) -> Tensor:
    """The 64-bit perceptual hash of each image, as -1 and 1: float32 (n, 64).

    Two hashes differ in (64 - their product) / 2 bits, so a matrix product compares all with all. A bit says whether
    one of the 8 × 8 lowest frequencies is above their median, in grey at 32 × 32 pixels: the same as ImageHash gives.
    """
    import torch
    from scipy.fft import dct

    bits = np.empty((len(images), HASH_BITS), np.float32)

    def hash_one(index: int) -> None:
        grey = np.asarray(images.image(index).convert("L").resize((32, 32), Image.Resampling.LANCZOS))
        lowest = np.asarray(dct(dct(grey, axis=0), axis=1))[:8, :8].reshape(-1)
        bits[index] = np.where(lowest > np.median(lowest), 1, -1)

    with track(len(images), f"hashing {images.name}") as bar, ThreadPoolExecutor() as pool:
        for _ in pool.map(hash_one, range(len(images))):
            bar.advance()
    return torch.from_numpy(bits)


def near_pairs(hashes: Tensor, hash_distance: int = HASH_DISTANCE) -> np.ndarray:
    """Pairs of images whose hashes differ in few bits, int64 (p, 2): all such pairs follow from them by chains.

    Of images with one and the same hash, each is paired with the first alone: there may be thousands.

    Args:
        hashes: (n, 64) of -1 and 1.
        hash_distance: the most bits in which the hashes of a pair differ.
    """
    bits = np.packbits(hashes.numpy() > 0, axis=1).view(np.uint64)[:, 0]
    _, first, inverse = np.unique(bits, return_index=True, return_inverse=True)
    alike = np.stack([first[inverse], np.arange(len(bits))], 1)
    found, distinct = [alike[alike[:, 0] != alike[:, 1]]], hashes[first]
    for start in range(0, len(distinct), _BLOCK):
        for other in range(start, len(distinct), _OTHER_BLOCK):
            products = (distinct[start : start + _BLOCK] @ distinct[other : other + _OTHER_BLOCK].T).numpy()
            one, two = np.nonzero(products >= HASH_BITS - 2 * hash_distance)
            pairs = np.stack([one + start, two + other], 1)
            found.append(first[pairs[pairs[:, 0] < pairs[:, 1]]])
    return np.concatenate(found)
