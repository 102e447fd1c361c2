"""Sources of images, synthetic and real, and the phases in which their order lets them be learned from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from synthset.core.seeds import derive_seed
from synthset.tuning.config import ORDERS, TuneConfig
from synthset.tuning.features import Features, read_rows


@dataclass(frozen=True, eq=False)
class Source:
    """One of the two kinds of images that are learned from.

    Attributes:
        kind: "synthetic" or "real".
        features: their vectors under the encoder as it was; a teacher looks at them.
        rows: int64 (m,), those that are learned from.
        batch_size: of them a step; where there are fewer, all.
        weight: of their loss.
        loss: a key of losses.LOSSES.
        held_back: int64, further rows, that the epoch is chosen by.
        pixels: uint8 (n, 3, h, w), where they are encoded anew.
        native_px: median of their longer sides as they came.
    """

    kind: str
    features: Features
    rows: np.ndarray
    batch_size: int
    weight: float = 1.0
    loss: str = "ce"
    held_back: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    pixels: np.ndarray | None = None
    native_px: int | None = None

    @property
    def steps_per_pass(self) -> int:
        """Steps until every image was seen."""
        return -(-len(self.rows) // self.size)

    @property
    def size(self) -> int:
        """Images a step."""
        return min(self.batch_size, len(self.rows))

    def read(self, rows: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
        """Inputs of the model, vectors or uint8 pixels, and labels, of some rows."""
        inputs = self.features.vectors if self.pixels is None else self.pixels
        return read_rows(inputs, rows).to(device), torch.from_numpy(self.features.labels[rows]).to(device)

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


def arrange(sources: Iterable[Source], config: TuneConfig) -> tuple[Phase, ...]:
    """The phases of tuning on sources, synthetic before real: one, or one for each (He et al. 2023, Table 7).

    An epoch is a pass over the source that takes more steps; the other begins again and again.
    Args:
        config: a resolved one.
    """
    epochs = config.epochs
    assert epochs is not None
    return tuple(
        Phase(group, epochs, config.steps_per_epoch or max(source.steps_per_pass for source in group))
        for group in ORDERS[config.order].phases(tuple(sources))
    )
