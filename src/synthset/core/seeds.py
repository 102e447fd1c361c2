"""Seeds for everything random, each derived from the run's seed and what it is for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

MAX_SEED = 2**63  # torch generators and int64 columns take 0 .. 2^63 - 1


def derive_seed(*parts: str | int) -> int:
    """A seed from a sequence of names and numbers: the first 63 bits of their SHA-256.

    >>> derive_seed(64, "cat", "base", 0) == derive_seed(64, "cat", "base", 0) != derive_seed(65, "cat", "base", 0)
    True
    """
    digest = hashlib.sha256("\x1f".join(map(repr, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % MAX_SEED


@dataclass(frozen=True)
class ImageSeeds:
    """The seeds of a run's images.

    Attributes:
        run: the seed of the whole run.
        shared_noise: whether images of one number have one noise, whatever their class and strategy.
    """

    run: int
    shared_noise: bool = False

    def own(self, class_name: str, strategy: str, index: int) -> int:
        """The seed of one image alone: all that it draws beside its noise follows from it.

        Args:
            index: number of the image within its class and strategy.
        """
        return derive_seed(self.run, class_name, strategy, index)

    def of_noise(self, class_name: str, strategy: str, index: int) -> int:
        """The seed of an image's noise.

        >>> seeds = ImageSeeds(64, shared_noise=True)
        >>> seeds.of_noise("cat", "base", 3) == seeds.of_noise("dog", "multi_domain", 3) != seeds.own("cat", "base", 3)
        True
        """
        return derive_seed(self.run, "noise", index) if self.shared_noise else self.own(class_name, strategy, index)
