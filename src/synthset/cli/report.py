"""`synthset report`: the report of a diagnosis, a comparison or other results, built from their saved files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.cli.printing import print_path


@dataclass(frozen=True)
class ReportCall:
    """What is reported."""

    folder: Annotated[Path, Positional()]
    """Folder that `synthset diagnose`, `compare`, `transfer`, `detect`, `tune` or `reproduce` wrote."""


@command("report")
def report(call: ReportCall) -> None:
    """Build the report of a comparison, or that of a diagnosis or a reproduction again, from its saved files: one HTML
    file that works offline.

    Example: `synthset report digits-comparison`
    """
    from synthset.findings.page import build_page, is_reproduction
    from synthset.report import build_report

    build = build_page if is_reproduction(call.folder) else build_report
    print_path(build(call.folder), "report")
