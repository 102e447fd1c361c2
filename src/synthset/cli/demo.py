"""`synthset demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from synthset.cli.app import app, flag


@app.command
def demo(
    *,
    seeds: int = 1,
    images_per_class: int = 50,
    output_dir: Annotated[Path, flag("--output-dir", "--outdir")] = Path("demo"),
) -> None:
    """The main job on the embedded miniature: five strategies, one table, a few minutes on two cores.

    Draws synthetic digits, trains a classifier on each strategy from scratch, and tests it on 1,797 real
    handwritten digits that neither generator nor classifier has seen.

    Example: `synthset demo --seeds 3`

    Parameters
    ----------
    seeds
        Repetitions with other seeds; with two or more, the interval is over seeds.
    images_per_class
        Images of each digit that a strategy draws.
    output_dir
        Where datasets, models, pictures and results.json go. Run again, it goes on where it stopped.
    """
    from synthset.cli.tables import print_demo
    from synthset.demo import demo as run_demo

    print_demo(run_demo(output_dir, seeds=seeds, images_per_class=images_per_class))
