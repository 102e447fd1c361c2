"""`synthset merge`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.curation.merge import MergeConfig


@dataclass(frozen=True, kw_only=True)
class MergeCall:
    """Which datasets, and where to."""

    data: Annotated[tuple[str, ...], Positional()] = ()
    """Datasets to merge, two or more; their images stand in this order then."""
    output_dir: Path
    """New folder."""
    overwrite: bool = False
    """Replace an earlier merge."""


@command("merge")
def merge(call: MergeCall, config: MergeConfig) -> None:
    """Merge datasets into a new one, in which each image says where it is from. They stay as they are.

    Classes are matched by name. Of images that are one file the first stays. Verdicts of filters and of a person,
    relabels, accounting and card follow.

    Example: `synthset merge digits-a digits-b --output-dir digits-both`
    """
    from synthset.cli.curation_tables import print_merge
    from synthset.curation.merge import merge as run_merge

    print_merge(run_merge(call.data, call.output_dir, config, overwrite=call.overwrite))
