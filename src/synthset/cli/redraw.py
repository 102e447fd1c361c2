"""`synthset redraw`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.core.errors import FailureThresholdError
from synthset.core.options import Option
from synthset.create.recorded import RecordedConfig


@dataclass(frozen=True, kw_only=True)
class RedrawCall:
    """Which images, and where pictures go."""

    data: Annotated[Path, Positional()]
    """Synthset dataset."""
    ids: Annotated[tuple[int, ...], Option(flag="id")]
    """Images to draw again, by their ids: `synthset show` lists them."""
    output_dir: Annotated[Path | None, Option(default="no pictures")] = None
    """New folder for the images drawn again, and for pictures of them beside the stored ones."""
    overwrite: bool = False
    """Replace earlier ones."""


@command("redraw")
def redraw(call: RedrawCall, config: RecordedConfig) -> None:
    """Draw images of a dataset again, by its own generator, and say of each whether it is the same.

    The same is: the same file; the same pixels; or the same but for the rounding of another batch or machine. If one
    differs, the exit code is 3.

    Example: `synthset redraw digits-synthetic --id 3 17 --output-dir again`
    """
    from synthset.cli.curation_tables import print_redraw
    from synthset.curation.redraw import redraw as run_redraw

    result = run_redraw(call.data, call.ids, config, output_dir=call.output_dir, overwrite=call.overwrite)
    print_redraw(result)
    if other := result.other:
        numbers = ", ".join(str(image.id) for image in other[:10]) + (", …" if len(other) > 10 else "")
        raise FailureThresholdError(
            f"Finished: {len(other):,} of {len(result.images):,} images are not drawn as they are stored ({numbers})."
        )
