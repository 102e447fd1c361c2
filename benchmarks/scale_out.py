"""What more workers are worth on a CPU, what handing out shards costs, and what a stop costs.

    python benchmarks/scale_out.py [--images 480] [--steps 10]

Prints one JSON line a ratio. `scale_out_two_workers`: two one-thread workers of Ray finish shards at least 1.8 × as
fast as one. `scale_out_scheduling`: the time between two shards of a worker is at most 1 % of the time on them, worst
of the two runs. Both leave each worker's first shard out, in which it loads the model: `wall_ratio` of whole jobs has
that too. `scale_out_resuming`: a job that was stopped after half of its shards is finished in at most 0.55 × the time
of the whole, in this process; both load the model anew.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Generic

import torch

import synthset
from synthset.core.progress import set_progress
from synthset.executors import Executor, LocalExecutor
from synthset.executors.base import Item, Result
from timing import median_ratio, not_measured, report_all, time_in_turns

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHARDS = 12
WORKERS_BAR, SCHEDULING_BAR, RESUMING_BAR = 1.8, 0.01, 0.55


def main() -> int:
    """Measure all three, those of Ray where it is installed; 0 if those that were measured hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=480, help=f"of a job, in {SHARDS} shards")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    set_progress(False)
    folder = Path(tempfile.mkdtemp(prefix="synthset-scale-out-"))
    job = Job(folder, max(SHARDS, arguments.images), arguments.steps)
    try:
        return report_all(measure(job, arguments.rounds), arguments.output)
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Job:
    """A dataset of the miniature, drawn as often as asked, each time into a new folder."""

    folder: Path
    num_images: int
    steps: int

    def create(self, executor: Executor, name: str) -> None:
        """Draw it, or finish the one of that name."""
        images_per_class = self.num_images // len(CLASS_NAMES)
        synthset.create(
            CLASS_NAMES,
            self.folder / name,
            executor=executor,
            strategies=["random_guidance"],
            images_per_class=images_per_class,
            steps=self.steps,
            device="cpu",
            dtype="float32",
            shard_size=-(-images_per_class * len(CLASS_NAMES) // SHARDS),
            max_failures=1.0,
        )

    def conditions(self, rounds: int) -> dict[str, object]:
        """What a reader needs to judge a figure."""
        return {"images": self.num_images, "steps": self.steps, "shards": SHARDS, "rounds": rounds, "threads": 1}


def measure(job: Job, rounds: int) -> Iterator[dict[str, object]]:
    """One result after the other."""
    yield compare_resuming(job, rounds)
    reason = why_no_workers()
    if reason:
        yield not_measured("scale_out_two_workers", f">= {WORKERS_BAR}", reason)
        yield not_measured("scale_out_scheduling", f"<= {SCHEDULING_BAR}", reason)
    else:
        yield from compare_workers(job, rounds)


# ---- resuming -----------------------------------------------------------------------------------------------


class StoppedError(Exception):
    """The job was stopped, as by a kill."""


class StoppingExecutor:
    """Works on the first half of the shards and stops."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the first half of the results, then raise; a single item is done."""
        items = list(items)
        yield from map(work, islice(items, (len(items) + 1) // 2))
        if len(items) > 1:
            raise StoppedError


def compare_resuming(job: Job, rounds: int) -> dict[str, object]:
    """Seconds of finishing a job that is half done, over those of the whole."""
    for round_index in range(rounds):
        try:
            job.create(StoppingExecutor(), f"half-{round_index}")
        except StoppedError:
            continue
        raise AssertionError("expected a job that is stopped in the middle")

    def run_whole(round_index: int) -> int:
        job.create(LocalExecutor(), f"whole-{round_index}")
        return 1

    def resume(round_index: int) -> int:
        job.create(LocalExecutor(), f"half-{round_index}")
        return 1

    seconds = time_in_turns({"whole": run_whole, "rest": resume}, rounds)
    ratio = median_ratio(seconds["rest"], seconds["whole"])
    return {
        "name": "scale_out_resuming",
        "ratio": round(ratio, 3),
        "bar": f"<= {RESUMING_BAR}",
        "holds": ratio <= RESUMING_BAR,
        "whole_seconds": round(statistics.median(seconds["whole"]), 2),
        "rest_seconds": round(statistics.median(seconds["rest"]), 2),
        **job.conditions(rounds),
    }


# ---- workers of Ray -----------------------------------------------------------------------------------------


def why_no_workers() -> str:
    """Why this machine cannot say what a second worker is worth; empty if it can."""
    if find_spec("ray") is None or find_spec("synthset.executors.ray") is None:
        return "Ray is not installed"
    cores = len(os.sched_getaffinity(0))
    return "" if cores >= 2 else f"it takes two cores, here is {cores}"


@dataclass(frozen=True)
class Piece:
    """When one item was worked on, and where: seconds of the clock that all processes of a machine share."""

    worker: int
    start: float
    end: float


@dataclass(frozen=True)
class TimedWork(Generic[Item, Result]):
    """Work that also says when it was done; it travels to other processes."""

    work: Callable[[Item], Result]

    def __call__(self, item: Item) -> tuple[Result, Piece]:
        """The result and its piece."""
        start = time.monotonic()
        result = self.work(item)
        return result, Piece(os.getpid(), start, time.monotonic())


class TimedExecutor:
    """Another executor, with a clock at each item of its last `map`."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.pieces: list[Piece] = []

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """As the other executor."""
        self.pieces.clear()
        timed: TimedWork[Any, Any] = TimedWork(work)
        for result, piece in self.executor.map(timed, items):
            self.pieces.append(piece)
            yield result


def compare_workers(job: Job, rounds: int) -> Iterator[dict[str, object]]:
    """Shards a second of two workers over those of one, and what lies between the shards."""
    from synthset.executors.ray import RayExecutor

    executors = {n: TimedExecutor(RayExecutor(num_workers=n, cpus_per_worker=1)) for n in (1, 2)}
    # the first map starts Ray, with as many cores as its executor asks for: the larger one before the clock runs
    list(executors[2].map(abs, [1, 2]))
    rates: dict[int, list[float]] = {1: [], 2: []}
    gaps: dict[int, list[float]] = {1: [], 2: []}

    def run(num_workers: int, round_index: int) -> int:
        executor = executors[num_workers]
        job.create(executor, f"workers-{num_workers}-{round_index}")
        workers = by_worker(executor.pieces)
        if len(workers) != num_workers:
            raise AssertionError(f"expected {num_workers} workers, got {len(workers)}")
        rates[num_workers].append(sum(map(steady_rate, workers)))
        gaps[num_workers].append(statistics.fmean(map(gap_share, workers)))
        return 1

    sides = {"one": lambda index: run(1, index), "two": lambda index: run(2, index)}
    seconds = time_in_turns(sides, rounds)
    ratio = median_ratio(rates[2], rates[1])
    yield {
        "name": "scale_out_two_workers",
        "ratio": round(ratio, 3),
        "bar": f">= {WORKERS_BAR}",
        "holds": ratio >= WORKERS_BAR,
        "wall_ratio": round(median_ratio(seconds["one"], seconds["two"]), 3),
        "one_worker_seconds": round(statistics.median(seconds["one"]), 2),
        "two_workers_seconds": round(statistics.median(seconds["two"]), 2),
        **job.conditions(rounds),
    }
    share = max(statistics.median(gaps[n]) for n in gaps)
    yield {
        "name": "scale_out_scheduling",
        "ratio": round(share, 5),
        "bar": f"<= {SCHEDULING_BAR}",
        "holds": share <= SCHEDULING_BAR,
        "two_workers_share": round(statistics.median(gaps[2]), 5),
        **job.conditions(rounds),
    }


def by_worker(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """The pieces of each worker in their order; it has two at least."""
    found: dict[int, list[Piece]] = defaultdict(list)
    for piece in sorted(pieces, key=lambda piece: piece.start):
        found[piece.worker].append(piece)
    return list(found.values())


def steady_rate(pieces: list[Piece]) -> float:
    """Shards a second of a worker after its first."""
    return (len(pieces) - 1) / (pieces[-1].end - pieces[0].end)


def gap_share(pieces: list[Piece]) -> float:
    """Share of a worker's time after its first shard in which it works on none."""
    idle = sum(after.start - before.end for before, after in pairwise(pieces))
    return idle / (pieces[-1].end - pieces[0].end)


if __name__ == "__main__":
    sys.exit(main())
