"""A `create` that is killed at 60 points, and run again: nothing lost, nothing drawn twice, the same images.

SIGKILL at `each` points of a kind: before the data of a file is synced; between write and rename; just after a rename;
while the job is being finished; and at twice as many random moments. Afterwards the ids and the hashes of all images
equal those of a run that nothing happened to.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fault_report import FaultReport, hashes, report

import synthset
from synthset.dataset.manifest import Accounting
from synthset.testing import FakeGenerator

KINDS = ("before sync", "before rename", "after rename", "finishing", "random")
JOB = {"strategies": ["base", "random_guidance"], "images_per_class": 48, "shard_size": 8}
CLASSES = ["cat", "dog"]
SHARDS = 24


def draw(folder: Path):
    """The job, with some images that are flagged and some that fail for good."""

    def status(request):
        return {0: "flagged", 1: "failed"}.get(request.id % 29, "ok")

    return synthset.create(CLASSES, folder, generator=FakeGenerator(status=status), max_failures=1, **JOB)


def run(each: int) -> list[FaultReport]:
    """All kinds of kills, `each` times, random ones twice as often."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        start = time.monotonic()
        whole = draw(scratch / "whole")
        seconds = time.monotonic() - start
        expected = hashes(scratch / "whole"), whole.accounting
        return [kill(kind, each * (1 + (kind == "random")), scratch, expected, seconds) for kind in KINDS]


def kill(kind: str, times: int, scratch: Path, expected: Any, seconds: float) -> FaultReport:
    """Kill `times` runs, each at another point, and finish them."""
    total, lost = Accounting(), []
    moments = random.Random(0)
    for number in range(times):
        folder = scratch / f"{kind}-{number}"
        if kind == "random":
            while not kill_after(moments.uniform(0, seconds), folder):
                shutil.rmtree(folder)  # it was done before
        else:
            # the plan and the manifest come first, then a file a shard, then four at the end
            point = SHARDS + 2 + number % 4 if kind == "finishing" else number * (SHARDS + 2) // times
            words = [sys.executable, __file__, "--draw", str(folder), "--kind", kind, "--point", str(point)]
            code = subprocess.run(words, stderr=subprocess.DEVNULL).returncode
            assert code == -signal.SIGKILL, f"expected a run killed at '{kind}' {point}, got exit code {code}"
        there = {path.name: path.stat().st_mtime_ns for path in (folder / "data").glob("train-*.parquet")}
        accounting = draw(folder).accounting
        kept = {path.name: path.stat().st_mtime_ns for path in (folder / "data").glob("train-*.parquet")}
        total += accounting
        if (hashes(folder), accounting) != expected:
            lost.append(f"run {number} has other images than one that was not killed")
        if not there.items() <= kept.items():
            lost.append(f"run {number} wrote a shard again")
        if list(folder.rglob("*.part")):
            lost.append(f"run {number} left a file half-written")
    return report(f"killed, {kind}", times, total, lost)


def kill_after(seconds: float, folder: Path) -> bool:
    """Kill a run so long after it began to work; False if it was done by then."""
    child = subprocess.Popen([sys.executable, __file__, "--draw", str(folder)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not folder.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(seconds)
    child.kill()
    return child.wait() == -signal.SIGKILL


def die_at(kind: str, point: int) -> None:
    """Have this process killed at the `point`-th file that it writes."""
    count = 0

    def counted(original: Callable[..., Any], before: bool) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal count
            here = count == point
            count += 1
            if here and before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **keywords)
            if here:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    if kind == "before sync":
        os.fsync = _of_files(os.fsync, counted)
    else:
        Path.replace = counted(Path.replace, kind != "after rename")


def _of_files(fsync: Callable[[int], None], counted: Callable[..., Any]) -> Callable[[int], None]:
    """Count the syncs of files, not those of folders."""
    import stat

    dying = counted(fsync, True)
    return lambda handle: (fsync if stat.S_ISDIR(os.fstat(handle).st_mode) else dying)(handle)


def main() -> None:
    """The run that is to be killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draw", type=Path, required=True)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--point", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.kind:
        die_at(arguments.kind, arguments.point)
    draw(arguments.draw)


if __name__ == "__main__":
    main()
