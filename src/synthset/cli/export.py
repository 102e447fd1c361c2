"""`synthset export`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.cli.tables import say
from synthset.core.options import Nested, Option
from synthset.dataset.export import FORMATS
from synthset.images.opening import OPENING, ImagePath, Opening


@dataclass(frozen=True, kw_only=True)
class ExportCall:
    """Which images, in which form, and where to."""

    data: Annotated[Path, Positional()]
    """Synthset dataset, image folder, or Parquet files."""
    output_dir: Path
    """New folder."""
    format: Annotated[str, Option(choices=FORMATS)] = "imagefolder"
    """Form of the copy: {choices}."""
    strategy: Annotated[str | None, Option(default="all")] = None
    """Strategy or combination whose images alone are taken."""
    all_images: bool = False
    """Take also images that filters rejected."""
    overwrite: bool = False
    """Replace an earlier export."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)


@command("export")
def export(call: ExportCall) -> None:
    """Write a dataset in another form, for tools that read files.

    Example: `synthset export digits --format imagefolder --output-dir digits-files`
    """
    from synthset.dataset.export import export as run_export

    options = {"format": call.format, "strategy": call.strategy, "all_images": call.all_images}
    say(run_export(ImagePath(str(call.data), call.opening), call.output_dir, overwrite=call.overwrite, **options))
