"""`synthset report`: the report of a diagnosis or a comparison, built from its saved files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.cli.tables import print_path


@dataclass(frozen=True)
class ReportCall:
    """What is reported."""

    folder: Annotated[Path, Positional()]
    """Folder that `synthset diagnose` or `synthset compare` wrote."""


@command("report")
def report(call: ReportCall) -> None:
    """Build the report of a comparison, or that of a diagnosis again, from its saved files: one HTML file that works
    offline.

    Example: `synthset report digits-comparison`
    """
    from synthset.report import build_report

    print_path(build_report(call.folder), "report")
