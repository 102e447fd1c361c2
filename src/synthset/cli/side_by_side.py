"""`synthset side-by-side`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.core.options import Option, check_options


@dataclass(frozen=True)
class SideBySideCall:
    """Which images, and where to."""

    data: Annotated[tuple[str, ...], Positional()] = ()
    """Datasets that were drawn with `synthset create --shared-noise`."""
    strategies: Annotated[tuple[str, ...], Option(flag="strategy", default="all of each dataset")] = ()
    """Strategies to show, as they were drawn: a column each, of each dataset."""
    classes: Annotated[tuple[str, ...], Option(default="the first, as many as make twelve rows")] = ()
    """Classes to show."""
    images_per_class: Annotated[int, Option(at_least=1)] = 3
    """Rows of each class: a row is one noise."""
    output: Path = Path("side-by-side.png")
    """Picture to write, a PNG."""

    def __post_init__(self) -> None:
        check_options(self)


@command("side-by-side")
def side_by_side(call: SideBySideCall) -> None:
    """Draw what strategies, scales, prompts or datasets make of the same noise: a picture with a row a noise.

    Example: `synthset create --classes two seven --strategy base@1 base@7.5 --images-per-class 3 --shared-noise
    --output-dir on-one-noise`, and then `synthset side-by-side on-one-noise`
    """
    from synthset.cli.model_tables import print_side_by_side
    from synthset.comparison.side_by_side import side_by_side as draw

    shown = {"strategies": call.strategies, "classes": call.classes, "images_per_class": call.images_per_class}
    print_side_by_side(draw(call.data, call.output, **shown))
