"""Every promise of reliability as faults that are injected at full length: `make faults`.

    python tests/faults [row …]

Prints a table of what was requested, what became of it, and what was lost, which must be nothing. Exits 1 otherwise.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before any library reads it: no fault needs the network
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))  # helpers of the tests

import accounting
import bad_files
import bad_images
import bad_names
import black_images
import copies
import full_disk
import kills
import leaks
import memory
import other_jobs
import seeds
from fault_report import FaultReport
from rich.console import Console
from rich.table import Table


def lose_workers() -> list[FaultReport]:
    """Ten workers, five nodes and five drivers of a cluster; nothing where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        return []
    import cluster

    return [
        FaultReport(
            f"cluster: a lost {loss.what}",
            loss.times,
            loss.requested,
            loss.ok,
            lost=(f"{loss.lost} datasets otherwise than without",) if loss.lost else (),
        )
        for loss in cluster.run(workers=10, nodes=5, drivers=5)
    ]


ROWS: dict[str, Callable[[], list[FaultReport]]] = {
    "kills": lambda: kills.run(10),
    "other_jobs": lambda: [other_jobs.run(14)],
    "full_disk": lambda: [full_disk.run(10, 10)],
    "accounting": lambda: [accounting.run(20, 5)],
    "cluster": lose_workers,
    "memory": lambda: [memory.run(6)],
    "seeds": lambda: [seeds.run(3)],
    "black_images": lambda: [black_images.run(100)],
    "leaks": lambda: [leaks.run(5)],
    "copies": lambda: [copies.run(20)],
    "bad_images": lambda: [bad_images.run(40)],
    "bad_names": lambda: [bad_names.run(30)],
    "bad_files": lambda: [bad_files.run(10_000)],
}


def main() -> int:
    """0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; all by default")
    chosen = parser.parse_args().rows or list(ROWS)
    if unknown := set(chosen) - set(ROWS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; rows are {', '.join(ROWS)}")
    logging.getLogger("synthset").setLevel(logging.ERROR)  # what is warned of is what was injected
    reports: list[FaultReport] = []
    for name in chosen:
        start = time.monotonic()
        reports += ROWS[name]()
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    print_reports(reports)
    return int(not all(report.held for report in reports))


def print_reports(reports: list[FaultReport]) -> None:
    """The table, and below it what was lost, in words."""
    table = Table("fault", "times", "requested", "ok", "flagged", "failed", "lost", "note")
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
