"""`synthset report`: the report of a diagnosis, built again from its saved files."""

from __future__ import annotations

from pathlib import Path

from synthset.cli.app import app


@app.command
def report(diagnosis: Path, /) -> None:
    """Build the report of a diagnosis again, from its saved files: one HTML file that works offline.

    Example: `synthset report diagnosis`

    Parameters
    ----------
    diagnosis
        Folder that `synthset diagnose` wrote.
    """
    from synthset.report import build_report

    print(f"report  {build_report(diagnosis)}")
