"""How long a drawing takes to begin with the embedded miniature, against importing torch and diffusers alone.

    python benchmarks/start_up.py [--rounds 5] [--against COMMIT] [--processor-time]

Prints one JSON line a ratio, each of processes that are started in turns. `start_up_first_row`: from the command to the
first row that enters the UNet, `synthset create` takes at most 2 × as long as `python -c "import torch, diffusers"`.
`start_up_no_op`: a command whose dataset is finished, and `start_up_four_images`: one that draws four images, over the
same; without a bar. With a commit there are lines that end in `_before`: the commands of that commit, which is checked
out beside and taken away again, over those of this tree. On a busy machine the processor's time says more than the
wall's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from timing import Work, median_ratio, report_all, time_in_turns

REPOSITORY = Path(__file__).parent.parent
NAMES = ("first_row", "no_op", "four_images")
LIBRARIES = (sys.executable, "-c", "import torch, diffusers")
COMMAND = "import sys; from synthset.cli import main; sys.exit(main(sys.argv[1:]))"
# torch is imported before the command instead of by it, which takes as long
FIRST_ROW = """
import os, torch
def stop(module, _inputs):
    if type(module).__name__ == "UNet2DConditionModel":
        os._exit(0)
torch.nn.modules.module.register_module_forward_pre_hook(stop)
import sys; from synthset.cli import main; main(sys.argv[1:]); sys.exit("no row came")
"""
LINE = ("create", "--classes", "one", "two", "--strategy", "class_prompt", "--images-per-class", "2", "--steps", "2")


def main() -> int:
    """Measure all; 0 if what has a bar holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", metavar="COMMIT", help="an older commit to measure beside this tree")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these ratios")
    parser.add_argument("--processor-time", action="store_true", help="count the processor's time, not the wall's")
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synthset-start-up-")))
        trees = {"": REPOSITORY}
        if arguments.against:
            trees["_before"] = stack.enter_context(checked_out(arguments.against, folder / "tree"))
        clock = processor_time if arguments.processor_time else time.perf_counter
        return report_all(measure(arguments.only, trees, folder, arguments.rounds, clock), arguments.output)


def processor_time() -> float:
    """Seconds of all processes that were waited for."""
    times = os.times()
    return times.children_user + times.children_system


def measure(
    names: Sequence[str], trees: dict[str, Path], folder: Path, rounds: int, clock: Callable[[], float]
) -> Iterator[dict[str, object]]:
    """One result a command and tree."""
    sides = {"libraries": run(LIBRARIES, REPOSITORY)}
    for suffix, tree in trees.items():
        finished = folder / f"finished{suffix}"
        works = {
            "first_row": run((sys.executable, "-c", FIRST_ROW, *LINE), tree, folder / f"first{suffix}"),
            "four_images": run((sys.executable, "-c", COMMAND, *LINE), tree, folder / f"four{suffix}"),
            "no_op": run((sys.executable, "-c", COMMAND, *LINE, "--output-dir", str(finished)), tree),
        }
        sides |= {f"{name}{suffix}": works[name] for name in names}
    for work in sides.values():
        work(0)  # the first start also reads its files from disk, and finishes the dataset
    seconds = time_in_turns(sides, rounds, clock)
    for name in names:
        ratio = median_ratio(seconds[name], seconds["libraries"])
        yield result(name, ratio, seconds[name], rounds, "<= 2" if name == "first_row" else "")
        if "_before" in trees:
            before = seconds[f"{name}_before"]
            yield result(f"{name}_before", median_ratio(before, seconds[name]), before, rounds)


def result(name: str, ratio: float, seconds: Sequence[float], rounds: int, bar: str = "") -> dict[str, object]:
    """One line, with how busy the machine was: a ratio says less the more it was."""
    return {
        "name": f"start_up_{name}",
        "ratio": round(ratio, 3),
        "bar": bar,
        "holds": ratio <= 2 if bar else None,
        "seconds": round(statistics.median(seconds), 2),
        "rounds": rounds,
        "load": round(os.getloadavg()[0], 1),
    }


def run(command: Sequence[str], tree: Path, folders: Path | None = None) -> Work:
    """A process of its own, once a round, on the package of a tree; in a new folder each time where one is given."""
    numbers = count()
    environment = os.environ | {"PYTHONPATH": str(tree / "src")}

    def work(_round_index: int) -> int:
        place = () if folders is None else ("--output-dir", f"{folders}-{next(numbers)}")
        subprocess.run((*command, *place), stdout=subprocess.DEVNULL, check=True, env=environment)
        return 1

    return work


@contextmanager
def checked_out(commit: str, tree: Path) -> Iterator[Path]:
    """A worktree of the commit, while it is needed."""
    git = ("git", "-C", str(REPOSITORY), "worktree")
    subprocess.run((*git, "add", "--quiet", "--detach", str(tree), commit), check=True)
    try:
        yield tree
    finally:
        subprocess.run((*git, "remove", "--force", str(tree)), check=True)


if __name__ == "__main__":
    sys.exit(main())
