"""Every promise of reliability as faults that are injected at full length: `make faults`.

    python tests/faults [--short] [row …]

Prints a table for each row: what was requested, what became of it, and what was lost, which must be nothing. Exits 1
otherwise.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before any library reads it: no fault needs the network
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))  # helpers of the tests

from fault_report import FaultReport
from rich.console import Console
from rich.table import Table
from rows import ROWS


def main() -> int:
    """0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--short", action="store_true", help="fewer faults of each kind, as in `make test`")
    arguments = parser.parse_args()
    chosen = arguments.rows or list(ROWS)
    if unknown := set(chosen) - set(ROWS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; rows are {', '.join(ROWS)}")
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, no command could be ended by it
    logging.disable(logging.WARNING)  # what libraries warn of is what was injected
    held = True
    for name in chosen:
        row, start = ROWS[name], time.monotonic()
        reports = row.inject(*(row.short if arguments.short else row.full))
        print_reports(f"{name}, {time.monotonic() - start:.0f} s", reports)  # at once: the next row may be ended
        held = held and all(report.held for report in reports)
    return int(not held)


def print_reports(title: str, reports: list[FaultReport]) -> None:
    """The table, and below it what was lost, in words."""
    table = Table("fault", "times", "requested", "ok", "flagged", "failed", "lost", "note", title=title)
    for column in table.columns[1:7]:
        column.justify = "right"
    for report in reports:
        counts = (report.faults, report.requested, report.ok, report.flagged, report.failed)
        table.add_row(report.what, *(f"{count:,}" for count in counts), _lost(report), report.note)
    console = Console(width=140)
    console.print(table)
    for report in reports:
        for line in report.lost:
            console.print(f"{report.what}: {line}", markup=False)


def _lost(report: FaultReport) -> str:
    return str(len(report.lost)) if report.lost else "nothing" if report.held else "miscounted"


if __name__ == "__main__":
    sys.exit(main())
