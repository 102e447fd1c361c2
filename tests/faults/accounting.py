"""Honest accounting: requested = ok + flagged + failed whatever fails, and an interrupted run says so (130)."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from fault_report import FAKE_MODEL, FaultReport, report, run_command

from synthset.dataset.manifest import Accounting
from synthset.dataset.reader import open_dataset
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.testing import FakeGenerator

IMAGES_PER_CLASS = 40
STATUSES = ("ok", "blank", "flagged", "failed")


@dataclass
class Unreliable(FakeGenerator):
    """Each attempt ends as chance has it, and memory runs out now and then; the same again with the same `mix`."""

    mix: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        chance = random.Random(self.mix)
        self.weights = [chance.random() ** 2 + 0.01 for _ in STATUSES]
        self.most = chance.choice((1, 3, 16, 16))
        self.hopeless = chance.choice(("cat", "dog", "none"))  # a class that never comes out
        self.status = self.draw_status

    def draw_status(self, request: ImageRequest) -> str:
        """By the request and its seed, which is another one at each attempt."""
        if request.class_name == self.hopeless:
            return STATUSES[1 + request.seed % 3]
        return random.Random(request.seed + self.mix).choices(STATUSES, self.weights)[0]

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        time.sleep(self.seconds)
        if len(requests) > self.most:
            raise MemoryError
        return super().generate(requests)


def run(mixes: int, interruptions: int) -> list[FaultReport]:
    """So many mixes of faults, and so many runs that are interrupted (SIGINT) and finished."""
    total, lost = Accounting(), []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for mix in range(mixes):
            ran = run_command(*command(scratch / f"{mix}"), generator=Unreliable(mix=mix))
            accounting = open_dataset(scratch / f"{mix}").accounting
            total += accounting
            allowed = 3 if accounting.ok < 0.99 * accounting.requested else 0
            lost += [f"mix {mix}: {fault}" for fault in (ran.fault(allowed), miscounted(scratch / f"{mix}")) if fault]
        for number in range(interruptions):
            folder = scratch / f"interrupted-{number}"
            code, said = interrupt(folder, 0.05 + 0.1 * number)
            if code != 130 or said.count("\n") != 1 or "Traceback" in said:
                lost.append(f"SIGINT gave exit code {code}: {said[-200:]!r}")
            run_command(*command(folder), generator=Unreliable(mix=0))
            total += open_dataset(folder).accounting
            if fault := miscounted(folder):
                lost.append(f"interruption {number}: {fault}")
    return [report("fault mixes, interruptions", mixes + interruptions, total, lost)]


def command(folder: Path) -> list[object]:
    """160 images."""
    words = ("--strategy", "base", "random_guidance", "--images-per-class", IMAGES_PER_CLASS, "--shard-size", 32)
    return ["create", "--classes", "cat", "dog", *FAKE_MODEL, *words, "--outdir", folder]


def miscounted(folder: Path) -> str:
    """Where the accounting and the files disagree."""
    accounting, rows = open_dataset(folder).accounting, open_dataset(folder).rows
    failures = pq.read_table(folder / "failures.parquet")
    flagged = Counter(failures.column("status").to_pylist())["flagged"]
    ids = rows.column("request_id").to_pylist() + failures.column("request_id").to_pylist()
    if sorted(ids) != list(range(4 * IMAGES_PER_CLASS)):
        return "requests are missing, or there twice"
    counted = (len(ids), rows.num_rows, flagged, failures.num_rows - flagged)
    if counted != (accounting.requested, accounting.ok, accounting.flagged, accounting.failed):
        return f"{accounting}, but the files hold {counted}"
    return ""


def interrupt(folder: Path, seconds: float) -> tuple[int, str]:
    """Exit code and stderr of a run that is interrupted `seconds` after it began to draw."""
    # a signal that a shell in the background made to be ignored stays ignored in what it starts
    words = [sys.executable, __file__, *map(str, command(folder))]
    child = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    deadline = time.monotonic() + 60
    while not (folder / "plan.parquet").exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(seconds)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    return child.returncode, said


if __name__ == "__main__":
    finished = run_command(*sys.argv[1:], generator=Unreliable(mix=0, seconds=0.3))
    print(finished.stderr, end="", file=sys.stderr)
    sys.exit(finished.code)
