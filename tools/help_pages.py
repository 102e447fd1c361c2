"""Writes the stored pages of `synthset --help` and of every command anew: `make help-pages`.

python -m tools.help_pages
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from synthset.cli import help_pages
from synthset.cli.app import build_app
from synthset.cli.commands import NAMES

FOLDER = Path(help_pages.__file__).parent


def main() -> None:
    """Replace all pages; those of commands that are no more go."""
    for path in FOLDER.glob("*/*.txt"):
        path.unlink()
    for path, page in render_pages():
        path.parent.mkdir(exist_ok=True)
        path.write_text(page, encoding="utf-8", newline="\n")


def render_pages() -> Iterator[tuple[Path, str]]:
    """Each page's file and its text."""
    for width in help_pages.WIDTHS:
        yield FOLDER / str(width) / "synthset.txt", render(["--help"], width)
        for name in NAMES:
            yield FOLDER / str(width) / f"{name}.txt", render([name, "--help"], width)


def render(tokens: list[str], width: int) -> str:
    """What a terminal of that many columns is sent."""
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, force_terminal=True, color_system="standard", legacy_windows=False, no_color=False
    )
    build_app()(tokens, console=console)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
