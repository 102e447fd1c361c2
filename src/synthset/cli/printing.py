"""What all that the commands print on stdout goes through: lines, plain tables, paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from synthset.cli.json_output import shows
from synthset.core.progress import duration
from synthset.core.redaction import printable

MAX_ROWS = 30


@shows("path")
def print_path(path: Path, name: str = "") -> None:
    """Where a result lies; without a name, the path alone, for scripts."""
    say(f"{name}  {path}" if name else path)


def say(text: object, end: str = "\n") -> None:
    """Print, without what a terminal would act on."""
    print(printable(str(text)), end=end)


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], last: Sequence[str] = (), *, left_out: int = 0
) -> None:
    """A plain table; a column whose heading begins with > is set to the right, and `last` stands apart.

    Args:
        left_out: number of further rows.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        justify = "right" if heading.startswith(">") else "left"
        table.add_column(printable(heading.lstrip(">")), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*map(printable, row))
    if left_out:
        table.add_row(f"… {left_out:,} more")
    if last:
        table.add_section()
        table.add_row(*map(printable, last))
    # as wide as it needs to be: a result that is piped to a file must not be cut at 80 columns
    Console(width=200, highlight=False, markup=False).print(table)


def percent(share: float | None) -> str:
    """A share; a dash for none.

    >>> percent(0.756), percent(None)
    ('75.6%', '–')
    """
    return "–" if share is None else f"{share:.1%}"


def span(low: float, high: float) -> str:
    """An interval of shares.

    >>> span(0.736, 0.776)
    '73.6% to 77.6%'
    """
    return f"{low:.1%} to {high:.1%}"


def spent(seconds: float, was_finished: bool) -> str:
    """How long a stage took, unless it found nothing to do."""
    return "all of it was there already" if was_finished else duration(seconds)
