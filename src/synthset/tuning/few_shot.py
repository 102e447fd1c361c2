"""Few-shot tuning: the real images that are drawn, the synthetic ones that go with them, and the order of both.

real set ─┬▶ pool ─▶ M shots of each class ─┐
          └▶ test part, never read here      ├▶ phases ─▶ steps, each a batch of every source
dataset ──▶ B | RF | RG ─────────────────────┘
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from synthset.core.errors import DataError, UnknownNameError, UsageError
from synthset.core.seeds import derive_seed
from synthset.filters.real import nearest_real
from synthset.images.imageset import ImageSet
from synthset.real import few_shot, load_real, match_set, split
from synthset.tuning.config import TuneConfig
from synthset.tuning.features import BLOCK, Features, Pixels

if TYPE_CHECKING:
    from synthset.dataset.reader import Dataset

log = logging.getLogger("synthset")


# ---- images -----------------------------------------------------------------------------------------------


def draw_shots(real: str | Path | ImageSet, class_names: Sequence[str] | None, shots: int, seed: int) -> ImageSet:
    """M real images of each class, from the part of a real set that testing never reads.

    The same as `create --initial-images REAL --shots M --shots-seed SEED` begins at.
    Args:
        class_names: label order of the result; None for the real set's own.
    Raises:
        UsageError: other classes, or a class with fewer images than shots.
        DataError, UnknownNameError: no such set, or one that cannot be read.
    """
    from synthset.classifiers.scoring import match_classes
    from synthset.real.learning import few_shot_pool

    pool = few_shot_pool(real)
    if class_names is not None:
        labels = match_classes(class_names, pool)[pool.labels]
        pool = replace(pool, labels=labels, class_names=tuple(class_names))
    return few_shot(pool, shots, seed)


def load_test_part(real: str | Path | ImageSet) -> ImageSet:
    """The images of a real set that shots are never drawn from: what a tuned classifier is tested on.

    Its test split; of a set without splits, such as `digits`, the half that is not `few_shot_pool`'s.
    """
    if isinstance(real, ImageSet):
        return split(real, 0.5, 0)[1]
    known = match_set(str(real))
    if known:
        return load_real(real) if known.splits else split(load_real(real), 0.5, 0)[1]
    try:
        whole = load_real(real)
    except UnknownNameError:
        raise
    except UsageError:  # it holds splits, and wants to know which
        return load_real(real, "test")
    return split(whole, 0.5, 0)[1]


def hash_images(images: ImageSet) -> list[str]:
    """SHA-256 of each image's file, in hexadecimal."""
    return [hashlib.sha256(images.read(row)).hexdigest() for row in range(len(images))]


def check_initial_images(dataset: Dataset | None, shots: Sequence[str], config: TuneConfig, real: str) -> None:
    """Refuse images that were drawn from more real images than there are shots, or not from them.

    Args:
        dataset: the synthetic images; None where they are no Synthset dataset.
        shots: hashes of the real images, see `hash_images`; empty in zero-shot tuning.
        real: name of the real set.
    Raises:
        UsageError: real guidance without a dataset that was drawn so, or by other images.
    """
    drawn_from = set(dataset.initial_images()) if dataset is not None else set()
    drawn_so = f"'synthset create … --initial-images {real} --shots {config.shots} --shots-seed {config.seed}'"
    if config.strategy == "real_guidance" and not drawn_from:
        name = f"'{dataset.folder}'" if dataset is not None else "the images"
        raise UsageError(
            f"Expected images that were drawn from the shots for real_guidance, got others in {name}. "
            f"Draw them with {drawn_so}."
        )
    others = drawn_from.difference(shots)
    if others and not shots:
        log.warning("The images were drawn from %d real images: this is no zero-shot tuning.", len(others))
    elif others:
        raise UsageError(
            f"Expected images drawn from none but the {len(shots)} real images of {config.shots} shots (seed "
            f"{config.seed}) of '{real}', got ones drawn from {len(others)} others. Draw them with {drawn_so}."
        )


def filter_by_shots(synthetic: Features, shots: Features) -> np.ndarray:
    """Real filtering: the rows that are nearer to a shot of their own class than to any of another.

    He et al. 2023, section 3.2 (RF), by the rule of filters/real.py.
    Returns:
        bool (n,).
    """
    keep = np.zeros(len(synthetic), bool)
    real_vectors, real_labels = torch.from_numpy(np.array(shots.vectors)), torch.from_numpy(shots.labels)
    for start in range(0, len(synthetic), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(synthetic)))
        labels = torch.from_numpy(synthetic.labels[rows])
        own, other, _ = nearest_real(synthetic.read(rows), labels, real_vectors, real_labels)
        keep[rows] = (own > other).numpy()
    if not keep.any():
        raise DataError(
            f"Expected images of '{synthetic.name}' that are nearest to shots of their own class, found none. Use "
            "--strategy basic, or more shots."
        )
    return keep


# ---- steps ------------------------------------------------------------------------------------------------


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
        loss: "ce" or "sce".
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
    given = tuple(source for source in (synthetic, real) if source is not None)
    together = {
        "mix": (given,),
        "syn_then_real": tuple((s,) for s in given),
        "real_then_syn": tuple((s,) for s in given[::-1]),
    }
    return tuple(
        Phase(sources, config.epochs, config.steps_per_epoch or max(source.steps_per_pass for source in sources))
        for sources in together[config.order]
    )
