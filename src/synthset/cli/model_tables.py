"""What the commands print of models: what they learn from, their recipe, their accuracy, their files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from synthset.cli.commands import load_command
from synthset.cli.json_output import shows
from synthset.cli.printing import MAX_ROWS, percent, print_table, say, span, spent
from synthset.core.errors import some
from synthset.core.progress import duration

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from synthset.classifiers.config import TrainConfig
    from synthset.classifiers.dry_run import TrainingPlan
    from synthset.classifiers.export import ModelExport
    from synthset.classifiers.scoring import EvaluationResult
    from synthset.classifiers.settings import Settings
    from synthset.classifiers.train import TrainResult
    from synthset.comparison.results import ComparisonResult
    from synthset.comparison.side_by_side import SideBySide
    from synthset.images.imageset import ImageSet
    from synthset.prediction.stage import PredictResult
    from synthset.tuning.curve_results import CurveMean, CurveResult
    from synthset.tuning.inputs import TuneInputs
    from synthset.tuning.results import TuneResult

_NONE_HELD_BACK = "none held back, so the last epoch is kept"
PAPERS_METRIC = "top-1 accuracy, which the papers report"


@shows("images", is_result=False)
def print_classes(images: ImageSet, size_px: int, median_px: int) -> None:
    """What is learned, before it takes hours: folders may be other things than classes, images of other sizes."""
    _say_classes(images)
    say(f"seen at {size_px} × {size_px} px; the median of their longer sides is {median_px} px")
    sys.stdout.flush()  # where it is a file, too


@shows("images", is_result=False)
def print_tuned_images(inputs: TuneInputs) -> None:
    """What a CLIP is tuned on, before it takes hours."""
    for images in (inputs.synthetic, inputs.shots):
        if images is not None:
            _say_classes(images)
    sys.stdout.flush()


def _say_classes(images: ImageSet) -> None:
    part = f", split {images.split}" if images.split else ""
    names = some(images.class_names, MAX_ROWS)
    say(f"{len(images):,} images of {images.name}{part} in {len(images.class_names):,} classes: {names}")


@shows("settings", is_result=False)
def print_settings(settings: Settings, config: TrainConfig) -> None:
    """What the recipe chose, as the flags that give the same."""
    words = []
    for item in load_command("train").arguments:
        name = item.option.name
        value = getattr(settings, name, None)
        if not hasattr(config, name) or getattr(config, name) is not None or value is None:
            continue
        if isinstance(value, bool):
            words += [f"--{item.flag}" if value else f"--{item.option.option.negative}"]
        else:
            words += [f"--{item.flag} {f'{value:g}' if isinstance(value, float) else value}"]
    if words:
        say(f"recipe {settings.recipe}: {' '.join(words)}")
        sys.stdout.flush()


@shows("comparison")
def print_comparison(result: ComparisonResult) -> None:
    """A row a view, budget, architecture and real set; forecasts, and what further images brought."""
    from synthset.comparison.summary import main_rows

    names = [name for name in ("architecture", "real") if len({getattr(row, name) for row in result.rows}) > 1]
    is_shared = any(row.same_noise is not None for row in result.rows)
    rows = []
    for row in result.rows if result.forecasts else main_rows(result.rows):
        minus = "" if row.minus is None else _points(row.minus, row.minus_low, row.minus_high)
        place = [getattr(row, name) for name in names]
        cells = (f"{row.images:,}", f"{row.score:.1%}", span(row.low, row.high), minus)
        rows.append((row.view, *place, *cells, *[percent(row.same_noise)] * is_shared))
    headings = ("images of", *names, ">number", ">accuracy", "95 % interval", f"minus {result.first}, in points")
    headings += (">same noise",) * is_shared
    print_table(headings, rows[:MAX_ROWS], left_out=max(0, len(rows) - MAX_ROWS))
    if any(row.minus is not None for row in result.rows):
        noise = f", and as far as 'same noise' says, images on the noise of {result.first}'s" if is_shared else ""
        say(f"Differences are paired: trainings of the same seed{noise}.")
    for curve in result.forecasts:
        for ahead in curve.further:
            more = ahead.images_per_class - curve.images_per_class
            gain = _points(*(value - curve.score for value in (ahead.score, ahead.low, ahead.high)))
            say(f"{curve.view}: {more:,} more images a class buy {gain} points, in nine of ten cases")
    for growth in result.growth:
        gain = _points(growth.gain, growth.low, growth.high)
        say(f"{growth.view}: {growth.images:,} more images for {growth.rule} brought {gain} points")
    say(f"comparison  {result.folder}\npicture     {result.folder / 'comparison.png'}")


@shows("side_by_side")
def print_side_by_side(result: SideBySide) -> None:
    """What the picture shows, and where it lies."""
    shown = sum(map(len, result.numbers))
    say(f"{len(result.columns)} columns on {shown} equal noises of {some(result.classes)}\npicture  {result.path}")


def _points(share: float, low: float | None, high: float | None) -> str:
    """A difference in points, with its interval if it has one."""
    interval = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * share:+.1f}{interval}"


@shows("predictions")
def print_predict(result: PredictResult) -> None:
    """How often each class was the most probable one, and where the table lies."""
    found = sorted(((count, name) for name, count in result.counts.items() if count), key=lambda pair: -pair[0])
    rows = [(name, f"{count:,}", f"{count / result.num_images:.1%}") for count, name in found[:MAX_ROWS]]
    print_table(("class", ">images", ">share"), rows)
    if len(found) > MAX_ROWS:
        say(f"and {len(found) - MAX_ROWS:,} more classes")
    say(f"predictions  {result.output}")


@shows("export")
def print_export(result: ModelExport) -> None:
    """One row a form of the model."""
    headings = ("form", ">MB", ">accuracy", ">same class as PyTorch", ">images/s")
    rows = [
        (
            row.form,
            f"{row.num_bytes / 1e6:.2f}",
            f"{row.accuracy:.1%}",
            f"{row.agreement:.1%}",
            f"{row.images_per_second:,.0f}",
        )
        for row in result.rows
    ]
    print_table(headings, rows)
    kind = "held back from the training" if result.is_held_back else "learned from, as none was held back"
    say(f"Accuracy is on {result.num_images:,} synthetic images that were {kind}.")
    say(f"export  {result.folder}")


@shows("plan")
def print_training_plan(plan: TrainingPlan) -> None:
    """What `train` would do, and how long that takes here."""
    epochs = "1 epoch" if plan.epochs == 1 else f"{plan.epochs:,} epochs"
    held_back = f"{plan.num_held_back:,} held back" if plan.num_held_back else _NONE_HELD_BACK
    say(
        f"{plan.num_training:,} images to learn from and {held_back}; {epochs} of "
        f"{plan.num_steps // plan.epochs:,} steps, {plan.num_steps:,} in all"
    )
    without = f", without {' and '.join(plan.left_out)}" if plan.left_out else ""
    say(f"About {duration(max(1, plan.seconds))} on this machine's {plan.device}{without}. Nothing was written.")


@shows("train")
def print_train(result: TrainResult, folder: Path) -> None:
    """How training went, on held-back synthetic images."""
    chosen, took = result.chosen, spent(result.seconds, result.was_finished)
    held_back = f"{result.num_held_back:,} held-back synthetic images" if result.num_held_back else _NONE_HELD_BACK
    judged = "the last: how good it is, only a test can say"
    if chosen.held_back_accuracy is not None:
        judged = f"{chosen.held_back_accuracy:.1%} on the held-back synthetic images"
    say(
        f"{result.num_training:,} training and {held_back}; {took}\n"
        f"chosen: epoch {chosen.epoch} of {len(result.history)}, {judged}\n"
        f"model  {folder}"
    )
    if seen := result.model_config.seen:
        say(f"It learned from other images too: {seen}.")


@shows("tune")
def print_tune(result: TuneResult, zero_shot: EvaluationResult | None = None) -> None:
    """How tuning went, and what zero-shot CLIP makes of the same real images."""
    chosen, took = result.chosen, spent(result.seconds, result.was_finished)
    filtered = f" ({result.num_filtered:,} left out by the shots)" if result.num_filtered else ""
    held_back = f", {result.num_held_back:,} held back" if result.num_held_back else ""
    say(f"{result.num_synthetic:,} synthetic images{filtered}{held_back} and {result.num_real:,} real ones; {took}")
    judged = "" if chosen.held_back_accuracy is None else f", {chosen.held_back_accuracy:.1%} on those held back"
    say(f"chosen: epoch {chosen.epoch} of {len(result.history)}{judged}")
    say(f"tuned: {result.tuned_share:.2%} of the parameters of image encoder and classifier\nmodel  {result.folder}")
    if zero_shot is not None:
        accuracy, by_class = f"{zero_shot.accuracy:.1%} {_interval(zero_shot)}", _by_class(zero_shot)
        accuracy += f", {PAPERS_METRIC}" if zero_shot.metric == "mean_per_class" else ""
        say(f"\nbefore, zero-shot CLIP: {accuracy}; {by_class}\nafter:", end=" ")


@shows("curve")
def print_curve(result: CurveResult) -> None:
    """One row a number of shots, one column a method, and where everything lies."""
    methods = sorted({mean.method for mean in result.means}, key=lambda name: (name != "real + synthetic", name))
    by_class = result.metric == "mean_per_class"
    score = "mean accuracy of the classes" if by_class else "accuracy"
    say(f"{score} on the test part of {result.real}; zero-shot CLIP: {result.zero_shot:.1%}")
    _print_means(methods, result.means)
    if by_class:
        say(f"\n{PAPERS_METRIC}:")
        _print_means(methods, result.top_1_means)
    if any(mean.low is not None for mean in result.means):
        say("In brackets: the 95 % interval of the mean over seeds.")
    say(f"curve  {result.folder / 'curve.png'}")


def _print_means(methods: Sequence[str], means: Sequence[CurveMean]) -> None:
    cells = {(mean.method, mean.shots): mean for mean in means}
    shots = sorted({mean.shots for mean in means})
    rows = [(str(count), *(_mean(cells.get((method, count))) for method in methods)) for count in shots]
    print_table((">shots", *(f">{method}" for method in methods)), rows)


def _mean(mean: CurveMean | None) -> str:
    if mean is None or mean.low is None or mean.high is None:
        return percent(mean and mean.mean)
    return f"{mean.mean:.1%} ({span(max(0, mean.low), min(1, mean.high))})"


@shows("evaluation")
def print_evaluation(result: EvaluationResult, folder: Path) -> None:
    """Accuracy on real images, whole and by class; the metric that the field uses for the set comes first."""
    part = f", split {result.split}" if result.split else ""
    unreadable = f", {result.unreadable:,} unreadable ones left out" if result.unreadable else ""
    whole = (
        f"{result.accuracy:.1%} on {result.n:,} {result.kind} images of {result.real}{part}{unreadable} "
        f"{_interval(result)}"
    )
    by_class = result.metric == "mean_per_class"
    scores = (_by_class(result), f"{whole}, {PAPERS_METRIC}") if by_class else (whole, _by_class(result))
    say("; ".join(scores))
    accuracies = zip(result.class_names, result.per_class_accuracy, strict=True)
    counts = result.counts
    shown = enumerate(islice(accuracies, MAX_ROWS))
    rows = [(name, percent(share), _confused_with(result.class_names, counts[[i]], i)) for i, (name, share) in shown]
    print_table(("class", ">accuracy", "mostly taken for"), rows, left_out=len(result.class_names) - len(rows))
    say(f"details  {folder}")


def _interval(result: EvaluationResult) -> str:
    return f"(95 % interval {span(result.low, result.high)})"


def _by_class(result: EvaluationResult) -> str:
    return f"{result.mean_per_class:.1%} as the mean over classes"


def _confused_with(class_names: Sequence[str], row: csr_array, index: int) -> str:
    cells = zip(row.indices.tolist(), row.data.tolist(), strict=True)
    others = [(-count, other) for other, count in cells if count and other != index]
    return f"{class_names[min(others)[1]]} ({-min(others)[0]})" if others else ""


@shows("predictions_file")
def print_predictions_file(path: Path) -> None:
    """Where a test says of each image what it was taken for."""
    say(f"predictions  {path}")
