"""Interpolation: which real images an image is conditioned on, and how much of each.

    real images of a class ─▶ three of them, or all ─▶ weights ─▶ the mixture of their embeddings, in the generator

An image is drawn from a point in the convex hull of its class's embeddings. The weights are uniform on the simplex,
which is Dirichlet(1, …, 1): exponential variates divided by their sum (Devroye 1986, chapter XI.4). Of sixty images
such points crowd about the mean; of three they spread, which is the finding of Shipard et al. 2023, section 4.2.2.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from synthset.core.errors import UsageError, setting
from synthset.core.seeds import derive_seed

Count = int | Literal["all"]

MAX_MIXED = 1000  # images of a class: 8 KB a request; a mixture of more would hardly be anything but their mean


class Pools:
    """The real images of each class that mixtures are drawn from.

    Args:
        class_names: the k classes.
        images: of each class, names of its images; what is there twice counts once.
        counts: by the name of a strategy, how many images each of its own mixes.
    Raises:
        UsageError: no images, a class with fewer than a strategy mixes, or with more than MAX_MIXED to be mixed.
    """

    def __init__(
        self, class_names: Sequence[str], images: Sequence[Sequence[str]], counts: Mapping[str, Count]
    ) -> None:
        if not images:
            raise UsageError(
                f"Expected real images for {' and '.join(counts)}, got none. Give {setting('initial_images')}, "
                f"e.g. {setting('initial_images', 'digits')} {setting('shots', 60)}."
            )
        pools = [list(dict.fromkeys(names)) for names in images]
        for strategy, count in counts.items():
            for name, pool in zip(class_names, pools, strict=True):
                _check(strategy, name, len(pool), count)
        self._names = list(dict.fromkeys(name for pool in pools for name in pool))
        places = {name: place for place, name in enumerate(self._names)}
        self._pools = [[places[name] for name in pool] for pool in pools]

    def draw(self, labels: Sequence[int], counts: Sequence[Count], seeds: Sequence[int]) -> tuple[pa.Array, pa.Array]:
        """What some images are conditioned on.

        Args:
            labels, counts, seeds: of each image its class, how many real images it mixes (0 for none), and its seed.
        Returns:
            The names and the weights, an Arrow list of each for each image.
        """
        places, uniform, lengths = list[int](), list[float](), list[int]()
        for label, count, seed in zip(labels, counts, seeds, strict=True):
            chosen = list[int]()
            if count:
                rng = random.Random(derive_seed(seed, "condition"))
                chosen = self._pools[label] if count == "all" else rng.sample(self._pools[label], count)
                uniform += [rng.random() for _ in chosen]
            places += chosen
            lengths.append(len(chosen))
        offsets = pa.array(np.cumsum([0, *lengths]), pa.int32())
        names = pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(self._names, pa.string()))
        weights = _on_simplex(np.array(uniform), np.array(lengths))
        return pa.ListArray.from_arrays(offsets, names), pa.ListArray.from_arrays(offsets, pa.array(weights))


def _on_simplex(uniform: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Weights, float32, that are at least 0 and add up to 1 over each run of `lengths`; `uniform` in [0, 1)."""
    exponential = -np.log1p(-uniform)
    runs = lengths[lengths > 0]
    sums = np.add.reduceat(exponential, np.cumsum(runs) - runs) if len(runs) else np.empty(0)
    return (exponential / np.repeat(sums, runs)).astype(np.float32)


def _check(strategy: str, class_name: str, available: int, count: Count) -> None:
    wanted = 1 if count == "all" else count
    if available < wanted:
        raise UsageError(
            f"Expected at least {wanted} different real images of each class for {strategy}, got {available} of "
            f"'{class_name}'. Give more {setting('initial_images')}, or more {setting('shots')} of them."
        )
    if count == "all" and available > MAX_MIXED:
        raise UsageError(
            f"Expected at most {MAX_MIXED:,} real images of a class for {strategy}, got {available:,} of "
            f"'{class_name}'. Give {setting('shots')}, e.g. {setting('shots', 60)}."
        )
