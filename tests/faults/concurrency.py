"""Two commands at once on one folder: what is there afterwards is as if one had followed the other, or one is refused.

Each pair is started within the time that the first takes. What lies in the folder must then be what the two leave one
after the other, in either order, or what one leaves alone where the other was refused, in one line.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

from commands import Commands, Ended, warm
from fault_report import FaultReport
from signals import CLIP, CREATE, DIAGNOSIS, ENCODER, FILES, MODEL, copy_of, make_ready, outcome

CREATE_AGAIN = f"{CREATE} set --seed 7 --overwrite"
FILTER = f"filter set --method clip duplicates {ENCODER} --threshold"
# by name, those for every day first
PAIRS = {
    "create, train": (CREATE_AGAIN, f"{MODEL.line} --overwrite"),
    "filter, train": (f"{FILTER} 0.2", "train set --model small_cnn --epochs 2 --output-dir new"),
    "two filters": (f"{FILTER} 0.2", f"{FILTER} 0.3"),
    "filter, export": (f"{FILTER} 0.2", "export set --output-dir new"),
    "create, export": (CREATE_AGAIN, "export set --output-dir new"),
    "create, filter": (CREATE_AGAIN, f"{FILTER} 0.2"),
    "create, diagnose": (CREATE_AGAIN, f"{DIAGNOSIS.line} --tsne-images 0"),
    "filter, diagnose": (f"{FILTER} 0.2", f"diagnose set {ENCODER} --output-dir diagnosis --tsne-images 0"),
    "two creates": (f"{CREATE} new", f"{CREATE} new --seed 7"),
    "two refills": (
        f"{CREATE} new --refill clip {ENCODER} --threshold 0.2 --max-draws 24",
        f"{CREATE} new --refill clip {ENCODER} --threshold 0.2 --max-draws 18",
    ),
    "two trainings": (f"{MODEL.line} --overwrite", f"{MODEL.line} --overwrite --seed 7"),
    "train, eval": (f"{MODEL.line} --seed 7 --overwrite", "eval model --real files --allow-training-images"),
    "train, tune": (
        f"{MODEL.line} --seed 7 --overwrite",
        f"tune set --all-images {CLIP} --output-dir model --overwrite",
    ),
    "two exports": (f"{FILES.line} --overwrite", "export set --strategy base --output-dir files --overwrite"),
    "export, train on it": ("export another --output-dir files --overwrite", "train files --epochs 2 --output-dir new"),
    "two diagnoses": (DIAGNOSIS.line, f"{DIAGNOSIS.line} --seed 7"),
    "diagnose, report": (f"{DIAGNOSIS.line} --seed 7", "report diagnosis"),
    "two cache writers": (f"filter set --method clip {ENCODER}", f"filter another --method clip {ENCODER}"),
    "two demos": ("demo --images-per-class 2 --output-dir new", "demo --images-per-class 3 --output-dir new"),
}


def run(pairs: int, each: int) -> list[FaultReport]:
    """The first so many pairs, each `each` times."""
    moments, lost, refused, commands = random.Random(0), [], 0, warm()
    chosen = dict(list(PAIRS.items())[:pairs])
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        make_ready(commands, scratch, [line for lines in chosen.values() for line in lines])
        for kind, lines in chosen.items():
            states, seconds = one_after_the_other(commands, scratch, lines)
            for turn in range(each):
                fault, was_refused = at_once(commands, scratch, lines[:: 1 - 2 * (turn % 2)], states, moments, seconds)
                refused += was_refused
                lost += [f"{kind}: {fault}"] if fault else []
    total = len(chosen) * each
    return [FaultReport("two commands at once", total, total, total - refused, failed=refused, lost=tuple(lost))]


def one_after_the_other(
    commands: Commands, scratch: Path, lines: tuple[str, ...]
) -> tuple[dict[tuple[str, ...], Any], float]:
    """What the commands leave in each order, and each alone; and the seconds that the first took."""
    states, seconds = {}, 0.0
    for order in (lines, lines[::-1]):
        folder = copy_of(scratch)
        for count, line in enumerate(order, start=1):
            start = time.monotonic()
            commands.run(line, folder, SYNTHSET_CACHE=folder / "cache")
            seconds = seconds or time.monotonic() - start
            states[order[:count]] = state(folder)
    return states, seconds


def at_once(
    commands: Commands,
    scratch: Path,
    lines: tuple[str, ...],
    states: dict[tuple[str, ...], Any],
    moments: random.Random,
    seconds: float,
) -> tuple[str, bool]:
    """Run the second while the first runs; what was wrong, in words, and whether one of them was refused."""
    folder = copy_of(scratch)
    first = commands.start(lines[0], folder, SYNTHSET_CACHE=folder / "cache")
    time.sleep(moments.uniform(0, 0.8 * seconds))
    second = commands.start(lines[1], folder, SYNTHSET_CACHE=folder / "cache")
    ends = {lines[0]: first.wait(), lines[1]: second.wait()}
    done = tuple(line for line in lines if ends[line].code in (0, 3))
    # an order in which the refused one fails too is none to exclude
    allowed = [after for order, after in states.items() if set(done) <= set(order)]
    is_refused = len(done) < len(lines)
    for line, ended in ends.items():
        if line not in done and not said_in_one_line(ended):
            return f"'{line}' ended with {ended.code}: {ended.stderr[-300:]!r}", is_refused
    if not done:
        return f"neither was done: {ends}", is_refused
    if state(folder) not in allowed:
        codes = {line: ended.code for line, ended in ends.items()}
        return f"what is there is neither one's nor the other's, nor both's: {codes}", is_refused
    return "", is_refused


def said_in_one_line(ended: Ended) -> bool:
    """Whether a command was refused by exit code 1 or 2 and one line."""
    return ended.code in (1, 2) and len(ended.errors) == 1 and ended.errors[0].startswith("error: ")


def state(folder: Path) -> dict[str, Any]:
    """What lies in a folder, but for its cache, whose files have names of their own."""
    return {path: content for path, content in outcome(folder).items() if not path.startswith("cache/")}
