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

from synthset.core.errors import DataError, setting
from synthset.create.config import CreateConfig
from synthset.create.plan import Part
from synthset.create.shards import Filled
from synthset.dataset.manifest import read_manifest
from synthset.dataset.plan import Plan
from synthset.dataset.reader import Dataset
from synthset.dataset.verdicts import read_one, write_verdicts
from synthset.dataset.writer import DatasetWriter
from synthset.filters import FilterInputs, judge
from synthset.filters.run import find_filter, prepare

if TYPE_CHECKING:
    from synthset.encoders.clip import Encoder

log = logging.getLogger("synthset")

MAX_FACTOR = 5  # times the images asked for: the most that refilling draws, unless told otherwise

Cell = tuple[str, int]  # a strategy and a class, by its index


@dataclass(frozen=True, eq=False)
class RefillJob:
    """The filter to refill by, with its inputs, and how far to go.

    Attributes:
        quotas, max_draws: by strategy, the images of each class to be kept, and to be drawn at most.
    """

    method: str
    inputs: FilterInputs
    class_names: tuple[str, ...]
    quotas: Mapping[str, int]
    max_draws: Mapping[str, int]

    def settings(self) -> dict[str, Any]:
        """Those of the filter. Raises UsageError for what it cannot judge."""
        return find_filter(self.method).settings(self.class_names, self.inputs)

    def describe(self) -> dict[str, Any]:
        """The entry in the job: the filter and its settings. How far to go may differ."""
        return {"method": self.method, **self.settings()}


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
        rounds: requests of each further round.
        kept, rejected: images of the whole dataset.
        short: where the quota was not met, though max_draws images were drawn.
        filled: images that this run drew or copied in further rounds.
    """

    method: str
    rounds: tuple[int, ...]
    kept: int
    rejected: int
    short: tuple[Shortage, ...]
    filled: Filled

    def notes(self) -> dict[str, Any]:
        """For the manifest: the same whether the run was interrupted or not."""
        return {key: value for key, value in asdict(self).items() if key != "filled"}

    def complaint(self) -> str:
        """Which classes are short, and how to fill them."""
        cells = [f"{s.class_name} ({s.strategy}): {s.kept:,} of {s.quota:,} in {s.draws:,} draws" for s in self.short]
        more = f" and {len(cells) - 5:,} more" if len(cells) > 5 else ""
        return (
            f"the filter '{self.method}' keeps too few images of {'; '.join(cells[:5])}{more}. Clarify such a class by "
            f"{setting('phrases')} ('synthset diagnose' says what it is taken for), lower the threshold, or give a "
            f"higher {setting('max_draws')} to go on."
        )


def prepare_refill(
    class_names: Sequence[str], config: CreateConfig, model: str, encoder: Encoder | None
) -> RefillJob | None:
    """Load what the filter needs, if there is one. Raises UsageError, DataError, ModelError where it cannot work.

    Args:
        model: that draws.
        encoder: of the filter, instead of the one that the config names.
    """
    if not config.refill:
        return None
    quotas = {run.name: run.images_per_class for run in config.runs()}
    limits = {name: config.max_draws or MAX_FACTOR * quota for name, quota in quotas.items()}
    for run in config.runs():
        run.prompt(class_names[0], limits[run.name] - 1)  # a source that runs out of prompts says so now
    inputs = prepare(config.filter, [model], encoder=encoder, phrases=config.style.phrases_by_class())
    job = RefillJob(config.refill, inputs, tuple(class_names), quotas, limits)
    job.settings()  # raises for what this filter cannot judge
    return job


def refill(
    job: RefillJob, writer: DatasetWriter, plan_more: Callable[[Part], Plan], draw: Callable[[DatasetWriter], Filled]
) -> tuple[DatasetWriter, Refill]:
    """Judge the images and draw as many as are short, until none are or max_draws is reached.

    Args:
        job: from `prepare_refill`.
        writer: of the dataset, its first plan drawn.
        plan_more: plans a part of the run, see plan.make_plan.
        draw: draws or copies the missing images of a writer's plan, and gives their numbers.
    Returns:
        The writer of the last round, and the outcome. The filter's verdicts are written.
    """
    draws, rounds, filled = _count(writer.plan.table, "class_index"), list[int](), Filled()
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
        filled += draw(writer)
        draws += _count(plan.table, "class_index")
        rounds.append(len(plan))
    return writer, Refill(job.method, tuple(rounds), kept.total(), rejected, _shortages(job, kept, draws), filled)


def _count(table: pa.Table, label_column: str) -> Counter[Cell]:
    return Counter(zip(*(table.column(name).to_pylist() for name in ("strategy", label_column)), strict=True))


def _judge(job: RefillJob, writer: DatasetWriter) -> tuple[Counter[Cell], int]:
    """Images kept of each class and strategy, and how many are rejected, as is on record or judged now."""
    dataset = Dataset(writer.folder, read_manifest(writer.folder))
    if not dataset.rows.num_rows:  # nothing could be drawn so far
        return Counter(), 0
    settings = json.loads(json.dumps(job.settings()))
    try:
        verdicts = read_one(writer.folder, job.method)
    except DataError as error:
        log.warning("%s It is judged again.", error)
        verdicts = None
    if verdicts is None or verdicts.rows_hash != dataset.rows_hash or verdicts.config != settings:
        verdicts = judge(dataset, job.method, find_filter(job.method), job.inputs)
        write_verdicts(writer.folder, verdicts)
    kept = dataset.drawn_rows.filter(pa.array(verdicts.keep))
    return _count(kept, "label"), dataset.rows.num_rows - kept.num_rows


def _further(job: RefillJob, kept: Counter[Cell], draws: Counter[Cell]) -> dict[Cell, range]:
    """The indices to draw next: as many as are short, within what may be drawn."""
    cells = [(strategy, label) for strategy in job.quotas for label in range(len(job.class_names))]
    stops = {cell: min(draws[cell] + job.quotas[cell[0]] - kept[cell], job.max_draws[cell[0]]) for cell in cells}
    return {cell: range(draws[cell], stop) for cell, stop in stops.items() if stop > draws[cell]}


def _shortages(job: RefillJob, kept: Counter[Cell], draws: Counter[Cell]) -> tuple[Shortage, ...]:
    return tuple(
        Shortage(name, strategy, kept[strategy, label], quota, draws[strategy, label])
        for strategy, quota in job.quotas.items()
        for label, name in enumerate(job.class_names)
        if kept[strategy, label] < quota
    )
