"""Compare datasets or strategies as one call: train on each, test on each real set, over architectures and seeds.

Run again, it goes on where it stopped: each classifier has a folder, and knows whether it is finished.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthset.comparison.charts import draw_comparison, draw_curves
from synthset.comparison.config import CompareConfig
from synthset.comparison.forecast import forecast
from synthset.comparison.growth import ALIKE, CONFUSED, confusion_of, share_out
from synthset.comparison.results import MARKER, ComparisonResult, CurveForecast, Growth, write_results
from synthset.comparison.side_by_side import PICTURE as SIDE_BY_SIDE
from synthset.comparison.side_by_side import side_by_side
from synthset.comparison.summary import interval, summarise
from synthset.comparison.trials import ALL, Cell, Trial, run_cell, same_noise, train_and_test, train_cells
from synthset.comparison.views import View, views_of
from synthset.core.errors import ConfigChangedError, DataError, SynthsetError, UsageError, setting, some
from synthset.core.files import delete_parts, is_part, write_json
from synthset.core.jobs import differences
from synthset.core.json_records import LATER, read_record
from synthset.core.locks import reading, writing
from synthset.core.options import job_of, with_options
from synthset.core.progress import track
from synthset.dataset.reader import open_dataset
from synthset.images.imageset import ImageSet, readable
from synthset.images.opening import ImagePath, ImageSource
from synthset.images.sketch import hash_files
from synthset.real.sets import path_of

log = logging.getLogger("synthset")

PICTURE, CURVES = "comparison.png", "curves.png"


@dataclass(frozen=True)
class _Marker:
    """What marks the folder of a comparison, and what it is of.

    Attributes:
        real_images: a hash of each real set that something was tested on, by its name.
    """

    synthset_comparison: Literal[1]
    data: tuple[str, ...]
    real: tuple[str, ...]
    job: dict[str, Any]
    real_images: dict[str, str] = field(default_factory=dict, metadata=LATER)


def compare(
    data: Sequence[ImageSource] | ImageSource,
    output_dir: str | Path,
    *,
    real: Sequence[ImageSource] | ImageSource,
    config: CompareConfig | None = None,
    strict: bool = False,
    **options: Any,
) -> ComparisonResult:
    """Train a classifier on each dataset and strategy, for each architecture and seed, and test it on each real set.

    Args:
        data: datasets, image folders, Parquet files or ImageSets; where each seed has a dataset of its own, its path
            holds `{seed}`. The first is what the others are held against.
        output_dir: folder of the comparison, which goes on there if it was interrupted.
        real: names of known sets, or paths; nothing is chosen on them.
        config: what is varied and how each is trained; `options` are its fields.
        strict: refuse images that do not decode, and a class that a real set lacks or adds.
    Raises:
        UsageError: nothing to compare, a folder that holds something else or another comparison, or settings that
            cannot be.
        DataError, ModelError: as `train` and `evaluate`.
    """
    config = with_options(config or CompareConfig(), options)
    sources = [data] if isinstance(data, str | Path | ImagePath | ImageSet) else list(data)
    real_sources = [real] if isinstance(real, str | Path | ImagePath | ImageSet) else list(real)
    if not sources or not real_sources:
        raise UsageError("Expected images to train on and real images to test on, got none of one of the two.")
    _check_architectures(config)
    folder, views = Path(output_dir), views_of(sources, config.strategies)
    _check_place(folder)  # it may be the one that the images are read from
    with writing(folder), reading(*sources, *map(path_of, real_sources)):
        class_names = views[0].open(0).class_names
        reals = [_open_real(one, class_names, strict) for one in real_sources]
        _check_counts(config, views)
        _claim(folder, config, [view.name for view in views], reals)
        delete_parts(folder, below=False)
        cells = list(_cells(config, views))
        by_name = {view.name: view for view in views}
        trials: list[Trial] = []
        with track(len(cells), "compare", "classifiers") as bar:
            trained, workers = 0, _workers(config, views)
            if workers > 1:
                for _ in train_cells(cells, by_name, config.training, folder, workers):
                    trained += 1
                    bar.advance()
            for count, cell in enumerate(cells, 1):
                trials += run_cell(cell, by_name[cell.view], reals, config.training, folder)
                if count > trained:
                    bar.advance()
        growth = list(_grow(config, views, reals, folder)) if config.grow is not None else []
        rows = tuple(summarise(trials, views[0].name, _noise(config, views, cells)))
        forecasts = tuple(_forecasts(config, views, trials))
        result = ComparisonResult(folder, views[0].name, tuple(trials), rows, forecasts, tuple(growth))
        draw_comparison(result, folder / PICTURE)
        if config.images_per_class:
            draw_curves(result, folder / CURVES)
        _draw_side_by_side(views, folder / SIDE_BY_SIDE)
        write_results(result, job_of(config))
    return result


def _check_architectures(config: CompareConfig) -> None:
    """Refuse one that is unknown before a folder is made for it."""
    from synthset.classifiers.architectures import resolve_architecture

    for architecture in config.architectures:
        resolve_architecture(architecture)


def _workers(config: CompareConfig, views: Sequence[View]) -> int:
    """How many processes train."""
    from synthset.classifiers.recipes import SMALL_SIZE_PX
    from synthset.classifiers.training_set import read_sides
    from synthset.core.crew import default_workers
    from synthset.core.devices import choose_device

    if config.workers is not None:
        return config.workers
    side_px = config.training.image_size_px or read_sides(views[0].open(0)).median_px
    return default_workers(choose_device(config.training.device).type) if side_px <= SMALL_SIZE_PX else 1


def _open_real(source: ImageSource, class_names: Sequence[str], strict: bool) -> ImageSet:
    """A real set, opened before anything is trained. Raises as `open_real`, and DataError as `readable`."""
    from synthset.evaluation.stage import open_real

    images = open_real(source, class_names, strict=strict)
    return readable(images, strict=True) if strict else images


def _check_counts(config: CompareConfig, views: Sequence[View]) -> None:
    """Refuse numbers of images a class that no view has; say which views have fewer than others."""
    sizes = {view.name: view.smallest_class for view in views}
    for count in config.images_per_class:
        fewer = [f"'{name}' ({size:,})" for name, size in sizes.items() if size < count]
        if len(fewer) == len(sizes):
            raise UsageError(
                f"Expected {setting('images_per_class')} of at most {max(sizes.values()):,}, as many as the smallest "
                f"class has, got {count:,}. Draw more, or leave it out: all images come too."
            )
        if fewer:
            log.warning("No row of %d images a class for what has fewer: %s.", count, some(fewer))


def _cells(config: CompareConfig, views: Sequence[View]) -> Iterator[Cell]:
    """Everything that is trained, the first seed of all before the second of any."""
    smallest = min(view.smallest_class for view in views)
    budgets: dict[str, list[int]] = {}
    for view in views:
        tried = [count for count in sorted(config.images_per_class) if count < view.smallest_class]
        is_cut = config.equal_budget and len(views) > 1 and len({one.smallest_class for one in views}) > 1
        budgets[view.name] = [*sorted({*tried, *([smallest] if is_cut else [])}), ALL]
    for seed in range(config.seeds):
        for architecture in config.architectures:
            for view in views:
                for budget in budgets[view.name]:
                    yield Cell(view.name, budget, architecture, seed)


def _noise(config: CompareConfig, views: Sequence[View], cells: Sequence[Cell]) -> dict[tuple[str, int], float | None]:
    """By view and budget, the share of the noise that is the first view's too."""
    first, seeds = views[0], range(config.seeds)
    budgets = {(cell.view, cell.budget) for cell in cells}
    return {
        (view.name, budget): same_noise(view, first, budget, seeds)
        for view in views[1:]
        for name, budget in budgets
        if name == view.name
    }


# ---- the learning curve -----------------------------------------------------------------------------------


def _forecasts(config: CompareConfig, views: Sequence[View], trials: Sequence[Trial]) -> Iterator[CurveForecast]:
    """Of each curve with two numbers of images or more."""
    if not config.images_per_class:
        return
    sizes = {view.name: view.smallest_class for view in views}
    scores: dict[tuple[str, str, str], dict[int, dict[int, float]]] = {}
    for trial in trials:
        curve = scores.setdefault((trial.view, trial.architecture, trial.real), {})
        # a seed counts once where a view is as small as the equal budget, which comes before all
        curve.setdefault(trial.budget or sizes[trial.view], {}).setdefault(trial.seed, trial.score)
    for (view, architecture, real), curve in scores.items():
        counts = sorted(curve)
        if len(counts) < 2:
            continue
        last, values = counts[-1], [list(curve[count].values()) for count in counts]
        further = config.forecast or (last, 3 * last)
        ahead = forecast(counts, values, [last + more for more in further])
        held_out = [forecast(counts[:i], values[:i], [counts[i]])[0] for i in range(2, len(counts))]
        score = float(np.mean(values[-1]))
        yield CurveForecast(view, architecture, real, last, score, tuple(ahead), tuple(held_out))


def _draw_side_by_side(views: Sequence[View], path: Path) -> None:
    """Draw what the views made of the same noise, where all share it."""
    path.unlink(missing_ok=True)  # that of other views, if it cannot be drawn of these
    noises = [view.noise(0) for view in views]
    if any(noise is None or noises[0] is None or noise.shared != noises[0].shared for noise in noises):
        return
    places = list(dict.fromkeys(str(view.path(0)) for view in views))
    drawn = {name for place in places for name in open_dataset(place).strategies()}
    named = list(dict.fromkeys(view.strategy for view in views if view.strategy in drawn))
    try:
        side_by_side(places, path, strategies=named)
    except SynthsetError as error:  # more columns than fit, or no image on the same noise
        log.info("No picture side by side. %s", error)


def _grow(config: CompareConfig, views: Sequence[View], reals: Sequence[ImageSet], folder: Path) -> Iterator[Growth]:
    """Give further images to each view by both rules, and train and test on what it is then."""
    assert config.grow is not None
    base = min(config.images_per_class)
    for view in views:
        for architecture in config.architectures:
            gains: dict[tuple[str, str], list[tuple[float, float]]] = {}
            for seed in range(config.seeds):
                before, grown = _grow_once(config, view, reals, folder, (architecture, seed, base))
                for rule, trials in grown.items():
                    for old, new in zip(before, trials, strict=True):
                        gains.setdefault((rule, new.real), []).append((old.score, new.score))
            for (rule, real), pairs in gains.items():
                gain, low, high = interval([new - old for old, new in pairs])
                score = float(np.mean([new for _, new in pairs]))
                yield Growth(view.name, architecture, real, rule, config.grow, score, gain, low, high)


def _grow_once(
    config: CompareConfig, view: View, reals: Sequence[ImageSet], folder: Path, place: tuple[str, int, int]
) -> tuple[list[Trial], dict[str, list[Trial]]]:
    """The trials of a seed before and after, by rule."""
    from synthset.classifiers.models import load_classifier

    architecture, seed, base = place
    assert config.grow is not None
    images = view.open(seed)
    room = np.bincount(images.labels, minlength=len(images.class_names)) - base
    if room.min() < 0 or config.grow > room.sum():
        raise DataError(
            f"Expected {config.grow:,} images of '{view.name}' beyond {base} a class, got {max(0, int(room.sum())):,}. "
            f"Draw more, or give a smaller {setting('grow')}."
        )
    cell = Cell(view.name, base, architecture, seed)
    before = run_cell(cell, view, reals, config.training, folder)
    small, training = view.take(base, seed), config.training
    classifier = load_classifier(folder / cell.folder, training.device)
    confusion = confusion_of(classifier, small, training.validation_fraction, seed)
    grown = {}
    for rule, weights in ((CONFUSED, confusion), (ALIKE, np.zeros_like(confusion))):
        counts = base + share_out(config.grow, weights, room)
        home = folder / cell.folder.parent / f"{cell.folder.name}-{config.grow}-more-{rule.replace(' ', '-')}"
        setup = replace(training, architecture=architecture, seed=seed)
        grown[rule] = train_and_test(cell, view.take(counts.tolist(), seed), reals, setup, home)
    return before, grown


# ---- the folder -------------------------------------------------------------------------------------------


def _check_place(folder: Path) -> None:
    """Refuse a folder that is no comparison's."""
    if (folder / MARKER).exists() or not folder.exists():
        return
    if not folder.is_dir() or not all(map(is_part, folder.iterdir())):
        raise UsageError(
            f"'{folder}' holds something else; nothing was changed. Choose another {setting('output_dir')}."
        )


def _claim(folder: Path, config: CompareConfig, data: Sequence[str], reals: Sequence[ImageSet]) -> None:
    """Mark the folder as a comparison's, or check that it holds this one as far as it goes.

    Tests on a real set that has other images now are forgotten, and so done anew.
    """
    marker, advice, tested = folder / MARKER, f"Choose another {setting('output_dir')}.", dict[str, str]()
    # more seeds, architectures, counts or real sets go on in the same folder; they have places of their own there
    job = {name: value for name, value in job_of(config).items() if name in ("training", "equal_budget")}
    real_images = {images.name: _hash(images) for images in reals}
    if marker.exists():
        recorded = read_record(_Marker, marker, f"'{folder}' may hold another comparison. {advice}", ConfigChangedError)
        if changes := differences(recorded.job, job):
            raise ConfigChangedError(
                f"'{folder}' holds another comparison ({'; '.join(changes)}); nothing was changed. {advice}"
            )
        tested = recorded.real_images
        for name in real_images:
            if tested.get(name, real_images[name]) != real_images[name]:
                log.warning(
                    "'%s' has other images or labels than were tested on before; all is tested on it anew.", name
                )
                _forget_tests(folder, name)
    else:
        _check_place(folder)
    names = tuple(images.name for images in reals)
    write_json(marker, asdict(_Marker(1, tuple(data), names, job, {**tested, **real_images})))


def _hash(images: ImageSet) -> str:
    """Of class names, labels and files, in order."""
    digest = hashlib.sha256(json.dumps([images.class_names, images.labels.tolist()]).encode())
    digest.update(hash_files(images).tobytes())
    return digest.hexdigest()


def _forget_tests(folder: Path, name: str) -> None:
    """Delete what classifiers scored on a real set."""
    from synthset.classifiers.evaluate import file_name

    for path in folder.glob(f"models/**/evaluation/{file_name(name)}.json"):
        path.unlink()
