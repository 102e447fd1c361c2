"""Which images a model learned from, in few numbers, so that a test can tell whether it is on those.

Of the hashes of all files the smallest are kept. Where another set has a hash below the largest of these, it is among
them or the file was not learned from: a share of the set's files tells for all, without bias (Broder 1997).
"""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from synthset.core.errors import DataError
from synthset.core.json_records import Count
from synthset.images.imageset import ImageSet

KEPT = 1024
_HASH = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Sketch:
    """The smallest hashes of the files of some images.

    Attributes:
        images: how many there were.
        hashes: ascending, in hexadecimal; all of them, where there are no more than KEPT.
    """

    images: Count
    hashes: tuple[str, ...]

    def __post_init__(self) -> None:
        if any(_HASH.fullmatch(value) is None for value in self.hashes):
            raise ValueError("'hashes' that are none")

    @staticmethod
    def of(*hashes: np.ndarray) -> Sketch:
        """From what `hash_files` gives, of one set or of several."""
        together = np.concatenate(hashes)
        return Sketch(len(together), tuple(f"{value:016x}" for value in np.unique(together)[:KEPT].tolist()))

    def share_in(self, hashes: np.ndarray) -> float:
        """The share of other files that are among these, in [0, 1]: exact or, where there are more, estimated.

        >>> files = np.arange(5000, dtype=np.uint64) * np.uint64(2**50)
        >>> Sketch.of(files[:4000]).share_in(files[:2000]), Sketch.of(files[:100]).share_in(files[50:150])
        (1.0, 0.5)
        """
        own = np.array([int(value, 16) for value in self.hashes], np.uint64)
        if self.images > KEPT and len(own):
            hashes = hashes[hashes <= own[-1]]
        return float(np.isin(hashes, own).mean()) if len(hashes) else 0.0


def hash_files(images: ImageSet) -> np.ndarray:
    """A hash of the encoded bytes of each image: uint64 (n,); 0 for what cannot be read, which others complain of."""

    def one(index: int) -> int:
        try:
            return int.from_bytes(hashlib.blake2b(images.read(index), digest_size=8).digest(), "big")
        except (DataError, OSError):
            return 0

    with ThreadPoolExecutor() as pool:
        return np.fromiter(pool.map(one, range(len(images))), np.uint64, len(images))
