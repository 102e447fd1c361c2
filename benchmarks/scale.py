"""Ten million requests on one machine: planned, drawn by a fake, stopped in the middle, resumed, opened.

    python benchmarks/scale.py [--requests 10000000] [--classes 1000] [--shard-size 10000]

What a job costs beside its model: the plan, the shards, the accounting. The generator gives the same 4 × 4 pixels to
every request, so that no time goes into drawing; everything else is what `create` does. Prints one JSON line:
at most ten minutes in all, and at most 2 GB of memory at its peak.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

import synthset
from synthset.create.stage import CreateResult
from synthset.executors.base import Item, Result
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.testing import FakeGenerator
from timing import report

MAX_SECONDS, MAX_MEGABYTES = 600, 2000


class ConstantGenerator(FakeGenerator):
    """Gives every request the same image."""

    image = GeneratedImage(np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8), "ok")

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """The same image for all."""
        return [self.image] * len(requests)


class StoppedError(Exception):
    """The job was stopped, as by a kill."""


class StoppingExecutor:
    """Works on the first `num_items` and stops."""

    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the first results, then raise."""
        items = list(items)
        yield from map(work, islice(items, self.num_items))
        if len(items) > self.num_items:
            raise StoppedError


def main() -> int:
    """Run the whole simulation; 0 if both bars hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--shard-size", type=int, default=10_000)
    parser.add_argument("--output", type=Path, help="a file to add the JSON line to")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="synthset-scale-"))
    try:
        result = simulate(arguments.requests, arguments.classes, arguments.shard_size, folder / "set")
    finally:
        shutil.rmtree(folder)
    report(result, arguments.output)
    return 0 if result["holds"] else 1


def simulate(num_requests: int, num_classes: int, shard_size: int, folder: Path) -> dict[str, object]:
    """Half of the job, the other half after a stop, and a third run that finds all done."""
    classes = [f"class {i}" for i in range(num_classes)]
    strategies = ("multi_domain", "random_guidance")
    num_shards = -(-num_requests // shard_size)

    def run(executor: StoppingExecutor | None = None) -> CreateResult:
        return synthset.create(
            classes,
            folder,
            generator=ConstantGenerator(size_px=4, preferred_batch_size=1024),
            executor=executor,
            strategies=strategies,
            images_per_class=num_requests // num_classes // len(strategies),
            shard_size=shard_size,
        )

    start = time.monotonic()
    stopped = False
    try:
        run(StoppingExecutor(1 + num_shards // 2))
    except StoppedError:
        stopped = True
    half = time.monotonic() - start
    first = shard_times(folder)
    result = run()
    whole = time.monotonic() - start
    again = run()
    seconds = time.monotonic() - start
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    nothing_lost = (
        stopped
        and result.accounting.requested == result.accounting.ok == num_requests
        and again.drawn == 0
        and first.items() <= shard_times(folder).items()  # what was there was not written again
    )
    return {
        "name": "scale_ten_million" if num_requests == 10_000_000 else "scale",
        "ratio": round(seconds / MAX_SECONDS, 3),
        "bar": f"<= 1 of {MAX_SECONDS} s, <= {MAX_MEGABYTES} MB",
        "holds": nothing_lost and seconds <= MAX_SECONDS and megabytes <= MAX_MEGABYTES,
        "nothing_lost": nothing_lost,
        "requests": num_requests,
        "shards": num_shards,
        "peak_megabytes": round(megabytes),
        "seconds_first_half": round(half, 1),
        "seconds_second_half": round(whole - half, 1),
        "seconds_nothing_to_do": round(seconds - whole, 1),
        "dataset_bytes_per_request": round(sum(f.stat().st_size for f in folder.rglob("*")) / num_requests, 1),
    }


def shard_times(folder: Path) -> dict[str, int]:
    """When each shard was written, in nanoseconds."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "data").glob("train-*.parquet")}


if __name__ == "__main__":
    sys.exit(main())
