"""`synthset report`: the report of a diagnosis, built again from its saved files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.cli.tables import print_path


@dataclass(frozen=True)
class ReportCall:
    """Which diagnosis."""

    diagnosis: Annotated[Path, Positional()]
    """Folder that `synthset diagnose` wrote."""


@command("report")
def report(call: ReportCall) -> None:
    """Build the report of a diagnosis again, from its saved files: one HTML file that works offline.

    Example: `synthset report digits-diagnosis`
    """
    from synthset.report import build_report

    print_path(build_report(call.diagnosis), "report")
