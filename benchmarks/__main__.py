"""All ratios, each script in a process of its own: a table, and a file if one is asked for.

    python benchmarks [--only generation job] [--quick] [--output benchmarks.json]
    python benchmarks --gpu        # what takes one, and nothing else

Exit code 0 if all that was measured holds; what this machine cannot measure is listed with the reason. A script is
stopped at its limit, all of them together at a quarter of an hour without a GPU; what it measured until then stands. A
figure is of the kind of processor that is named above the table: other instructions give other ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
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
        limit_s: seconds after which it is stopped.
        usual: arguments with which slow cores end well before the limit.
        quick: arguments with which it ends within a minute or so; the ratios then say little.
        needs_gpu: whether it can only measure where there is one; its quick form runs anywhere.
        when_named: whether it runs only where it is named: it takes long.
    """

    name: str
    limit_s: int
    usual: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    needs_gpu: bool = False
    when_named: bool = False


# networks so small that they run anywhere, to see that the script works
TINY_ON_CPU = ("--tiny", "--device", "cpu")
SMALL_JOB = ("--images", "20", "--steps", "2", "--batch-size", "6", "--rounds", "1")
SCRIPTS = (
    Script("start", 10, quick=("--rounds", "5")),
    Script("start_up", 110, ("--rounds", "3"), ("--rounds", "1")),
    Script(
        "generation",
        80,
        ("--images", "400", "--peer-images", "40", "--steps", "10"),
        ("--images", "50", "--peer-images", "5", "--steps", "5"),
    ),
    Script(
        "per_process",
        80,
        ("--images-per-pair", "2", "--steps", "5", "--rounds", "2"),
        ("--images-per-pair", "2", "--steps", "5", "--rounds", "1"),
    ),
    Script(
        "job",
        80,
        ("--images", "200", "--steps", "10", "--rounds", "3"),
        ("--images", "50", "--steps", "5", "--rounds", "1"),
    ),
    Script(
        "pipelining",
        50,
        ("--images", "256", "--rounds", "3"),
        ("--images", "64", "--shard-size", "16", "--rounds", "1"),
    ),
    Script("training", 60, ("--rounds", "3"), ("--images", "512")),
    Script("neighbours", 90, ("--rounds", "3"), ("--queries", "256", "--references", "8192", "--rounds", "1")),
    Script(
        "scale_out", 130, ("--images", "240", "--rounds", "1"), ("--images", "120", "--steps", "2", "--rounds", "1")
    ),
    Script(
        "engine",
        90,
        ("--rows", "64", "--rounds", "5"),
        ("--rows", "64", "--steps", "2", "--rounds", "1", "--compiler", "eager"),
    ),
    Script("pretraining", 60, ("--only", "loss", "views", "pace", "--rounds", "3"), ("--only", "loss")),
    Script("review", 60, ("--images", "20000"), ("--images", "500", "--jumps", "20")),
    Script("pretraining_learning", 3600, when_named=True),
    # those that matter most come first, for a machine that is lent for minutes
    Script("gpu_generation", 360, (), (*TINY_ON_CPU, "--compiler", "eager", *SMALL_JOB), needs_gpu=True),
    Script("gpu_training", 240, (), (*TINY_ON_CPU, "--rounds", "1"), needs_gpu=True),
    Script("gpu_neighbours", 120, (), TINY_ON_CPU, needs_gpu=True),
)


def main() -> int:
    """Run the scripts and print the table; 0 if all that was measured holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[script.name for script in SCRIPTS], help="these scripts")
    parser.add_argument("--gpu", action="store_true", help="the scripts that take a GPU, and no others")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that the scripts work")
    parser.add_argument("--output", type=Path, help="a JSON file for all results, e.g. benchmarks.json")
    arguments = parser.parse_args()
    chosen = [script for script in SCRIPTS if is_chosen(script, arguments.only, arguments.gpu)]
    machine = describe_machine()
    results = [result for script in chosen for result in run(script, quick=arguments.quick)]
    Console().print(
        f"{machine['processor']} ({machine['instructions']}), {machine['cores']} cores, GPU: {machine['gpu']}"
    )
    Console().print(make_table(results))
    if arguments.output is not None:
        machine |= {"torch": torch.__version__, "quick": arguments.quick}
        arguments.output.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    return 1 if any(result["holds"] is False for result in results) else 0


def is_chosen(script: Script, names: Sequence[str] | None, gpu: bool) -> bool:
    """Whether a script was asked for: by name, by what it takes, or not at all, which means all but the long ones."""
    if names is not None:
        return script.name in names
    return script.needs_gpu if gpu else not script.when_named


def describe_machine() -> dict[str, object]:
    """What the figures are of: the processor, its widest instructions, and how busy it was at the start."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    parts = [line.partition(":") for line in reversed(lines)]  # so that the first core has the last word
    told = {key.strip(): value.strip() for key, _, value in parts}
    has_amx = "amx_bf16" in told.get("flags", "").split()
    return {
        "processor": told.get("model name") or platform.processor() or platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability() + (" with AMX" if has_amx else ""),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


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
        arguments = script.quick if quick else script.usual
        code = run_limited([sys.executable, str(path), *arguments, "--output", str(lines)], script.limit_s)
        results: list[Result] = [json.loads(line) for line in lines.read_text().splitlines()]
    if code is None:
        return [*results, not_measured(script.name, "", f"stopped at its limit of {script.limit_s} s")]
    # a script that measured and found a bar missed ends with 1 too
    if code and all(result["holds"] is not False for result in results):
        failed = not_measured(script.name, "", f"the script ended with exit code {code}, see above")
        results.append({**failed, "holds": False})
    return results


def run_limited(line: Sequence[str], limit_s: float) -> int | None:
    """The exit code of a process; None for one that was stopped, with all that it had started, at the limit."""
    process = subprocess.Popen(line, start_new_session=True)
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):  # none is left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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
