"""What the commands print of datasets: plans, what was drawn, what filters and people say, and the demo."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.printing import MAX_ROWS, print_table, say, span, spent
from synthset.core.progress import duration

if TYPE_CHECKING:
    from synthset.comparison.summary import ComparisonRow
    from synthset.create.config import CreateConfig
    from synthset.create.dry_run import DryRun, Reused
    from synthset.create.estimate import Estimate
    from synthset.create.stage import CreateResult
    from synthset.demo import DemoResult, DemoWork
    from synthset.filters import FilterResult
    from synthset.generators.base import GenerationConfig
    from synthset.recipes import PaperRecipe, RecipeUse
    from synthset.review import ReviewResult


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
    say(f"{result.accounting}; {spent(result.seconds, was_finished=was_finished)}{rate}")
    for part in result.dataset.copied:
        say(f"{part.images:,} of {result.accounting.ok:,} images are copied from '{part.dataset}'")
    if result.refill is not None:
        kept, total, rounds = result.refill.kept, result.accounting.ok, len(result.refill.rounds)
        further = f"after {rounds} further round{'' if rounds == 1 else 's'}" if rounds else "without a further round"
        say(f"{kept:,} of {total:,} images are kept by the filter '{result.refill.method}', {further}")
    say(f"dataset  {folder}\npreview  {folder / 'preview.png'}")


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


@shows("images_per_class", is_result=False)
def print_demo_begin(images_per_class: int, seeds: int) -> None:
    """What the demo does, before anything is loaded."""
    from synthset.demo import SHOWN, STRATEGIES

    several = f", {seeds} times" if seeds > 1 else ""
    say(
        f"{len(SHOWN) - 1} strategies draw {images_per_class} images of each of ten digits, and "
        f"{len(STRATEGIES) + 1} small networks learn{several}."
    )
    sys.stdout.flush()


@shows("work", is_result=False)
def print_demo_work(work: DemoWork) -> None:
    """How long that takes."""
    say(
        f"About {duration(work.seconds)} on this machine: {work.unet_rows:,} rows through the UNet, "
        f"{work.learned_images:,} images through a training step."
    )
    sys.stdout.flush()


@shows("first_row", is_result=False)
def print_demo_row(row: ComparisonRow) -> None:
    """The first row, as soon as it is known."""
    interval = span(row.low, row.high)
    say(f"First of all, {row.view}: {row.score:.1%} of the real digits ({interval}) by {row.images:,} images.")
    sys.stdout.flush()


@shows("demo")
def print_demo(result: DemoResult) -> None:
    """One row a strategy, the real-data reference below, where everything lies, and the same by hand."""
    headings = ("strategy", ">images", ">accuracy on real images", ">95 % interval")
    *rows, reference = [
        (row.view, f"{row.images:,}", f"{row.score:.1%}", span(row.low, row.high)) for row in result.rows
    ]
    print_table(headings, rows, reference)
    say(result.footnote())
    for label, path in result.paths().items():
        say(f"{label:11}{path}")
    say("\nThe same by hand:")
    for command in result.commands:
        say(f"  {command}")
