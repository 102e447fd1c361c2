"""The main job on the embedded miniature, whole: draw, train, test on real handwriting, one table.

For each seed one dataset is drawn, with the four tricks of Shipard et al. 2023 in it; their union
(`all_combined`) and their equal parts at the budget of one (`all_combined_equal`) are views of it. On each a
small network is trained from scratch and tested once on scikit-learn's 1,797 real handwritten digits. The
reference at the end is the same network trained on real digits: one half of them, tested on the other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from synthset.core.errors import ConfigChangedError, UsageError, setting
from synthset.core.files import delete_parts, is_part, write_json
from synthset.core.jobs import differences
from synthset.core.json_records import read_record
from synthset.core.locks import writing
from synthset.core.options import Option
from synthset.create.config import CreateConfig
from synthset.create.stage import create
from synthset.dataset.reader import open_dataset
from synthset.images.imageset import ImageSet
from synthset.miniature import DIGITS
from synthset.prompts.strategies import TRICKS

if TYPE_CHECKING:
    from synthset.classifiers.config import TrainConfig

STEPS = 15
EPOCHS = 50
IMAGES_PER_CLASS = 50
RUN_SEED = 64
STRATEGIES = (*TRICKS, "all_combined", "all_combined_equal")
SHOWN = (*TRICKS, "all_combined")
SHOWN_PER_CELL = 6
REFERENCE = "real digits (reference)"


@dataclass(frozen=True)
class DemoRow:
    """One classifier: what it was trained on, and how it did on real images.

    Attributes:
        strategy: a strategy, a combination, or REFERENCE.
        images: it was trained on, those held back included.
        seed: of the repetition; None for a mean over seeds.
        accuracy: on real images, in [0, 1].
        low, high: 95 % interval: Wilson's over the test images for one seed, Student's over seeds for a mean.
        seconds: to draw its images (their share of the drawing), to train, and to test.
    """

    strategy: str
    images: int
    seed: int | None
    accuracy: float
    low: float
    high: float
    seconds: float


@dataclass(frozen=True)
class DemoResult:
    """All rows of a demo and the folder they lie in."""

    folder: Path
    rows: tuple[DemoRow, ...]
    num_test: int

    def summary(self) -> list[DemoRow]:
        """One row a strategy: the row itself for one seed, else the mean over seeds with its interval."""
        from synthset.classifiers.scoring import seed_interval

        means = []
        for strategy in (*STRATEGIES, REFERENCE):
            rows = [row for row in self.rows if row.strategy == strategy]
            if len(rows) > 1:
                low, high = seed_interval([row.accuracy for row in rows])
                accuracy, seconds = (fmean(getattr(row, name) for row in rows) for name in ("accuracy", "seconds"))
                means.append(DemoRow(strategy, rows[0].images, None, accuracy, max(low, 0.0), min(high, 1.0), seconds))
            else:
                means += rows
        return means

    def footnote(self) -> str:
        """Meaning of the numbers, in two lines."""
        seeds = len({row.seed for row in self.rows})
        over = "over the test images" if seeds == 1 else f"over {seeds} seeds"
        return (
            f"Tested on {self.num_test:,} real handwritten digits that neither generator nor classifiers "
            f"have seen; intervals are {over}.\n"
            "The reference is trained on one half of them and tested on the other."
        )

    def paths(self) -> dict[str, Path]:
        """Files and folders to look at, by their kind."""
        return {
            "results": self.folder / "results.json",
            "pictures": self.folder / "strategies.png",
            "datasets": self.folder / "seed-0" / "dataset",
            "models": self.folder / "seed-0" / "models",
        }


def demo(output_dir: str | Path = "demo", *, seeds: int = 1, images_per_class: int = IMAGES_PER_CLASS) -> DemoResult:
    """Run the demo into `output_dir`; run again, it goes on where it stopped.

    Args:
        output_dir: folder for datasets, models, pictures and results.json.
        seeds: repetitions, each with its own images, initialisation and order.
        images_per_class: images of each digit that a trick draws.
    Raises:
        UsageError: fewer than one seed, or a folder that holds something else.
    """
    if seeds < 1:
        raise UsageError(f"Expected {setting('seeds')} of at least 1, got {seeds}.")
    folder = Path(output_dir)
    from synthset.real import load_real

    with writing(folder):
        _claim(folder, images_per_class)
        delete_parts(folder)
        real = load_real("digits")
        rows = [row for seed in range(seeds) for row in _run_seed(folder, seed, images_per_class, real)]
        _draw_strategies(folder)
        result = DemoResult(folder, tuple(rows), len(real))
        note = {
            "test_set": {"name": real.name, "images": len(real)},
            "rows": [asdict(row) for row in result.rows],
            "summary": [asdict(row) for row in result.summary()],
        }
        write_json(folder / "results.json", note)
    return result


def _run_seed(folder: Path, seed: int, images_per_class: int, real: ImageSet) -> Iterator[DemoRow]:
    home = folder / f"seed-{seed}"
    config = CreateConfig(
        strategies=("all_combined",), images_per_class=images_per_class, steps=STEPS, seed=RUN_SEED + seed
    )
    made = create(DIGITS, home / "dataset", config)
    seconds_an_image = made.dataset.manifest["seconds"] / max(1, made.accounting.ok)
    for strategy in STRATEGIES:
        images = made.dataset.images(strategy)
        yield _train_and_test(strategy, images, real, home / "models" / strategy, seed, seconds_an_image * len(images))
    from synthset.real import split

    train_half, test_half = split(real, 0.5, seed)
    yield _train_and_test(REFERENCE, train_half, test_half, home / "models" / "real-digits", seed)


def _train_and_test(
    name: str, images: ImageSet, real: ImageSet, folder: Path, seed: int, drawing_seconds: float = 0.0
) -> DemoRow:
    from synthset.classifiers.train import train_classifier
    from synthset.evaluation.stage import evaluate

    trained = train_classifier(images, recipe(seed), folder)
    start = time.monotonic()
    result = evaluate(folder, real, folder / "evaluation")
    seconds = drawing_seconds + trained.seconds + time.monotonic() - start
    return DemoRow(name, len(images), seed, result.accuracy, result.low, result.high, seconds)


def recipe(seed: int) -> TrainConfig:
    """Settings of the demo's training: chosen on drawn digits that the generator never saw, see EXPERIMENTS.md."""
    from synthset.classifiers.config import TrainConfig

    return TrainConfig(
        architecture="small_cnn",
        image_size_px=16,
        small_images=True,
        normalisation="per_image",
        augmentation="digits",
        epochs=EPOCHS,
        batch_size=64,
        learning_rate=2e-3,
        weight_decay=0.05,
        label_smoothing=0.1,  # some images of a class show something else
        seed=seed,
    )


def _draw_strategies(folder: Path) -> None:
    """Picture of classes × the five strategies, from the first seed's dataset."""
    from synthset.images.pictures import draw_contact_sheet

    dataset = open_dataset(folder / "seed-0" / "dataset")
    views = [_some_of_each_class(dataset.images(strategy)) for strategy in SHOWN]
    places = [(view, i) for view in views for i in range(len(view))]
    shown = ImageSet(
        "the five strategies",
        dataset.class_names,
        np.concatenate([view.labels for view in views]),
        lambda i: places[i][0].read(places[i][1]),
        tuple(name for name, view in zip(SHOWN, views, strict=True) for _ in range(len(view))),
    )
    draw_contact_sheet(shown, folder / "strategies.png", per_cell=SHOWN_PER_CELL)


def _some_of_each_class(images: ImageSet) -> ImageSet:
    """SHOWN_PER_CELL images of each class, from all over its rows, so that a union shows all its parts."""
    selected = []
    for label in range(len(images.class_names)):
        rows = np.flatnonzero(images.labels == label)
        steps = np.arange(min(SHOWN_PER_CELL, len(rows)))
        # one further each time: even steps would meet the same one of ten domains again and again
        selected.append(rows[(steps * len(rows) // SHOWN_PER_CELL + steps) % len(rows)])
    return images.select(np.concatenate(selected))


@dataclass(frozen=True)
class _Marker:
    """What marks the folder of a demo."""

    synthset_demo: Literal[1]
    images_per_class: Annotated[int, Option(at_least=1)]


def _claim(folder: Path, images_per_class: int) -> None:
    """Mark the folder as a demo's, or check that it is one of the same size."""
    marker, advice = folder / "demo.json", f"Choose another {setting('output_dir')}."
    wanted = asdict(_Marker(1, images_per_class))
    if marker.exists():
        damaged = f"'{folder}' may hold another demo. {advice}"
        recorded = asdict(read_record(_Marker, marker, damaged, ConfigChangedError))
        if changes := differences(recorded, wanted):
            raise ConfigChangedError(
                f"'{folder}' holds another demo ({'; '.join(changes)}); nothing was changed. {advice}"
            )
    elif folder.exists() and (not folder.is_dir() or not all(map(is_part, folder.iterdir()))):
        raise UsageError(f"'{folder}' holds something else; nothing was changed. {advice}")
    else:
        write_json(marker, wanted)
