"""`synthset show`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.core.options import Option
from synthset.curation.listing import ShowConfig


@dataclass(frozen=True, kw_only=True)
class ShowCall:
    """Which dataset, and where pictures go."""

    data: Annotated[Path, Positional()]
    """Synthset dataset."""
    output_dir: Annotated[Path | None, Option(default="no pictures")] = None
    """New folder for contact sheets: each image with its id, prompt, scale and seed, as many pages as it takes."""
    overwrite: bool = False
    """Replace earlier sheets."""


@command("show")
def show(call: ShowCall, config: ShowConfig) -> None:
    """List images of a dataset: id, class, strategy, verdict with its reason and score, scale, seed and prompt.

    Example: `synthset show digits-synthetic --rejected --output-dir rejected`
    """
    from synthset.cli.curation_tables import print_listing
    from synthset.curation.listing import show as run_show

    print_listing(run_show(call.data, config, output_dir=call.output_dir, overwrite=call.overwrite))
