"""`synthset split`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.curation.split import SplitConfig


@dataclass(frozen=True, kw_only=True)
class SplitCall:
    """Which dataset, and where to."""

    data: Annotated[Path, Positional()]
    """Synthset dataset."""
    output_dir: Path
    """New folder, in which each part is a dataset: train, validation, test."""
    overwrite: bool = False
    """Replace an earlier split."""


@command("split")
def split(call: SplitCall, config: SplitConfig) -> None:
    """Split a dataset into parts for training, validation and tests, so that nothing leaks. It stays as it is.

    Every class and strategy has its share in each part. Near copies, images on the same noise and images of one real
    image lie in one part.

    Example: `synthset split digits-synthetic --train 0.8 --validation 0.1 --test 0.1 --output-dir digits-parts`
    """
    from synthset.cli.curation_tables import print_split
    from synthset.curation.split import split as run_split

    print_split(run_split(call.data, call.output_dir, config, overwrite=call.overwrite))
