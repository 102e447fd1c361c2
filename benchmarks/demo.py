"""The demo's work by a counter, and its time, against an older commit.

    python benchmarks/demo.py --against COMMIT [--seeds 1] [--only count time]

Prints one JSON line a ratio, this tree's over the commit's, which is checked out beside and taken away again.
`demo_unet_rows` and `demo_training_steps` (bar 1/3) are counted in a process of one thread, which trains all networks
itself. `demo_seconds` (bar 0.4) is the wall time of `synthset demo` as a user runs it, once each: let nothing else run.
Accuracies of both are printed beside.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from start_up import COMMAND, REPOSITORY, checked_out
from timing import report_all

PARTS = ("count", "time")
COUNTED = """
import json, sys
from torch.optim.optimizer import register_optimizer_step_post_hook
from synthset.cli import main
from synthset.generators.latent_diffusion import LatentDiffusionGenerator
counts, predict = {"unet_rows": 0, "training_steps": 0}, LatentDiffusionGenerator._predict
def counted(self, latents, *rest):
    counts["unet_rows"] += len(latents)
    return predict(self, latents, *rest)
def step(*_):
    counts["training_steps"] += 1
LatentDiffusionGenerator._predict = counted
register_optimizer_step_post_hook(step)
code = main(sys.argv[2:])
json.dump(counts, open(sys.argv[1], "w"))
sys.exit(code)
"""


def main() -> int:
    """Measure all; 0 if what has a bar holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--against", metavar="COMMIT", required=True, help="an older commit to measure beside this tree"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synthset-demo-")))
        trees = (stack.enter_context(checked_out(arguments.against, folder / "tree")), REPOSITORY)
        return report_all(measure(arguments.only, trees, folder, arguments.seeds), arguments.output)


def measure(parts: Sequence[str], trees: tuple[Path, Path], folder: Path, seeds: int) -> Iterator[dict[str, object]]:
    """One result a ratio; the first tree is the older one."""
    if "count" in parts:
        before, after = (count(tree, folder / f"counted-{i}", seeds) for i, tree in enumerate(trees))
        for name in before:
            yield result(f"demo_{name}", before[name], after[name], 1 / 3)
    if "time" in parts:
        (before, rows_before), (after, rows_after) = (
            run(tree, folder / f"timed-{i}", seeds) for i, tree in enumerate(trees)
        )
        yield result("demo_seconds", before, after, 0.4) | {"accuracy_before": rows_before, "accuracy": rows_after}


def result(name: str, before: float, after: float, bar: float) -> dict[str, object]:
    """One line, with how busy the machine was."""
    return {
        "name": name,
        "ratio": round(after / before, 3),
        "bar": f"<= {bar:.3g}",
        "holds": after <= bar * before,
        "before": round(before, 1),
        "after": round(after, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def count(tree: Path, folder: Path, seeds: int) -> dict[str, int]:
    """What a demo takes, in units that no machine changes."""
    counts = folder.with_suffix(".json")
    _start((COUNTED, str(counts)), tree, folder, seeds, OMP_NUM_THREADS="1")
    return json.loads(counts.read_text())


def run(tree: Path, folder: Path, seeds: int) -> tuple[float, dict[str, float]]:
    """Seconds of a demo, and the accuracy of each of its rows."""
    begun = time.perf_counter()
    _start((COMMAND,), tree, folder, seeds)
    seconds = time.perf_counter() - begun
    rows = json.loads((folder / "results.json").read_text())["rows"]
    return seconds, {row["view"]: round(row["score"], 4) for row in rows}


def _start(script: Sequence[str], tree: Path, folder: Path, seeds: int, **environment: str) -> None:
    command = (sys.executable, "-c", *script, "demo", "--seeds", str(seeds), "--output-dir", str(folder))
    subprocess.run(
        command, stdout=subprocess.DEVNULL, check=True, env=os.environ | {"PYTHONPATH": str(tree / "src")} | environment
    )


if __name__ == "__main__":
    sys.exit(main())
