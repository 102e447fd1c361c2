"""How long `synthset --help` takes, against a Python that does nothing.

    python benchmarks/start.py [--rounds 21]

Prints one JSON line a page. `start_help`: a process that prints `synthset --help` takes at most 3 × as long as one
of `python -c pass`, both from this Python and this environment; `start_help_create`: the same of the longest page.
The script is the installed one, so the installation decides which Synthset is measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from timing import Work, median_ratio, report_all, time_in_turns

NOTHING = (sys.executable, "-c", "pass")
SCRIPT = str(Path(sys.executable).with_name("synthset"))  # that an installation puts there
ENVIRONMENT = os.environ | {"COLUMNS": "100"}  # a narrow terminal behind this script would have the page rendered


def main() -> int:
    """Measure it; 0 if it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--output", type=Path, help="a file to add the JSON line to")
    arguments = parser.parse_args()
    if not Path(SCRIPT).exists():
        print(f"Expected {SCRIPT}, found none. Install Synthset into the environment of this Python.", file=sys.stderr)
        return 2
    pages = {"start_help": ("--help",), "start_help_create": ("create", "--help")}
    results = (compare_help(name, line, arguments.rounds) for name, line in pages.items())
    return report_all(results, arguments.output)


def compare_help(name: str, line: Sequence[str], rounds: int) -> dict[str, object]:
    """Seconds of a process: the help over nothing."""
    sides = {"nothing": run(NOTHING), "help": run((SCRIPT, *line))}
    for work in sides.values():
        work(0)  # the first start of each also reads its files from disk
    seconds = time_in_turns(sides, rounds)
    ratio = median_ratio(seconds["help"], seconds["nothing"])
    return {
        "name": name,
        "ratio": round(ratio, 3),
        "bar": "<= 3",
        "holds": ratio <= 3,
        "ratio_of_minima": round(min(seconds["help"]) / min(seconds["nothing"]), 3),
        "help_seconds": round(statistics.median(seconds["help"]), 4),
        "nothing_seconds": round(statistics.median(seconds["nothing"]), 4),
        "rounds": rounds,
    }


def run(command: Sequence[str]) -> Work:
    """A process of its own, once a round; raises CalledProcessError where it fails."""

    def work(_round_index: int) -> int:
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=ENVIRONMENT)
        return 1

    return work


if __name__ == "__main__":
    sys.exit(main())
