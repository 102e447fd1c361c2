"""What the commands of curation print: tables made from results, computing nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.tables import MAX_ROWS, print_table, say

if TYPE_CHECKING:
    from synthset.curation.merge import MergeResult
    from synthset.curation.split import SplitResult


@shows("merge")
def print_merge(result: MergeResult) -> None:
    """One row a dataset, what was left out, and where the merged one lies."""
    rows = [(name, f"{count:,}") for name, count in result.sources.items()]
    print_table(("from", ">images"), rows, ("all", f"{result.images:,}"))
    if result.duplicates:
        say(f"{result.duplicates:,} more were left out: each is the same file as an earlier one.")
    if len(result.generators) > 1:
        say(f"Drawn by different models: {', '.join(result.generators)}. The column 'source' says which is whose.")
    say(f"{result.kept:,} of {result.images:,} images are kept by filters, of {len(result.class_names):,} classes")
    say(f"dataset  {result.folder}")


@shows("split")
def print_split(result: SplitResult) -> None:
    """One row a class, one column a part, and where the parts lie."""
    parts = result.parts.values()
    counts = [(name, *(part.classes[name] for part in parts)) for name in next(iter(parts)).classes]
    rows = [(name, *_counts(numbers)) for name, *numbers in counts[:MAX_ROWS]]
    whole = ("all", *_counts([part.images for part in parts]))
    left_out = max(0, len(counts) - MAX_ROWS)
    print_table(("class", *(f">{name}" for name in result.parts)), rows, whole, left_out=left_out)
    if any(part.kept < part.images for part in parts):
        kept = (f"{name} {part.kept:,}" for name, part in result.parts.items())
        say(f"Kept by filters: {', '.join(kept)}.")
    if result.tied:
        tied, largest = f"{result.tied:,}", f"{result.largest_group:,}"
        say(f"{tied} images are tied to others, up to {largest} in one group; no group is parted.")
    for name, part in result.parts.items():
        say(f"{name:12}{part.folder}")


def _counts(numbers: Sequence[int]) -> list[str]:
    return [f"{number:,}" for number in numbers]
