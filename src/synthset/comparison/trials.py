"""Trials: a classifier trained on a view and tested on each real set, once for all runs of a comparison."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from synthset.classifiers.config import TrainConfig
from synthset.classifiers.scoring import SavedEvaluation
from synthset.comparison.views import View, first_rows
from synthset.core.errors import SynthsetError
from synthset.core.json_records import read_record
from synthset.dataset.noise import Noise
from synthset.images.imageset import ImageSet

if TYPE_CHECKING:
    from synthset.classifiers.scoring import EvaluationResult

ALL = 0  # a budget: all images of a view


@dataclass(frozen=True)
class Cell:
    """What is trained: images of a view, an architecture, a seed.

    Attributes:
        budget: images a class, or ALL.
    """

    view: str
    budget: int
    architecture: str
    seed: int

    @property
    def folder(self) -> Path:
        """Its place in the comparison."""
        budget = "all" if self.budget == ALL else f"{self.budget}-a-class"
        return Path("models", slug(self.view), budget, slug(self.architecture), f"seed-{self.seed}")


@dataclass(frozen=True)
class Trial:
    """A classifier on one real set.

    Attributes:
        images: it learned from, those held back included.
        real: name of the real set.
        score: accuracy, or its mean over classes where the field uses that, in [0, 1].
        low, high: 95 % interval of the accuracy over the test images.
        n: test images.
    """

    view: str
    budget: int
    architecture: str
    seed: int
    images: int
    real: str
    score: float
    low: float
    high: float
    n: int


def run_cell(cell: Cell, view: View, reals: Sequence[ImageSet], training: TrainConfig, folder: Path) -> list[Trial]:
    """Train the classifier of a cell and test it, as far as that is not done yet.

    Raises:
        As `train` and `evaluate`; the message names the cell.
    """
    images, trained = view.open(cell.seed), cell
    if cell.budget != ALL:
        whole, images = images, view.take(cell.budget, cell.seed)
        if len(images) == len(whole):  # nothing was cut: one training is both
            trained = replace(cell, budget=ALL)
    config = replace(training, architecture=cell.architecture, seed=cell.seed)
    try:
        return train_and_test(cell, images, reals, config, folder / trained.folder)
    except SynthsetError as error:
        error.add_note(str(trained.folder))
        raise


def train_and_test(
    cell: Cell, images: ImageSet, reals: Sequence[ImageSet], config: TrainConfig, home: Path
) -> list[Trial]:
    """Train on images and test on each real set, into `home`; what is there already is read."""
    from synthset.classifiers.evaluate import file_name
    from synthset.classifiers.stage import train
    from synthset.evaluation.stage import evaluate

    trained = train(images, home, config)
    trials = []
    for real in reals:
        path, result = home / "evaluation" / f"{file_name(real.name)}.json", None
        if trained.was_finished and path.exists():
            result = _read(path)
        if result is None:
            result = evaluate(home, real, path.parent)
        place = (cell.view, cell.budget, cell.architecture, cell.seed)
        trials.append(Trial(*place, len(images), real.name, result.score, result.low, result.high, result.n))
    return trials


def same_noise(view: View, first: View, budget: int, seeds: Sequence[int]) -> float | None:
    """Share of the noises that a view is learned on whose like the first view has, class by class; mean over seeds.

    None where one of the two has no shared noise, or another: by another model, at another size, from another seed.
    """
    shares = []
    for seed in seeds:
        learned, others = _learned_noise(view, budget, seed), _learned_noise(first, budget, seed)
        if learned is None or others is None or learned[0] != others[0]:
            return None
        shares.append(len(learned[1] & others[1]) / len(learned[1]))
    return fmean(shares)


def _learned_noise(view: View, budget: int, seed: int) -> tuple[Noise, set[tuple[str, int]]] | None:
    """What noise the images of a cell share, and the class and the seed of the noise of each."""
    noise = view.noise(seed)
    if noise is None:
        return None
    order = np.argsort(noise.numbers, kind="stable")  # as views take them
    rows = order if budget == ALL else first_rows(noise.labels, order, [budget] * len(noise.class_names))
    names = (noise.class_names[label] for label in noise.labels[rows])
    return noise.shared, set(zip(names, noise.seeds[rows].tolist(), strict=True))


def _read(path: Path) -> EvaluationResult | None:
    """A test that was done; None where it has to be done again."""
    with suppress(SynthsetError, OSError):
        return read_record(SavedEvaluation, path, "")
    return None


def slug(name: str) -> str:
    """A name as a folder's."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "images"
