"""`synthset compare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.cli.opening import OF_REAL, real_path
from synthset.comparison.config import CompareConfig
from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested
from synthset.images.opening import OPENING, ImagePath, Opening


@dataclass(frozen=True)
class CompareCall:
    """Which datasets, which real sets, and where to."""

    data: Annotated[tuple[str, ...], Positional()] = ()
    """Synthetic images that are compared: datasets, image folders, Parquet files; a path may hold {seed}."""
    real: tuple[str, ...] = ()
    """Real sets to test on: known names or paths."""
    output_dir: Path = Path("comparison")
    """Folder of the comparison."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)
    real_opening: Annotated[Opening, OF_REAL] = field(default_factory=Opening)


@command("compare")
def compare(call: CompareCall, config: CompareConfig) -> None:
    """Compare datasets or strategies: a classifier from each, over architectures and seeds, tested on real images.

    Run again, it goes on where it stopped, and adds what was asked for since.

    Example: `synthset compare digits-synthetic --strategy base all_combined --real digits
    --output-dir digits-comparison`
    """
    from synthset.cli.model_tables import print_comparison
    from synthset.comparison.stage import compare as run_compare

    if not call.data:
        example = "e.g. 'synthset compare digits-synthetic'"
        raise UsageError(f"Expected synthetic images to compare, {example}. Run 'synthset create' first.")
    if not call.real:
        raise UsageError(f"Expected real images to test on, e.g. {setting('real', 'digits')}.")
    strict = call.opening.strict
    real = [path for one in call.real if (path := real_path(one, call.real_opening, strict=strict)) is not None]
    data = [ImagePath(one, call.opening) for one in call.data]
    print_comparison(run_compare(data, call.output_dir, real=real, config=config, strict=strict))
