"""A clock that jumps by years while stages run, on files from the past and from the future: all is as if it did not.

Also a cache that cannot be written: a warning, and the same results.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path

from commands import warm
from fault_report import FaultReport
from signals import STAGES, Stage, copy_of, make_ready, outcome, run_stage, take_time

YEAR_SECONDS = 365 * 24 * 3600


def run(stages: int) -> list[FaultReport]:
    """The first so many stages of signals.py."""
    commands, jumped, unkept = warm(), [], []
    chosen = dict(list(STAGES.items())[:stages])
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        make_ready(commands, scratch, [stage.line for stage in chosen.values()])
        for kind, stage in chosen.items():
            _, whole = take_time(commands, scratch, stage)
            jumped += [f"{kind}: {fault}" for fault in _jump(scratch, stage, whole)]
            unkept += [f"{kind}: {fault}" for fault in _without_cache(scratch, stage, whole)]
    return [
        FaultReport("a clock that jumps", stages, stages, stages, lost=tuple(jumped)),
        FaultReport("a cache that cannot be written", stages, stages, stages, lost=tuple(unkept)),
    ]


def _jump(scratch: Path, stage: Stage, whole: dict[str, object]) -> list[str]:
    folder = copy_of(scratch)
    for number, path in enumerate(sorted(folder.rglob("*"))):
        moment = time.time() + (-1) ** number * 40 * YEAR_SECONDS
        os.utime(path, (moment, moment))
    ended = run_stage(warm(), folder, stage, CLOCK_JUMPS=20 * YEAR_SECONDS)
    faults = [] if ended.code == 3 or not ended.errors else [f"it says {ended.errors}"]  # 3: it is short of images
    faults += [] if outcome(folder / stage.output) == whole else ["what it leaves is another"]
    for path in (folder / stage.output).rglob("*.json"):
        seconds = [float(found) for found in re.findall(r'"seconds": ([-+.\w]+)', path.read_text())]
        faults += [f"'{path.name}' speaks of {one:g} seconds" for one in seconds if not 0 <= one < 3600]
    return faults


def _without_cache(scratch: Path, stage: Stage, whole: dict[str, object]) -> list[str]:
    folder = copy_of(scratch)
    (folder / "file").touch()  # for root may write into any folder
    ended = run_stage(warm(), folder, stage, SYNTHSET_CACHE=folder / "file")
    faults = [] if ended.code == 3 or not ended.errors else [f"it says {ended.errors}"]  # 3: it is short of images
    warnings = [line for line in ended.stderr.splitlines() if "not kept" in line]
    faults += [f"{len(warnings)} warnings: {warnings}"] if len(warnings) > 1 else []
    return faults + ([] if outcome(folder / stage.output) == whole else ["what it leaves is another"])
