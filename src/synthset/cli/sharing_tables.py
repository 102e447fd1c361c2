"""What the commands print that hand a dataset or a model on: export and push."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.printing import MAX_ROWS, print_table, say

if TYPE_CHECKING:
    from synthset.dataset.export import ExportResult
    from synthset.publishing.stage import PushResult


@shows("export")
def print_exported(result: ExportResult) -> None:
    """How many images each split has, where there are any."""
    if "" in result.images:
        return
    print_table(("split", ">images"), [(name, f"{count:,}") for name, count in result.images.items()])
    if result.tied:
        say(
            f"{result.tied:,} images are near copies of others, or share their noise or a real image: no two splits do."
        )


@shows("push")
def print_push(result: PushResult) -> None:
    """The files with their sizes where nothing was sent; else how many were, and where they lie."""
    total = f"{len(result.files):,} files, {_megabytes(result.num_bytes)} MB"
    if not result.url:
        rows = [(path, _megabytes(size)) for path, size in result.files.items()]
        left_out = max(0, len(rows) - MAX_ROWS)
        print_table(("file", ">MB"), rows[:MAX_ROWS], ("all", _megabytes(result.num_bytes)), left_out=left_out)
    if result.rejected:
        say(f"{result.rejected:,} images that filters or a person rejected are left out.")
    licences = ", ".join(dict.fromkeys(licence.name or licence.id for licence in result.licences))
    say(f"licence  {licences}")
    seen = "all" if result.is_public else "its owner alone"
    if not result.url:
        say(f"Nothing was sent. It would be a {result.kind} '{result.repo}', seen by {seen}: {total}.")
        return
    there = len(result.files) - result.sent
    commits = f"{result.commits:,} commit{'' if result.commits == 1 else 's'}"
    sent = f"{result.sent:,} sent in {commits}" if result.sent else "none sent"
    say(f"{total}: {sent}, {there:,} were there. Seen by {seen}.")
    say(result.url)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.2f}" if count >= 5_000 else f"{count / 1e6:.4f}"
