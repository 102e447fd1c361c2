"""What `synthset transfer` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.printing import print_table, say

if TYPE_CHECKING:
    from synthset.transfer.results import TransferResult


@shows("transfer")
def print_transfer(result: TransferResult) -> None:
    """A row a seed, what was chosen on held-out images, and the mean."""
    rows = []
    for trial in result.trials:
        chosen = ", ".join(f"{name} {value:g}" for name, value in trial.chosen.items() if value is not None)
        held_out = "too few" if trial.held_out_accuracy is None else f"{trial.held_out_accuracy:.1%}"
        interval = f"{trial.low:.1%} to {trial.high:.1%}"
        rows.append((str(trial.seed), f"{trial.num_training:,}", chosen, held_out, f"{trial.score:.1%}", interval))
    headings = (">seed", ">images", "chosen", ">held out", f">test of {result.trials[0].n:,}", "95 % interval")
    print_table(headings, rows)
    over = f"{len(result.trials)} seeds" if len(result.trials) > 1 else "the test images"
    say(
        f"{result.mode} of {result.architecture} ({result.model}) on {result.real}: {result.score:.1%}, "
        f"{result.low:.1%} to {result.high:.1%} over {over}"
    )
    if result.seen:
        say(f"Its weights learned from {result.seen}.")
    say(f"results  {result.folder}")
