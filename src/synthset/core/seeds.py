"""Seeds for everything random, each derived from the run's seed and what it is for."""

from __future__ import annotations

import hashlib

MAX_SEED = 2**63  # torch generators and int64 columns take 0 .. 2^63 - 1


def derive_seed(*parts: str | int) -> int:
    """A seed from a sequence of names and numbers: the first 63 bits of their SHA-256.

    >>> derive_seed(64, "cat", "base", 0) == derive_seed(64, "cat", "base", 0) != derive_seed(65, "cat", "base", 0)
    True
    """
    digest = hashlib.sha256("\x1f".join(map(repr, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % MAX_SEED
