"""How long `synthset --help` takes, against a Python that does nothing.

    python benchmarks/start.py [--rounds 21]

Prints one JSON line. `start_help`: a process that prints the help takes at most 3 × as long as one of
`python -c pass`, both from this Python and this environment.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from timing import Work, median_ratio, report_all, time_in_turns

NOTHING = (sys.executable, "-c", "pass")
HELP = (str(Path(sys.executable).with_name("synthset")), "--help")  # the script that an installation puts there


def main() -> int:
    """Measure it; 0 if it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--output", type=Path, help="a file to add the JSON line to")
    arguments = parser.parse_args()
    if not Path(HELP[0]).exists():
        print(f"Expected {HELP[0]}, found none. Install Synthset into the environment of this Python.", file=sys.stderr)
        return 2
    return report_all([compare_help(arguments.rounds)], arguments.output)


def compare_help(rounds: int) -> dict[str, object]:
    """Seconds of a process: the help over nothing."""
    sides = {"nothing": run(NOTHING), "help": run(HELP)}
    for work in sides.values():
        work(0)  # the first start of each also reads its files from disk
    seconds = time_in_turns(sides, rounds)
    ratio = median_ratio(seconds["help"], seconds["nothing"])
    return {
        "name": "start_help",
        "ratio": round(ratio, 3),
        "bar": "<= 3",
        "holds": ratio <= 3,
        "help_seconds": round(statistics.median(seconds["help"]), 4),
        "nothing_seconds": round(statistics.median(seconds["nothing"]), 4),
        "rounds": rounds,
    }


def run(command: Sequence[str]) -> Work:
    """A process of its own, once a round; raises CalledProcessError where it fails."""

    def work(_round_index: int) -> int:
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return 1

    return work


if __name__ == "__main__":
    sys.exit(main())
