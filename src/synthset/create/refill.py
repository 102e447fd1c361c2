"""Refill: draw until a filter keeps as many images of each class and strategy as were asked for.

    draw the plan ─▶ judge all images ─▶ count what is short ─▶ plan and draw that many more ─▶ judge …

Further images carry on where the indices of their class and strategy ended, so each has the seed that it would
have in a larger run. A round's plan is stored before it is drawn: a run that was killed goes on with the same
requests. Images that the filter rejects stay in the dataset, with their verdict; they never fill a class.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from synthset.core.errors import DataError, UnknownNameError, UsageError, setting
from synthset.create.plan import Part
from synthset.dataset.manifest import read_manifest
from synthset.dataset.plan import Plan
from synthset.dataset.reader import Dataset
from synthset.dataset.verdicts import read_one, write_verdicts
from synthset.dataset.writer import DatasetWriter
from synthset.filters import FILTERS, Filter, FilterConfig, FilterInputs, judge
from synthset.filters.run import prepare
from synthset.prompts.strategies import StrategyRun

if TYPE_CHECKING:
    from synthset.encoders.clip import Encoder

log = logging.getLogger("synthset")

MAX_FACTOR = 5  # times the images asked for: the most that refilling draws, unless told otherwise

Cell = tuple[str, int]  # a strategy and a class, by its index


@dataclass(frozen=True, eq=False)
class RefillJob:
    """The filter to refill by and how far to go, ready to be used.

    Attributes:
        method: name of the filter.
        filter: the filter itself.
        inputs: its inputs, see filters.FilterInputs.
        class_names: the k classes.
        quotas: images to be kept of each class, by strategy.
        max_draws: images to be drawn of each class at most, by strategy.
    """

    method: str
    filter: Filter
    inputs: FilterInputs
    class_names: tuple[str, ...]
    quotas: Mapping[str, int]
    max_draws: Mapping[str, int]

    def describe(self) -> dict[str, Any]:
        """The entry in the job: the filter and its settings. How far to go may differ."""
        return {"method": self.method, **self.filter.settings(self.class_names, self.inputs)}


@dataclass(frozen=True)
class Shortage:
    """A class and strategy of which fewer images are kept than were asked for."""

    class_name: str
    strategy: str
    kept: int
    quota: int
    draws: int


@dataclass(frozen=True)
class Refill:
    """The outcome of refilling.

    Attributes:
        method: name of the filter.
        rounds: requests of each further round.
        kept, rejected: images of the whole dataset.
        short: where the quota was not met, though max_draws images were drawn.
        drawn: images that this run drew in further rounds.
    """

    method: str
    rounds: tuple[int, ...]
    kept: int
    rejected: int
    short: tuple[Shortage, ...]
    drawn: int

    def notes(self) -> dict[str, Any]:
        """For the manifest: the same whether the run was interrupted or not."""
        return {key: value for key, value in asdict(self).items() if key != "drawn"}

    def complaint(self) -> str:
        """Which classes are short, and how to fill them."""
        cells = [f"{s.class_name} ({s.strategy}): {s.kept:,} of {s.quota:,} in {s.draws:,} draws" for s in self.short]
        more = f" and {len(cells) - 5:,} more" if len(cells) > 5 else ""
        return (
            f"the filter '{self.method}' keeps too few images of {'; '.join(cells[:5])}{more}. Clarify such a class by "
            f"{setting('phrases')} ('synthset diagnose' says what it is taken for), lower the threshold, or give a "
            f"higher {setting('max_draws')} to go on."
        )


def check_refill(method: str | None, config: FilterConfig, max_draws: int | None, images_per_class: int) -> None:
    """Raises UsageError for options that refilling cannot have."""
    if method is None:
        if max_draws is not None:
            raise UsageError(
                f"Expected {setting('refill')} with {setting('max_draws')}, e.g. {setting('refill', 'clip')}. "
                "Without it nothing is redrawn."
            )
        return
    if method not in FILTERS:
        raise UnknownNameError("filter", method, FILTERS)
    if config.keep_share is not None:
        raise UsageError(
            f"Expected a threshold to refill by, got {setting('keep_share')}: a share is rejected of any number."
        )
    if max_draws is not None and max_draws < images_per_class:
        raise UsageError(
            f"Expected {setting('max_draws')} of at least {setting('images_per_class', images_per_class)}, "
            f"got {max_draws}."
        )


def prepare_refill(
    method: str,
    config: FilterConfig,
    class_names: Sequence[str],
    runs: Sequence[StrategyRun],
    max_draws: int | None = None,
    encoder: Encoder | None = None,
    phrases: Mapping[str, str] | None = None,
) -> RefillJob:
    """Load what the filter needs. Raises UsageError, DataError, ModelError where it cannot work."""
    limits = {run.name: max_draws or MAX_FACTOR * run.images_per_class for run in runs}
    for run in runs:
        run.prompt(class_names[0], limits[run.name] - 1)  # a source that runs out of prompts says so now
    quotas = {run.name: run.images_per_class for run in runs}
    inputs = prepare(config, encoder=encoder, phrases=phrases)
    job = RefillJob(method, FILTERS[method], inputs, tuple(class_names), quotas, limits)
    job.describe()  # raises for what this filter cannot judge
    return job


def refill(
    job: RefillJob,
    writer: DatasetWriter,
    plan_more: Callable[[Part], Plan],
    draw: Callable[[DatasetWriter], int],
) -> tuple[DatasetWriter, Refill]:
    """Judge the images and draw as many as are short, until none are or max_draws is reached.

    Args:
        job: from `prepare_refill`.
        writer: of the dataset, its first plan drawn.
        plan_more: plans a part of the run, see plan.make_plan.
        draw: draws the missing images of a writer's plan, and gives their number.
    Returns:
        The writer of the last round, and the outcome. The filter's verdicts are written.
    """
    draws, rounds, drawn = _requests(writer.plan), list[int](), 0
    while True:
        plan = writer.stored_round(len(rounds))
        if plan is not None:  # of a run before this one
            writer = writer.continued(plan)
        else:
            kept, rejected = _judge(job, writer)
            indices = _further(job, kept, draws)
            if not indices:
                break
            plan = plan_more(Part(indices, writer.next_id))
            writer = writer.begin_round(len(rounds), plan)
        drawn += draw(writer)
        draws += _requests(plan)
        rounds.append(len(plan))
    return writer, Refill(job.method, tuple(rounds), kept.total(), rejected, _shortages(job, kept, draws), drawn)


def _requests(plan: Plan) -> Counter[Cell]:
    columns = (plan.table.column(name).to_pylist() for name in ("strategy", "class_index"))
    return Counter(zip(*columns, strict=True))


def _judge(job: RefillJob, writer: DatasetWriter) -> tuple[Counter[Cell], int]:
    """Images kept of each class and strategy, and how many are rejected, as is on record or judged now."""
    dataset = Dataset(writer.folder, read_manifest(writer.folder))
    if not dataset.rows.num_rows:  # nothing could be drawn so far
        return Counter(), 0
    settings = json.loads(json.dumps(job.filter.settings(job.class_names, job.inputs)))
    try:
        verdicts = read_one(writer.folder, job.method)
    except DataError as error:
        log.warning("%s It is judged again.", error)
        verdicts = None
    if verdicts is None or verdicts.rows_hash != dataset.rows_hash or verdicts.config != settings:
        verdicts = judge(dataset, job.method, job.filter, job.inputs)
        write_verdicts(writer.folder, verdicts)
    kept = dataset.rows.filter(pa.array(verdicts.keep))
    columns = (kept.column(name).to_pylist() for name in ("strategy", "label"))
    return Counter(zip(*columns, strict=True)), dataset.rows.num_rows - kept.num_rows


def _further(job: RefillJob, kept: Counter[Cell], draws: Counter[Cell]) -> dict[Cell, range]:
    """The indices to draw next: as many as are short, within what may be drawn."""
    indices = {}
    for strategy, quota in job.quotas.items():
        for label in range(len(job.class_names)):
            cell = strategy, label
            count = min(quota - kept[cell], job.max_draws[strategy] - draws[cell])
            if count > 0:
                indices[cell] = range(draws[cell], draws[cell] + count)
    return indices


def _shortages(job: RefillJob, kept: Counter[Cell], draws: Counter[Cell]) -> tuple[Shortage, ...]:
    return tuple(
        Shortage(name, strategy, kept[strategy, label], quota, draws[strategy, label])
        for strategy, quota in job.quotas.items()
        for label, name in enumerate(job.class_names)
        if kept[strategy, label] < quota
    )
