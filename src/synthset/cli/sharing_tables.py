"""What the commands print that hand a dataset or a model on: export and push."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.tables import print_table, say

if TYPE_CHECKING:
    from synthset.dataset.export import ExportResult


@shows("export")
def print_exported(result: ExportResult) -> None:
    """How many images each split has, where there are any."""
    if "" in result.images:
        return
    print_table(("split", ">images"), [(name, f"{count:,}") for name, count in result.images.items()])
    if result.tied:
        say(
            f"{result.tied:,} images are near copies of others, or share their noise or a real image: no two splits do."
        )
