"""Every stage, ended by INT, TERM, HUP and KILL at random moments: the exit code, no half-written file, the next run.

What INT, TERM and HUP end says so in one line, exits with 130, 143 or 129 and leaves no file that is being written. The
next run of the same command finishes, with the same files as a run that nothing happened to, and leaves none either.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from commands import Commands, Ended, warm
from fault_report import FaultReport

from synthset.dataset.export import MARKER as EXPORT_MARK

SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP)
INTERRUPTED = "error: Interrupted. Run the same command again to finish."


@dataclass(frozen=True)
class Stage:
    """A command line, and the folder that it writes into."""

    line: str
    output: str


ENCODER = "--encoder miniature"  # a fake, like the generator, whose images it is not made for
CLIP = "--clip miniature"
CREATE = "create --classes zero one two three --images-per-class 12 --shard-size 4 --output-dir"
SET = Stage(f"{CREATE} set", "set")
ANOTHER = Stage(f"{CREATE} another --seed 9", "another")
MODEL = Stage("train set --all-images --model small_cnn --epochs 6 --batch-size 16 --output-dir model", "model")
FILES = Stage("export set --all-images --output-dir files", "files")
DIAGNOSIS = Stage(f"diagnose set --all-images --real files {ENCODER} --output-dir diagnosis", "diagnosis")

# by name, those for every day first
STAGES = {
    "filter": Stage(f"filter set --method clip duplicates {ENCODER}", "set"),
    "train": Stage(f"{MODEL.line}led", "modelled"),
    "export": Stage(f"{FILES.line} --overwrite", "files"),
    "tune": Stage(f"tune set --all-images {CLIP} --epochs 20 --output-dir tuned", "tuned"),
    "diagnose": DIAGNOSIS,
    "report": Stage("report diagnosis", "diagnosis"),
    "create": Stage(f"{CREATE} created", "created"),
    "refill": Stage(f"{CREATE} refilled --refill clip {ENCODER} --threshold 0.2 --max-draws 24", "refilled"),
    "eval": Stage("eval model --real files --allow-training-images", "model"),
    "curve": Stage(f"tune set --all-images --real files {CLIP} --shots 1 2 --seeds 1 --output-dir curve", "curve"),
    "demo": Stage("demo --images-per-class 2 --output-dir demo", "demo"),
    "merge": Stage("merge set another --output-dir merged --overwrite", "merged"),
    "split": Stage("split set --output-dir parts --overwrite", "parts"),
}


def run(stages: int, each: int) -> list[FaultReport]:
    """The first so many stages, each ended `each` times, by the signals in turn."""
    moments, reports, commands = random.Random(0), [], warm()
    chosen = dict(list(STAGES.items())[:stages])
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        make_ready(commands, scratch, [stage.line for stage in chosen.values()])
        for number, (kind, stage) in enumerate(chosen.items()):
            lost = []
            seconds, whole = take_time(commands, scratch, stage)
            for turn in range(each):
                signum = SIGNALS[(number + turn) % len(SIGNALS)]
                faults = interrupt(commands, scratch, stage, signum, (moments, seconds), whole)
                lost += [f"{signum.name}: {fault}" for fault in faults]
            reports.append(FaultReport(f"{kind} ended by signals", each, each, each, lost=tuple(lost)))
    return reports


def make_ready(commands: Commands, scratch: Path, lines: Sequence[str]) -> None:
    """Run in `scratch / "ready"` the stages whose folders the lines name."""
    needed: list[Stage] = []
    for stage in (DIAGNOSIS, FILES, MODEL, ANOTHER, SET):
        if any(stage.output in line.split() for line in (*lines, *(later.line for later in needed))):
            needed.insert(0, stage)
    (scratch / "ready").mkdir()
    for stage in needed:
        run_stage(commands, scratch / "ready", stage)


def run_stage(commands: Commands, folder: Path, stage: Stage, **environment: object) -> Ended:
    """Run a stage in a folder, with a cache there."""
    ended = commands.run(stage.line, cwd=folder, **{"SYNTHSET_CACHE": folder / "cache", **environment})
    assert ended.code in (0, 3), ended.stderr  # 3: a class is short of images, which is no failure here
    return ended


def copy_of(scratch: Path) -> Path:
    """A fresh folder in which all that the stages need is ready."""
    shutil.rmtree(scratch / "run", ignore_errors=True)
    return shutil.copytree(scratch / "ready", scratch / "run")


def take_time(commands: Commands, scratch: Path, stage: Stage) -> tuple[float, dict[str, Any]]:
    """How many seconds a stage takes, and what it leaves."""
    folder, start = copy_of(scratch), time.monotonic()
    run_stage(commands, folder, stage)
    return time.monotonic() - start, outcome(folder / stage.output)


def interrupt(
    commands: Commands,
    scratch: Path,
    stage: Stage,
    signum: signal.Signals,
    moments: tuple[random.Random, float],
    whole: dict[str, Any],
) -> list[str]:
    """End a run at a random moment, and run it again; what was wrong, in words."""
    draw, seconds = moments
    while True:
        folder = copy_of(scratch)
        command = commands.start(stage.line, cwd=folder, SYNTHSET_CACHE=folder / "cache")
        time.sleep(draw.uniform(0, seconds))
        command.send(signum)
        ended = command.wait()
        if ended.code not in (0, 3):
            break
        seconds *= 0.9  # it was done before
    faults = []
    if signum == signal.SIGKILL:
        faults += [f"exit code {ended.code}"] if ended.code != -signum else []
    elif ended.code != -signum or outcome(folder) != outcome(scratch / "ready"):  # it came before anything began
        if ended.code != 128 + signum or ended.errors != [INTERRUPTED]:
            faults.append(f"exit code {ended.code}, {ended.stderr[-300:]!r}")
        faults += [f"'{path}' was left" for path in leftovers(folder)]
    try:
        run_stage(commands, folder, stage)
    except AssertionError as error:
        return [*faults, f"the next run failed: {error}"]
    faults += [f"the next run left '{path}'" for path in leftovers(folder)]
    after = outcome(folder / stage.output)
    faults += [f"'{path}' is another" for path in whole.keys() | after.keys() if whole.get(path) != after.get(path)]
    return faults


def leftovers(folder: Path) -> list[str]:
    """Hidden files but the mark of an export: all that is written in parts begins with a dot."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob(".*") if path.name != EXPORT_MARK]


def outcome(folder: Path) -> dict[str, Any]:
    """What lies in a folder, by its path there, without the times that work took."""
    return {path.relative_to(folder).as_posix(): _content(path) for path in folder.rglob("*") if path.is_file()}


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return _without_times(list(csv.DictReader(file)))
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return None if path.suffix in (".html", ".md") else path.read_bytes()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(inner) for key, inner in value.items() if key != "seconds"}
    return list(map(_without_times, value)) if isinstance(value, list) else value
