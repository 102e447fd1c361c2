"""What the commands of curation print: tables made from results, computing nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.printing import MAX_ROWS, print_table, say

if TYPE_CHECKING:
    from synthset.curation.listing import Listing
    from synthset.curation.merge import MergeResult
    from synthset.curation.redraw import RedrawnImage, RedrawResult
    from synthset.curation.relabel import RelabelResult
    from synthset.curation.split import SplitResult


@shows("images")
def print_listing(result: Listing) -> None:
    """One row an image, as far as they fit, and where their pictures lie."""
    rows = [
        (
            *(str(image.id), image.class_name, image.strategy, image.verdict),
            *("" if image.score is None else f"{image.score:.3f}", f"{image.guidance_scale:.3g}", str(image.seed)),
            *(_brief(image.prompt), _brief(image.reason)),
        )
        for image in result.images[:MAX_ROWS]
    ]
    names = (">id", "class", "strategy", "verdict", ">score", ">scale", ">seed", "prompt", "reason")
    used = [place for place in range(len(names)) if any(row[place] for row in rows)]  # without filters, no reasons
    if rows:
        print_table([names[place] for place in used], [[row[place] for place in used] for row in rows])
    if len(result.images) > MAX_ROWS:
        say(f"and {len(result.images) - MAX_ROWS:,} more; --json has all of them")
    say(f"{len(result.images):,} of {result.total:,} images of {result.dataset}")
    for path in result.sheets[:MAX_ROWS]:
        say(f"sheet  {path}")
    if len(result.sheets) > MAX_ROWS:
        say(f"and {len(result.sheets) - MAX_ROWS:,} more sheets")


@shows("redrawn")
def print_redraw(result: RedrawResult) -> None:
    """One row an image: whether it is the same, and how far it is off."""
    rows = [
        (
            *(str(image.id), image.class_name, image.verdict, _off(image)),
            *(f"{image.guidance_scale:.3g}", str(image.seed), image.prompt),
        )
        for image in result.images
    ]
    names = (">id", "class", "drawn again", "off by", ">scale", ">seed", "prompt")
    print_table(names, rows[:MAX_ROWS], left_out=max(0, len(rows) - MAX_ROWS))
    limits = dict.fromkeys(image.tolerance for image in result.images)
    say(f"Rounding counts up to: {'; or '.join(limits)}.")
    if result.changed:
        versions = (f"{name} {then} (now {now})" for name, (then, now) in result.changed.items())
        say(f"The dataset was drawn with {', '.join(versions)}.")
    for path in result.pictures:
        say(f"picture  {path}")


def _brief(text: str, most: int = 48) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _off(image: RedrawnImage) -> str:
    if image.reason:
        return image.reason
    if image.apart is None:
        return "another size"
    if not image.apart.max_levels:
        return "nothing"
    return f"{image.apart.max_levels} levels at most, {image.apart.mean_levels:.3g} in the mean"


@shows("relabel")
def print_relabel(result: RelabelResult) -> None:
    """From which class to which how many images went."""
    rows = [(old, new, f"{count:,}") for (old, new), count in result.moves.items()]
    if rows:
        print_table(("from", "to", ">images"), rows[:MAX_ROWS], left_out=max(0, len(rows) - MAX_ROWS))
    already = f", {result.unchanged:,} had their class already" if result.unchanged else ""
    say(f"{result.changed:,} given another class than before{already}")
    say(f"{result.relabelled:,} of all images have another class than they were drawn for")
    say(f"dataset  {result.dataset}")


@shows("merge")
def print_merge(result: MergeResult) -> None:
    """One row a dataset, what was left out, and where the merged one lies."""
    rows = [(name, f"{count:,}") for name, count in result.sources.items()]
    print_table(("from", ">images"), rows, ("all", f"{result.images:,}"))
    if result.duplicates:
        say(f"{result.duplicates:,} more were left out: each is the same file as an earlier one.")
    if len(result.generators) > 1:
        say(f"Drawn by different models: {', '.join(result.generators)}. The column 'source' says which is whose.")
    say(f"{result.kept:,} of {result.images:,} images are kept, of {len(result.class_names):,} classes")
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
        say(f"Kept: {', '.join(kept)}.")
    if result.tied:
        tied, largest = f"{result.tied:,}", f"{result.largest_group:,}"
        say(f"{tied} images are tied to others, up to {largest} in one group; no group is parted.")
    for name, part in result.parts.items():
        say(f"{name:12}{part.folder}")


def _counts(numbers: Sequence[int]) -> list[str]:
    return [f"{number:,}" for number in numbers]
