"""Trials: a classifier trained on a view and tested on each real set, once for all runs of a comparison."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from synthset.classifiers.config import TrainConfig
from synthset.classifiers.scoring import SavedEvaluation
from synthset.comparison.views import View, first_rows
from synthset.core.crew import call_apart
from synthset.core.errors import SynthsetError
from synthset.core.json_records import read_record
from synthset.dataset.noise import Noise
from synthset.images.imageset import ImageSet

if TYPE_CHECKING:
    from synthset.classifiers.scoring import EvaluationResult

log = logging.getLogger("synthset")

ALL = 0  # a budget: all images of a view
WORTH_PROCESSES = 1_000  # images: fewer are learned from before other processes have imported PyTorch


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


@dataclass(frozen=True)
class Training:
    """What a cell is trained on, how, and where.

    Attributes:
        home: its folder, below that of the comparison.
    """

    images: ImageSet
    config: TrainConfig
    home: Path

    @staticmethod
    def of(cell: Cell, view: View, training: TrainConfig) -> Training:
        """Of a cell; where nothing is cut from a view, one training is that of both budgets."""
        images, trained = view.open(cell.seed), cell
        if cell.budget != ALL:
            whole, images = images, view.take(cell.budget, cell.seed)
            if len(images) == len(whole):
                trained = replace(cell, budget=ALL)
        return Training(images, replace(training, architecture=cell.architecture, seed=cell.seed), trained.folder)


def run_cell(cell: Cell, view: View, reals: Sequence[ImageSet], training: TrainConfig, folder: Path) -> list[Trial]:
    """Train the classifier of a cell and test it, as far as that is not done yet.

    Raises:
        As `train` and `evaluate`; the message names the cell.
    """
    task = Training.of(cell, view, training)
    try:
        return train_and_test(cell, task.images, reals, task.config, folder / task.home)
    except SynthsetError as error:
        error.add_note(str(task.home))
        raise


def train_cells(
    cells: Sequence[Cell], views: Mapping[str, View], training: TrainConfig, folder: Path, workers: int
) -> Iterator[None]:
    """Train the classifiers of cells by several processes, as far as that is not done yet; a sign after each.

    Of images in memory they are left to `run_cell`, and so is a training that fails: it fails there again and says why.
    """
    from synthset.classifiers.models import CONFIG_FILE

    left: dict[Path, tuple[int, Cell]] = {}
    for cell in cells:
        if not isinstance(views[cell.view].source, ImageSet):
            task = Training.of(cell, views[cell.view], training)
            if not (folder / task.home / CONFIG_FILE).exists():
                left.setdefault(task.home, (len(task.images), cell))
    if len(left) < 2 or sum(count for count, _ in left.values()) < WORTH_PROCESSES:
        return
    longest_first = [cell for _, cell in sorted(left.values(), key=lambda pair: -pair[0])]
    attempt = partial(_train, views=views, training=training, folder=folder)
    for _, kept in call_apart(attempt, longest_first, workers):
        for message in kept:
            log.warning("%s", message)
        yield


def _train(cell: Cell, views: Mapping[str, View], training: TrainConfig, folder: Path) -> None:
    from synthset.classifiers.train import train_classifier

    task = Training.of(cell, views[cell.view], training)
    with suppress(SynthsetError):
        train_classifier(task.images, task.config, folder / task.home)


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
