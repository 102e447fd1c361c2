"""`synthset demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.commands import command
from synthset.core.options import Option, check_options


@dataclass(frozen=True)
class DemoCall:
    """How much of the job, and where to."""

    seeds: Annotated[int, Option(at_least=1)] = 1
    """Repetitions with other seeds; with two or more, the interval is over seeds."""
    images_per_class: Annotated[int, Option(at_least=1)] = 50
    """Images of each digit that a strategy draws."""
    output_dir: Path = Path("demo")
    """Folder of datasets, models, pictures and results.json. Run again, it goes on where it stopped."""

    def __post_init__(self) -> None:
        check_options(self)


@command("demo")
def demo(call: DemoCall) -> None:
    """The main job on the embedded miniature: five strategies, one table, a few minutes on two cores.

    Draws synthetic digits, trains a classifier on each strategy from scratch, and tests it on 1,797 real
    handwritten digits that neither generator nor classifier has seen.

    Example: `synthset demo --seeds 3`
    """
    from synthset.cli.create_tables import print_demo, print_demo_begin, print_demo_row, print_demo_work
    from synthset.demo import demo as run_demo

    print_demo_begin(call.images_per_class, call.seeds)
    shown = {"when_estimated": print_demo_work, "when_tested": print_demo_row}
    print_demo(run_demo(call.output_dir, seeds=call.seeds, images_per_class=call.images_per_class, **shown))
