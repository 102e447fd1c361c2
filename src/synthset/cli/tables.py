"""What the commands print on stdout: short tables and paths, made from results and computing nothing."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from synthset.cli.commands import load_command
from synthset.cli.json_output import shows
from synthset.core.errors import some
from synthset.core.progress import duration
from synthset.core.redaction import printable

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
    from synthset.create.config import CreateConfig
    from synthset.create.dry_run import DryRun, Reused
    from synthset.create.estimate import Estimate
    from synthset.create.stage import CreateResult
    from synthset.demo import DemoResult
    from synthset.diagnosis.judges import Judged
    from synthset.diagnosis.prompt_study import StudyResult
    from synthset.diagnosis.stage import DiagnosisResult
    from synthset.filters import FilterResult
    from synthset.generators.base import GenerationConfig
    from synthset.images.imageset import ImageSet
    from synthset.prediction.stage import PredictResult
    from synthset.recipes import PaperRecipe, RecipeUse
    from synthset.review import ReviewResult
    from synthset.tuning.curve_results import CurveMean, CurveResult
    from synthset.tuning.inputs import TuneInputs
    from synthset.tuning.results import TuneResult

MAX_ROWS = 30
PAPERS_METRIC = "top-1 accuracy, which the papers report"

log = logging.getLogger("synthset")


@shows("plan")
def print_plan(run: DryRun, workers: int | None = None, price_per_hour: float | None = None) -> None:
    """What `create` would do: counts, ten sample prompts, an estimate.

    Args:
        run: from `rehearse`.
        workers: that would share the work; None for one.
        price_per_hour: of one worker, for an estimate of the cost.
    """
    config, total = run.config, run.sample.total
    counts = {**run.sample.images, "total": total}
    print_table(
        ("strategy", "guidance", ">images", ">each class"),
        [(name, run.guidance.get(name, ""), f"{n:,}", f"{n // run.num_classes:,}") for name, n in counts.items()],
    )
    if config.refill:
        most = f"at most {run.max_draws:,} of a class and strategy"
        say(f"Then more, until the filter '{config.refill}' keeps as many; {most}.")
    if run.sentences:
        seconds = round(run.sentences.seconds_a_class)
        first = f"; before anything is drawn, they take about {duration(seconds)} a class" if seconds else ""
        say(f"The sentences are by '{run.sentences.writer}'{first}.")
    say(f"\nSample prompts (of {total:,}):")
    samples = []
    for request in run.shown:
        mixed = len(request.condition_images)
        prompt = f"(a mixture of {mixed} real image{'s' * (mixed > 1)})" if mixed else request.prompt
        samples.append((f"  {request.guidance_scale:.2f}", prompt))
    print_table(("  guidance", "prompt"), samples)
    if run.generation is None or run.estimate is None:
        unknown = "No estimate of time, nor of what is copied," if config.reuse else "No estimate of time,"
        say(f"\n{unknown} for the model is not at hand. Nothing was written.")
        log.warning("%s", run.reason)  # which words its options as flags
        return
    _print_drawing(config, run.generation)
    if run.reused:
        _print_reused(run.reused, total)
    _print_estimate(run.estimate, run.is_on_gpu, workers or 1, price_per_hour)
    say("Nothing was written.")


def _print_drawing(config: CreateConfig, generation: GenerationConfig) -> None:
    """The model, the sizes, and how sampling departs."""
    size = f"{generation.width_px} × {generation.height_px} px"
    if config.resize_px is None:
        stored = "as drawn"
    else:
        antialias = "with" if config.antialias else "without"
        stored = f"at {config.resize_px} × {config.resize_px} px, resized {antialias} anti-aliasing"
    steps = f"{config.steps} {generation.scheduler} steps"
    say(f"\nDrawn by {config.generator} at {size} in {steps}, stored {stored}.")
    if departures := config.sampling.phrases():
        say(f"Sampling: {'; '.join(departures)}.")
    if (images := config.initial_images) is not None:
        name = getattr(images, "name", str(images))
        shots = "" if config.shots is None else f"{config.shots} of each class of "
        say(f"Drawing begins at real images: {shots}{name}.")


def _print_reused(reused: Reused, total: int) -> None:
    """What is copied, from where, and why nothing is."""
    parts = ", ".join(f"{part.images:,} from '{part.dataset}'" for part in reused.copied)
    say(f"{reused.total:,} images are copied{f' ({parts})' if parts else ''}, {total - reused.total:,} are drawn.")
    if reused.unknown:
        say(f"Of these, {reused.unknown:,} have no sentences yet; those that are the same will be copied, too.")
    for text in reused.complaints:
        say(text)


def _print_estimate(estimate: Estimate, is_on_gpu: bool, workers: int, price_per_hour: float | None) -> None:
    """As measured on a few images here; of a run elsewhere it says nothing."""
    text = f"About {duration(estimate.seconds / workers)}"
    text += f" by {workers} workers such as this machine" if workers > 1 else " on this machine"
    if estimate.seconds >= 3600:
        text += f", {estimate.device_hours:,.1f} {'GPU' if is_on_gpu else 'machine'} hours"
    if price_per_hour is not None:
        text += f", at {price_per_hour:g} an hour {estimate.cost(price_per_hour):,.2f}"
    files = "file" if estimate.files == 1 else "files"
    say(f"{text}. About {_size(estimate.disk_bytes)} in {estimate.files:,} {files}.")


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


@shows("create")
def print_create(result: CreateResult) -> None:
    """The accounting of a dataset and where it lies."""
    folder = result.dataset.folder
    rate = f", {result.drawn / result.seconds:.1f} images/s" if result.drawn else ""
    was_finished = not result.drawn and not result.copied
    say(f"{result.accounting}; {_spent(result.seconds, was_finished=was_finished)}{rate}")
    for part in result.dataset.copied:
        say(f"{part.images:,} of {result.accounting.ok:,} images are copied from '{part.dataset}'")
    if result.refill is not None:
        kept, total, rounds = result.refill.kept, result.accounting.ok, len(result.refill.rounds)
        further = f"after {rounds} further round{'' if rounds == 1 else 's'}" if rounds else "without a further round"
        say(f"{kept:,} of {total:,} images are kept by the filter '{result.refill.method}', {further}")
    say(f"dataset  {folder}\npreview  {folder / 'preview.png'}")


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
        cells = (f"{row.images:,}", f"{row.score:.1%}", _range(row.low, row.high), minus)
        rows.append((row.view, *place, *cells, *[_percent(row.same_noise)] * is_shared))
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


@shows("recipes")
def print_recipes(recipes: Sequence[PaperRecipe]) -> None:
    """The papers' runs by name."""
    print_table(("recipe", "commands", "what"), [(one.name, ", ".join(one.commands), one.title) for one in recipes])


@shows("recipe")
def print_recipe(recipe: PaperRecipe) -> None:
    """The config file, as it is."""
    say(recipe.text, end="")


@shows("recipe", is_result=False)
def print_recipe_use(use: RecipeUse) -> None:
    """Which recipe a command runs by."""
    but = f"; given otherwise: {', '.join(use.overridden)}" if use.overridden else ""
    say(f"by recipe:{use.recipe} ({use.title}){but}")


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


_NONE_HELD_BACK = "none held back, so the last epoch is kept"


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
    chosen, spent = result.chosen, _spent(result.seconds, result.was_finished)
    held_back = f"{result.num_held_back:,} held-back synthetic images" if result.num_held_back else _NONE_HELD_BACK
    judged = "the last: how good it is, only a test can say"
    if chosen.held_back_accuracy is not None:
        judged = f"{chosen.held_back_accuracy:.1%} on the held-back synthetic images"
    say(
        f"{result.num_training:,} training and {held_back}; {spent}\n"
        f"chosen: epoch {chosen.epoch} of {len(result.history)}, {judged}\n"
        f"model  {folder}"
    )
    if seen := result.model_config.seen:
        say(f"It learned from other images too: {seen}.")


@shows("tune")
def print_tune(result: TuneResult, zero_shot: EvaluationResult | None = None) -> None:
    """How tuning went, and what zero-shot CLIP makes of the same real images."""
    chosen, spent = result.chosen, _spent(result.seconds, result.was_finished)
    filtered = f" ({result.num_filtered:,} left out by the shots)" if result.num_filtered else ""
    held_back = f", {result.num_held_back:,} held back" if result.num_held_back else ""
    say(f"{result.num_synthetic:,} synthetic images{filtered}{held_back} and {result.num_real:,} real ones; {spent}")
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
        return _percent(mean and mean.mean)
    return f"{mean.mean:.1%} ({_range(max(0, mean.low), min(1, mean.high))})"


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
    rows = [(name, _percent(share), _confused_with(result.class_names, counts[[i]], i)) for i, (name, share) in shown]
    print_table(("class", ">accuracy", "mostly taken for"), rows, left_out=len(result.class_names) - len(rows))
    say(f"details  {folder}")


def _interval(result: EvaluationResult) -> str:
    return f"(95 % interval {_range(result.low, result.high)})"


def _by_class(result: EvaluationResult) -> str:
    return f"{result.mean_per_class:.1%} as the mean over classes"


@shows("filter")
def print_filter(result: FilterResult) -> None:
    """Images kept and rejected of each class, and by which filter."""
    headings = ("class", ">images", ">kept", ">rejected", *(f">by {method}" for method in result.verdicts))
    columns = [result.counts(), result.counts(result.keep), result.counts(~result.keep)]
    columns += [result.counts(~verdicts.keep) for verdicts in result.verdicts.values()]
    rows = [
        (name, *(f"{count:,}" for count in counts))
        for name, *counts in zip(result.class_names, *(column.tolist() for column in columns), strict=True)
    ]
    whole = ("all", *(f"{int(column.sum()):,}" for column in columns))
    print_table(headings, rows[:MAX_ROWS], whole, left_out=max(0, len(rows) - MAX_ROWS))
    for method, verdicts in result.verdicts.items():
        found = int((~verdicts.keep).sum())
        say(f"{method:11}{f'{found:,} rejected' if found else 'none found to reject'}")
    say(f"verdicts   {result.folder / 'filters'}")


@shows("review")
def print_review(result: ReviewResult) -> None:
    """What a person said of the images, and where it lies."""
    rows = [("kept by hand", result.kept), ("rejected by hand", result.rejected), ("relabelled", result.relabelled)]
    rows += [("left out, by filters too", result.left_out), ("images", result.images)]
    print_table(("", ">images"), [(name, f"{count:,}") for name, count in rows])
    say(f"verdicts   {result.folder / 'filters'}")
    if result.phrases is not None:
        say(f"phrases    {result.phrases}")


@shows("cleared")
def print_cleared(methods: Sequence[str], folder: Path) -> None:
    """Which verdicts were taken away."""
    say(f"Took away the verdicts of {', '.join(methods)}." if methods else f"'{folder}' has no verdicts.")


@shows("demo")
def print_demo(result: DemoResult) -> None:
    """One row a strategy, the real-data reference below, where everything lies, and the same by hand."""
    headings = ("strategy", ">images", ">accuracy on real images", ">95 % interval")
    *rows, reference = [
        (row.view, f"{row.images:,}", f"{row.score:.1%}", _range(row.low, row.high)) for row in result.rows
    ]
    print_table(headings, rows, reference)
    say(result.footnote())
    for label, path in result.paths().items():
        say(f"{label:11}{path}")
    say("\nThe same by hand:")
    for command in result.commands:
        say(f"  {command}")


@shows("diagnosis")
def print_diagnosis(result: DiagnosisResult) -> None:
    """One row a set, the classes that need something, and where the report lies."""
    headings = ("set", ">images", ">diversity", ">images read by prompts", ">real images read by it", ">shift")
    rows = []
    for row in result.summary:
        shift = "–" if row.centroid_shift is None else f"{row.centroid_shift:.3f}"
        read = (_percent(row.prompt_accuracy), _percent(row.transfer_accuracy))
        rows.append((row.set, f"{row.images:,}", f"{row.centroid_distance:.2e}", *read, shift))
    print_table(headings, rows)
    open_ones = [row for row in result.classes if row.is_unresolved]
    troubled = [row for row in result.classes if row.remedy and not row.is_unresolved]
    judged = len(result.classes)
    fine = judged - len(troubled) - len(open_ones)
    num_sets = len({row.set for row in result.classes})
    where = f" of {num_sets:,} sets" if num_sets > 1 else ""
    say(f"\n{fine:,} of {judged:,} classes{where} are fine." + (" In need:" if troubled else ""))
    if troubled:
        rows = [(f"  {row.class_name}", row.set, row.verdict, row.remedy) for row in troubled[:MAX_ROWS]]
        print_table(("  class", "set", "verdict", "what to do"), rows)
    if len(troubled) > MAX_ROWS:
        say(f"  … {len(troubled) - MAX_ROWS:,} more in {result.folder / 'classes.csv'}")
    if open_ones:
        first = open_ones[0]
        say(f"Of {len(open_ones):,} there are {first.verdict}.")
        say(f"  For example {first.class_name} of {first.set}: {first.evidence}")
    if result.judged is not None:
        _print_judged(result.judged)
    say(f"report  {result.report}")


def _print_judged(judged: Judged) -> None:
    say(f"\nAs '{judged.judge}' sees them, of the {len(judged.meant):,} classes that it can tell:")
    rows = [(row.set, f"{row.images:,}", _percent(row.accuracy), _range(row.low, row.high)) for row in judged.sets]
    print_table(("set", ">images", ">recognised", ">95 % interval"), rows)


@shows("prompt_study")
def print_study(result: StudyResult) -> None:
    """One row a prompt, the words that reach the images and those that do not, and where the report lies."""
    headings = ("prompt", ">images", ">recognised", ">95 % interval", ">diversity", ">shift", ">adherence", "verdict")
    rows = []
    for row in result.variants:
        interval = "–" if row.low is None or row.high is None else _range(row.low, row.high)
        recognised = (f"{row.images:,}", _percent(row.accuracy), interval)
        measured = (f"{row.centroid_distance:.2e}", f"{row.centroid_shift:.3f}", _percent(row.adherence))
        rows.append((row.prompt or row.source, *recognised, *measured, row.reach or "–"))
    print_table(headings, rows)
    diversity = f"{result.reference_distance:.2e}"
    say(f"\nHeld against '{result.reference}', whose images of '{result.class_name}' have a diversity of {diversity}.")
    if result.modifiers:
        words = [
            (f"  {row.modifier}", f"{row.images:,}", _percent(row.adherence), row.reach)
            for row in result.modifiers[:MAX_ROWS]
        ]
        print_table(("  words", ">images", ">adherence", "verdict"), words)
    if len(result.modifiers) > MAX_ROWS:
        say(f"  … {len(result.modifiers) - MAX_ROWS:,} more in {result.folder / 'modifiers.csv'}")
    for doubt in result.doubts:
        log.warning("%s", doubt)
    say(f"report  {result.report}")


def _range(low: float, high: float) -> str:
    return f"{low:.1%} to {high:.1%}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _spent(seconds: float, was_finished: bool) -> str:
    return "all of it was there already" if was_finished else duration(seconds)


def _confused_with(class_names: Sequence[str], row: csr_array, index: int) -> str:
    cells = zip(row.indices.tolist(), row.data.tolist(), strict=True)
    others = [(-count, other) for other, count in cells if count and other != index]
    return f"{class_names[min(others)[1]]} ({-min(others)[0]})" if others else ""


@shows("predictions_file")
def print_predictions_file(path: Path) -> None:
    """Where a test says of each image what it was taken for."""
    say(f"predictions  {path}")


@shows("path")
def print_path(path: Path, name: str = "") -> None:
    """Where a result lies; without a name, the path alone, for scripts."""
    say(f"{name}  {path}" if name else path)


def say(text: object, end: str = "\n") -> None:
    """Print, without what a terminal would act on."""
    print(printable(str(text)), end=end)


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], last: Sequence[str] = (), *, left_out: int = 0
) -> None:
    """A plain table; a column whose heading begins with > is set to the right, and `last` stands apart.

    Args:
        left_out: number of further rows.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        justify = "right" if heading.startswith(">") else "left"
        table.add_column(printable(heading.lstrip(">")), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*map(printable, row))
    if left_out:
        table.add_row(f"… {left_out:,} more")
    if last:
        table.add_section()
        table.add_row(*map(printable, last))
    # as wide as it needs to be: a result that is piped to a file must not be cut at 80 columns
    Console(width=200, highlight=False, markup=False).print(table)
