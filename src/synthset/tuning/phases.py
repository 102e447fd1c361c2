"""Sources of images, synthetic and real, and the phases in which their order lets them be learned from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synthset.core.seeds import derive_seed
from synthset.tuning.config import ORDERS, TuneConfig
from synthset.tuning.features import Features, Pixels


@dataclass(frozen=True, eq=False)
class Source:
    """One of the two kinds of images that are learned from.

    Attributes:
        kind: "synthetic" or "real".
        features: their vectors under the encoder as it was; a teacher looks at them.
        pixels: their pixels, where they are encoded anew.
        rows: int64 (m,), those that are learned from.
        batch_size: of them a step; where there are fewer, all.
        weight: of their loss.
        loss: a key of losses.LOSSES.
    """

    kind: str
    features: Features
    pixels: Pixels | None
    rows: np.ndarray
    batch_size: int
    weight: float = 1.0
    loss: str = "ce"

    @property
    def steps_per_pass(self) -> int:
        """Steps until every image was seen."""
        return -(-len(self.rows) // self.size)

    @property
    def size(self) -> int:
        """Images a step."""
        return min(self.batch_size, len(self.rows))

    def batches(self, seed: int, epoch: int) -> Iterator[np.ndarray]:
        """Batches of rows without end, every one of exactly `size`: shuffled passes, one after the other."""
        ahead = np.empty(0, np.int64)
        number = 0
        while True:
            while len(ahead) < self.size:
                generator = np.random.default_rng(derive_seed(seed, "order", self.kind, epoch, number))
                ahead, number = np.concatenate([ahead, generator.permutation(self.rows)]), number + 1
            yield ahead[: self.size]
            ahead = ahead[self.size :]


@dataclass(frozen=True, eq=False)
class Phase:
    """A stretch of training in which every step has a batch of each source."""

    sources: tuple[Source, ...]
    epochs: int
    steps_per_epoch: int

    @property
    def num_steps(self) -> int:
        """Of the phase."""
        return self.epochs * self.steps_per_epoch


def arrange(synthetic: Source | None, real: Source | None, config: TuneConfig) -> tuple[Phase, ...]:
    """The phases of tuning: one, or one for each kind of image (He et al. 2023, Table 7).

    An epoch is a pass over the source that takes more steps; the other begins again and again.
    """
    sources = tuple(source for source in (synthetic, real) if source is not None)
    return tuple(
        Phase(group, config.epochs, config.steps_per_epoch or max(source.steps_per_pass for source in group))
        for group in ORDERS[config.order].phases(sources)
    )
