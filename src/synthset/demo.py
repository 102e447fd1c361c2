"""The main job on the embedded miniature, whole: draw, train, test on real handwriting, one table.

For each seed one dataset is drawn, with the four tricks of Shipard et al. 2023 in it; their union
(`all_combined`) and their equal parts at the budget of one (`all_combined_equal`) are views of it. `compare` trains
a small network on each from scratch and tests it once on scikit-learn's 1,797 real handwritten digits. The
reference at the end is the same network trained on real digits: one half of them, tested on the other.

The first strategy is drawn, trained on and tested before the others are begun, so that somebody who waits on a slow
machine has a first row soon. Its images and its network are then used again.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
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
from synthset.generators.sampling import SamplingOptions
from synthset.images.imageset import ImageSet
from synthset.miniature import DIGITS
from synthset.prompts.strategies import TRICKS

if TYPE_CHECKING:
    from synthset.comparison.config import CompareConfig
    from synthset.comparison.summary import ComparisonRow

# chosen on handwriting that the miniature never saw, see EXPERIMENTS.md
SCHEDULER, STEPS, GUIDANCE_INTERVAL = "dpmsolver_multistep", 5, (0.1, 0.8)
IMAGES_PER_CLASS, EPOCHS, BATCH_SIZE = 50, 32, 128
RUN_SEED = 64
REAL = "digits"
STRATEGIES = (*TRICKS, "all_combined", "all_combined_equal")
SHOWN = (*TRICKS, "all_combined")
SHOWN_PER_CELL = 6
REFERENCE = "real digits (reference)"
RESULTS = "results.json"
REFERENCE_IMAGES = 898
LEARNED_IN_ROWS = 0.25  # time of an image that is learned from, in rows of the UNet; with and without AVX-512


@dataclass(frozen=True)
class DemoResult:
    """All rows of a demo and the folder they lie in.

    Attributes:
        rows: one a strategy, and REFERENCE as the last.
        num_test: real images that each was tested on; REFERENCE on half of them.
        commands: that do the same by hand, but for the reference.
    """

    folder: Path
    rows: tuple[ComparisonRow, ...]
    num_test: int
    commands: tuple[str, ...]

    def footnote(self) -> str:
        """Meaning of the numbers, in two lines."""
        seeds = self.rows[0].seeds
        over = "over the test images" if seeds == 1 else f"over {seeds} seeds"
        return (
            f"Tested on {self.num_test:,} real handwritten digits that neither generator nor classifiers "
            f"have seen; intervals are {over}.\n"
            "The reference is trained on one half of them and tested on the other."
        )

    def paths(self) -> dict[str, Path]:
        """Files and folders to look at, by their kind."""
        return {
            "results": self.folder / RESULTS,
            "pictures": self.folder / "strategies.png",
            "datasets": self.folder / "seed-0" / "dataset",
            "comparison": self.folder / "comparison",
        }


@dataclass(frozen=True)
class DemoWork:
    """What a demo is about to do.

    Attributes:
        images: to draw.
        unet_rows: passes of one latent through the UNet; a guided step takes two.
        networks: to train.
        learned_images: images of training steps, each as often as there are passes.
        seconds_per_row: measured, of the UNet on this machine.
    """

    images: int
    unet_rows: int
    networks: int
    learned_images: int
    seconds_per_row: float

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return self.seconds_per_row * (self.unet_rows + LEARNED_IN_ROWS * self.learned_images)


def demo(
    output_dir: str | Path = "demo",
    *,
    seeds: int = 1,
    images_per_class: int = IMAGES_PER_CLASS,
    when_estimated: Callable[[DemoWork], object] = lambda work: None,
    when_tested: Callable[[ComparisonRow], object] = lambda row: None,
) -> DemoResult:
    """Run the demo into `output_dir`; run again, it goes on where it stopped.

    Args:
        output_dir: folder for datasets, models, pictures and results.json.
        seeds: repetitions, each with its own images, initialisation and order.
        images_per_class: images of each digit that a trick draws.
        when_estimated: shown what is to be done, and about how long it takes; not where a demo goes on.
        when_tested: shown the first row, of one seed, while the others are to come.
    Raises:
        UsageError: fewer than one seed, or a folder that holds something else.
    """
    from synthset.comparison.stage import compare
    from synthset.real import load_real

    if seeds < 1:
        raise UsageError(f"Expected {setting('seeds')} of at least 1, got {seeds}.")
    folder = Path(output_dir)
    with writing(folder):
        is_new = _claim(folder, images_per_class)
        delete_parts(folder)
        real, config = load_real(REAL), comparison_config(seeds)
        if is_new:
            when_estimated(_estimate(folder, seeds, images_per_class))
        first, home = folder / "seed-0" / "first", folder / "comparison"
        create(DIGITS, first, replace(_drawing(0, images_per_class), strategies=STRATEGIES[:1]))
        alone = replace(config, strategies=STRATEGIES[:1], seeds=1)
        if not (folder / RESULTS).exists():
            when_tested(compare(first, home, real=real, config=alone).rows[0])
        for seed in range(seeds):
            drawing = replace(_drawing(seed, images_per_class), reuse=() if seed else (str(first),))
            create(DIGITS, folder / f"seed-{seed}" / "dataset", drawing)
        _draw_strategies(folder)
        compared = compare(folder / "seed-{seed}" / "dataset", home, real=real, config=config)
        rows = (*compared.rows, _run_reference(real, config, folder))
        result = DemoResult(folder, rows, len(real), tuple(_commands(folder, seeds, images_per_class)))
        note = {
            "test_set": {"name": real.name, "images": len(real)},
            "rows": [asdict(row) for row in result.rows],
            "commands": result.commands,
        }
        write_json(folder / RESULTS, note)
    return result


def _drawing(seed: int, images_per_class: int) -> CreateConfig:
    return CreateConfig(
        strategies=("all_combined",),
        images_per_class=images_per_class,
        scheduler=SCHEDULER,
        steps=STEPS,
        sampling=SamplingOptions(guidance_interval=GUIDANCE_INTERVAL),
        seed=RUN_SEED + seed,
    )


def _estimate(folder: Path, seeds: int, images_per_class: int) -> DemoWork:
    """All of it counted, and its time by drawing a few images, which takes a second or two."""
    from synthset.create.dry_run import rehearse

    drawing, config = _drawing(0, images_per_class), comparison_config(seeds).training
    each = images_per_class * len(DIGITS)
    images, networks = len(TRICKS) * each, len(STRATEGIES) + 1
    seen = REFERENCE_IMAGES + sum(images if name == "all_combined" else each for name in STRATEGIES)
    learned = round(seen * (1 - config.validation_fraction)) * EPOCHS
    rows = STEPS + sum(drawing.sampling.guides(step, STEPS) for step in range(STEPS))
    estimate = rehearse(DIGITS, drawing, folder).estimate
    assert estimate is not None  # the miniature is here
    counts = (seeds * count for count in (images, images * rows, networks, learned))
    return DemoWork(*counts, seconds_per_row=estimate.seconds_per_image / rows)


def comparison_config(seeds: int) -> CompareConfig:
    """What the demo compares: the strategies, by the recipe that any training has, in fewer steps."""
    from synthset.classifiers.config import TrainConfig
    from synthset.comparison.config import CompareConfig

    return CompareConfig(
        strategies=STRATEGIES,
        architectures=("small_cnn",),
        seeds=seeds,
        equal_budget=False,
        training=TrainConfig(epochs=EPOCHS, batch_size=BATCH_SIZE),
    )


def _run_reference(real: ImageSet, config: CompareConfig, folder: Path) -> ComparisonRow:
    """The same network trained on one half of the real images and tested on the other."""
    from synthset.comparison.summary import summarise
    from synthset.comparison.trials import ALL, Cell, Trial, train_and_test
    from synthset.real import split

    trials: list[Trial] = []
    for seed in range(config.seeds):
        train_half, test_half = split(real, 0.5, seed)
        cell = Cell(REFERENCE, ALL, config.architectures[0], seed)
        training = replace(config.training, architecture=cell.architecture, seed=seed)
        home = folder / f"seed-{seed}" / "real-digits"
        trials += train_and_test(cell, train_half, [test_half], training, home)
    (row,) = summarise(trials, REFERENCE)
    return row


def _commands(folder: Path, seeds: int, images_per_class: int) -> Iterator[str]:
    """What a user would type for the same."""
    for seed in range(seeds):
        home = shlex.quote(str(folder / f"seed-{seed}" / "dataset"))
        yield (
            f"synthset create --classes {' '.join(DIGITS)} --strategy all_combined --images-per-class "
            f"{images_per_class} --scheduler {SCHEDULER} --steps {STEPS} --guidance-interval "
            f"{' '.join(map(str, GUIDANCE_INTERVAL))} --seed {RUN_SEED + seed} --output-dir {home}"
        )
    data, home = (shlex.quote(str(folder / name)) for name in ("seed-{seed}/dataset", "comparison"))
    yield (
        f"synthset compare {data} --strategy {' '.join(STRATEGIES)} --real {REAL} --seeds {seeds} --no-equal-budget "
        f"--epochs {EPOCHS} --batch-size {BATCH_SIZE} --output-dir {home}"
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


def _claim(folder: Path, images_per_class: int) -> bool:
    """Mark the folder as a demo's, or check that it is one of the same size; whether it was marked."""
    marker, advice = folder / "demo.json", f"Choose another {setting('output_dir')}."
    wanted = asdict(_Marker(1, images_per_class))
    if marker.exists():
        damaged = f"'{folder}' may hold another demo. {advice}"
        recorded = asdict(read_record(_Marker, marker, damaged, ConfigChangedError))
        if changes := differences(recorded, wanted):
            raise ConfigChangedError(
                f"'{folder}' holds another demo ({'; '.join(changes)}); nothing was changed. {advice}"
            )
        return False
    if folder.exists() and (not folder.is_dir() or not all(map(is_part, folder.iterdir()))):
        raise UsageError(f"'{folder}' holds something else; nothing was changed. {advice}")
    write_json(marker, wanted)
    return True
