"""All ratios, each script in a process of its own: a table, and a file if one is asked for.

    python benchmarks [--only generation job] [--quick] [--output benchmarks.json]

Exit code 0 if all that was measured holds; what this machine cannot measure is listed with the reason.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from timing import not_measured

FOLDER = Path(__file__).parent
Result = dict[str, object]


@dataclass(frozen=True)
class Script:
    """A file of this folder.

    Attributes:
        name: without its ending.
        quick: arguments with which it ends within a minute or so; the ratios then say little.
        needs_gpu: whether it can only measure where there is one; its quick form runs anywhere.
    """

    name: str
    quick: tuple[str, ...] = ()
    needs_gpu: bool = False


# networks so small that they run anywhere, to see that the script works
TINY_ON_CPU = ("--tiny", "--device", "cpu", "--compiler", "eager")
SMALL_JOB = ("--images", "20", "--steps", "2", "--batch-size", "6", "--rounds", "1")
SCRIPTS = (
    Script("start", ("--rounds", "5")),
    Script("generation", ("--images", "50", "--peer-images", "5", "--steps", "5")),
    Script("per_process", ("--images-per-pair", "2", "--steps", "5", "--rounds", "1")),
    Script("job", ("--images", "50", "--steps", "5", "--rounds", "1")),
    Script("pipelining", ("--images", "64", "--shard-size", "16", "--rounds", "1")),
    Script("training", ("--images", "512")),
    Script("neighbours", ("--queries", "256", "--references", "8192", "--rounds", "1")),
    Script("scale_out", ("--images", "120", "--steps", "2", "--rounds", "1")),
    Script("engine", ("--rows", "64", "--steps", "2", "--rounds", "1", "--compiler", "eager")),
    Script("gpu_generation", (*TINY_ON_CPU, *SMALL_JOB), needs_gpu=True),
)


def main() -> int:
    """Run the scripts and print the table; 0 if all that was measured holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[script.name for script in SCRIPTS], help="these scripts")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that the scripts work")
    parser.add_argument("--output", type=Path, help="a JSON file for all results, e.g. benchmarks.json")
    arguments = parser.parse_args()
    chosen = [script for script in SCRIPTS if arguments.only is None or script.name in arguments.only]
    results = [result for script in chosen for result in run(script, quick=arguments.quick)]
    Console().print(make_table(results))
    if arguments.output is not None:
        machine = {"processor": platform.machine(), "torch": torch.__version__, "quick": arguments.quick}
        arguments.output.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    return 1 if any(result["holds"] is False for result in results) else 0


def run(script: Script, quick: bool) -> list[Result]:
    """The results of a script; one that fails has a result that says so and does not hold."""
    path = FOLDER / f"{script.name}.py"
    if not path.exists():
        return [not_measured(script.name, "", "no such script")]
    if script.needs_gpu and not quick and not torch.cuda.is_available():
        return [not_measured(script.name, "", "it takes a GPU, here is none")]
    with tempfile.TemporaryDirectory(prefix="synthset-benchmarks-") as folder:
        lines = Path(folder) / "results.jsonl"
        lines.touch()
        arguments = script.quick if quick else ()
        code = subprocess.run([sys.executable, str(path), *arguments, "--output", str(lines)]).returncode
        results: list[Result] = [json.loads(line) for line in lines.read_text().splitlines()]
    # a script that measured and found a bar missed ends with 1 too
    if code and all(result["holds"] is not False for result in results):
        failed = not_measured(script.name, "", f"the script ended with exit code {code}, see above")
        results.append({**failed, "holds": False})
    return results


def make_table(results: Iterable[Result]) -> Table:
    """A row a ratio."""
    table = Table("name", "ratio", "bar", "holds")
    for result in results:
        ratio = result["ratio"]
        shown = f"{ratio:.4g}" if isinstance(ratio, int | float) else "not measured"
        holds = {True: "yes", False: "no", None: ""}[bool(result["holds"]) if result["holds"] is not None else None]
        reason = str(result.get("reason", ""))
        table.add_row(str(result["name"]), shown, str(result["bar"]), " ".join(filter(None, (holds, reason))))
    return table


if __name__ == "__main__":
    sys.exit(main())
