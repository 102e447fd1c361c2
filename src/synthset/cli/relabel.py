"""`synthset relabel`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command


@dataclass(frozen=True, kw_only=True)
class RelabelCall:
    """Which images have other classes."""

    data: Annotated[Path, Positional()]
    """Synthset dataset."""
    table: Annotated[Path | None, Positional()] = None
    """Table (.csv, .tsv, .json, .jsonl, .parquet) with a column id or sha256, and a column class_name, class or label
    that names the class."""
    undo: bool = False
    """Return to the classes that images were drawn for: those in `table`, or all without one."""


@command("relabel")
def relabel(call: RelabelCall) -> None:
    """Give images of a dataset other classes, by a table. Images stay as they are, and it can be taken back.

    Training, export, tests and diagnosis obey it; it lies in relabels.parquet in the dataset's folder.

    Example: `synthset relabel digits-synthetic corrections.csv`
    """
    from synthset.cli.curation_tables import print_relabel
    from synthset.curation.relabel import relabel as run_relabel

    print_relabel(run_relabel(call.data, call.table, undo=call.undo))
