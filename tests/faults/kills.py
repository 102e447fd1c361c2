"""A `create` that is killed at 60 points, and run again: nothing lost, nothing drawn twice, the same images.

    python tests/faults/kills.py [--each 10]

SIGKILL at `each` points of a kind: before the data of a file is synced; between write and rename; just after a rename;
while the job is being finished; and at twice as many random moments. Afterwards the ids and the hashes of all images
equal those of a run that nothing happened to. Prints a line a kind; exits 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import synthset
from synthset.dataset import open_dataset
from synthset.testing import FakeGenerator

KINDS = ("before sync", "before rename", "after rename", "finishing", "random")
JOB = {"strategies": ["base", "random_guidance"], "images_per_class": 48, "shard_size": 8}
CLASSES = ["cat", "dog"]
SHARDS = 24


@dataclass(frozen=True)
class Kills:
    """What became of the datasets of one kind of kill."""

    kind: str
    kills: int
    requested: int
    ok: int
    flagged: int
    failed: int
    lost: int


def draw(folder: Path):
    """The job, with some images that are flagged and some that fail for good."""

    def status(request):
        return {0: "flagged", 1: "failed"}.get(request.id % 29, "ok")

    return synthset.create(CLASSES, folder, generator=FakeGenerator(status=status), max_failures=1, **JOB)


def hashes(folder: Path) -> dict[int, str]:
    """The SHA-256 of each image, by its request."""
    rows = open_dataset(folder).rows
    return dict(zip(rows.column("request_id").to_pylist(), rows.column("sha256").to_pylist(), strict=True))


def run(each: int) -> list[Kills]:
    """All kinds of kills, `each` times, random ones twice as often."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        start = time.monotonic()
        whole = draw(scratch / "whole")
        seconds = time.monotonic() - start
        expected = hashes(scratch / "whole"), whole.accounting
        return [kill(kind, each * (1 + (kind == "random")), scratch, expected, seconds) for kind in KINDS]


def kill(kind: str, times: int, scratch: Path, expected: Any, seconds: float) -> Kills:
    """Kill `times` runs, each at another point, and finish them."""
    requested = ok = flagged = failed = lost = 0
    moments = random.Random(0)
    for number in range(times):
        folder = scratch / f"{kind}-{number}"
        if kind == "random":
            child = subprocess.Popen([sys.executable, __file__, "--draw", str(folder)], stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 60
            while not folder.exists() and child.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)  # from here on it is at work
            time.sleep(moments.uniform(0, 2 * seconds))
            child.kill()
            child.wait()
        else:
            # the plan and the manifest come first, then a file a shard, then four at the end
            point = SHARDS + 2 + number % 4 if kind == "finishing" else number * (SHARDS + 2) // times
            words = [sys.executable, __file__, "--draw", str(folder), "--kind", kind, "--point", str(point)]
            code = subprocess.run(words, stderr=subprocess.DEVNULL).returncode
            assert code == -signal.SIGKILL, f"expected a run killed at '{kind}' {point}, got exit code {code}"
        there = {path.name: path.stat().st_mtime_ns for path in (folder / "data").glob("train-*.parquet")}
        accounting = draw(folder).accounting
        kept = {path.name: path.stat().st_mtime_ns for path in (folder / "data").glob("train-*.parquet")}
        requested, ok = requested + accounting.requested, ok + accounting.ok
        flagged, failed = flagged + accounting.flagged, failed + accounting.failed
        same = (hashes(folder), accounting) == expected
        lost += not same or not there.items() <= kept.items() or bool(list(folder.rglob("*.part")))
    return Kills(kind, times, requested, ok, flagged, failed, lost)


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


def main() -> int:
    """0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--draw", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--point", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.draw:
        if arguments.kind:
            die_at(arguments.kind, arguments.point)
        draw(arguments.draw)
        return 0
    results = run(arguments.each)
    for r in results:
        print(
            f"{r.kills} × killed, {r.kind}: {r.requested:,} requested = {r.ok:,} ok + {r.flagged:,} flagged + "
            f"{r.failed:,} failed; {r.lost} datasets otherwise than without"
        )
    return int(any(r.lost or r.requested != r.ok + r.flagged + r.failed for r in results))


if __name__ == "__main__":
    sys.exit(main())
