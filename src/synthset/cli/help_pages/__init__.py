"""The help of every command, rendered when Synthset is developed and printed without loading what renders it.

The libraries behind the command line take many times longer to load than Python to start. So the pages lie here
as text, in colour, in two widths: `80/create.txt`, `100/create.txt`; `synthset.txt` is that of `synthset --help`.
`make help-pages` writes them anew, and a test holds them to what the commands say. Where a page does not fit
(narrow terminals, other encodings, Windows' consoles, forced colours), the caller renders it.
"""

from __future__ import annotations

import os
import sys

from synthset.version import __version__

WIDTHS = (80, 100)  # lines that are longer still are hard to read
HELP = ("--help", "-h")
FORCED = ("FORCE_COLOR", "TTY_COMPATIBLE")  # variables by which rich is told what stdout can show
DUMB = ("dumb", "unknown")


def print_stored(tokens: list[str]) -> bool:
    """Print what a command line asks for, if it asks for help or the version and nothing else.

    Returns:
        Whether it was printed; else nothing was.
    """
    text = __version__ + "\n" if tokens == ["--version"] else _read(tokens)
    if not text:
        return False
    sys.stdout.write(text)
    sys.stdout.flush()
    return True


def _read(tokens: list[str]) -> str:
    """The page as stdout can show it; empty where none can be shown or none is asked for."""
    name = _page_name(tokens)
    widths = [width for width in WIDTHS if width <= _columns()]
    if not name or not widths or any(variable in os.environ for variable in FORCED):
        return ""
    on_terminal = sys.stdout.isatty()
    if not (sys.stdout.encoding or "").lower().startswith("utf") or (on_terminal and os.name == "nt"):
        return ""
    try:
        # not by pathlib, which takes longer to load than all of this
        with open(f"{__path__[0]}/{widths[-1]}/{name}.txt", encoding="utf-8") as file:  # noqa: PTH123
            page = file.read()
    except FileNotFoundError:  # no command has that name: the command line will say so
        return ""
    coloured = on_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "").lower() not in DUMB
    return page if coloured else without_colours(page)


def _page_name(tokens: list[str]) -> str:
    """That of the page which is asked for; empty where the line asks for more or other than help."""
    if not tokens or (len(tokens) == 1 and tokens[0] in HELP):
        return "synthset"
    is_help = len(tokens) == 2 and tokens[1] in HELP
    return tokens[0] if is_help and tokens[0].replace("-", "").isalpha() and tokens[0] != "synthset" else ""


def _columns() -> int:
    """Of the terminal that shows the page, as rich finds them."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit():
        return int(columns) or WIDTHS[0]
    for stream in (0, 1, 2):  # a pager may stand at stdout
        try:
            return os.get_terminal_size(stream).columns or WIDTHS[0]
        except OSError:
            continue
    return WIDTHS[0]


def without_colours(page: str) -> str:
    """The page without its escape sequences, all of which set how characters look: ESC [ … m.

    >>> without_colours("a \\x1b[1;36mflag\\x1b[0m")
    'a flag'
    """
    first, *rest = page.split("\x1b[")
    return first + "".join(part.partition("m")[2] for part in rest)
