import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from rich.console import Console
from tools.help_pages import FOLDER, render_pages

from synthset.cli import help_pages, main
from synthset.cli.app import build_app
from synthset.cli.commands import NAMES, load_command
from synthset.cli.help_pages import WIDTHS, print_stored

COMMANDS = sorted(NAMES)
PAGES = [["--help"], *([name, "--help"] for name in COMMANDS)]


class Screen(io.StringIO):
    """A stdout in memory."""

    def __init__(self, on_terminal=False, encoding="utf-8"):
        super().__init__(newline="")
        self._on_terminal, self._encoding = on_terminal, encoding

    def isatty(self):
        return self._on_terminal

    encoding = property(lambda self: self._encoding)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def stored(monkeypatch):
    """What is printed of a line from the stored pages; None where it is left to the command line."""

    def print_line(tokens, width=100, on_terminal=False, **screen):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "stdout", out := Screen(on_terminal, **screen))
        printed = print_stored(list(tokens))
        monkeypatch.undo()
        assert printed == bool(out.getvalue())
        return out.getvalue() if printed else None

    return print_line


def rendered(monkeypatch, tokens, width, on_terminal):
    """What the command line itself prints on such a stdout."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", out := Screen(on_terminal))
    build_app()(list(tokens), console=Console())
    monkeypatch.undo()
    return out.getvalue()


def test_no_page_is_stale():
    pages = dict(render_pages())
    found = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*/*.txt")}
    assert found == pages, "The help has changed. Run: make help-pages"


@pytest.mark.parametrize("on_terminal", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("tokens", PAGES, ids=" ".join)
def test_a_stored_page_is_what_the_command_line_prints(stored, monkeypatch, tokens, width, on_terminal):
    page = stored(tokens, width, on_terminal)
    assert ("\x1b[" in page) == on_terminal
    assert page == rendered(monkeypatch, tokens, width, on_terminal)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_says_what_would_be_lost_as_markup(name):
    texts = [argument.help for argument in load_command(name).arguments]
    assert [text for text in texts if "<" in re.sub("`[^`]*`", "", text)] == []


def test_help_may_be_asked_for_in_other_words(stored):
    for line in ([], ["-h"]):
        assert stored(line) == stored(["--help"])
    assert stored(["train", "-h"]) == stored(["train", "--help"])


def test_the_widest_page_that_fits_is_taken(stored):
    for width, page_width in ((80, 80), (99, 80), (100, 100), (300, 100)):
        lines = stored(["create", "--help"], width).splitlines()
        assert max(map(len, lines)) == page_width, width
    assert stored(["create", "--help"], 79) is None


@pytest.mark.parametrize(
    "line",
    [
        ["create", "--help", "--quiet"],
        ["--quiet", "--help"],
        ["nosuch", "--help"],
        ["CREATE", "--help"],
        ["../100/create", "--help"],
        ["synthset", "--help"],
        ["create"],
        ["--version", "--help"],
    ],
    ids=" ".join,
)
def test_whatever_is_no_plain_call_for_help_is_left_to_the_command_line(stored, line):
    assert stored(line) is None


def test_who_wants_no_colours_gets_none(stored, monkeypatch):
    plain = stored(["train", "--help"])
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
        assert stored(["train", "--help"], on_terminal=True) == plain


@pytest.mark.parametrize("name", help_pages.FORCED)
def test_forced_colours_are_left_to_rich(stored, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert stored(["--help"]) is None


def test_an_encoding_without_the_pages_characters_is_left_to_rich(stored):
    assert stored(["--help"], encoding="latin-1") is None


@pytest.mark.parametrize("line", PAGES[:2], ids=" ".join)
def test_help_loads_nothing_that_python_has_not(line):
    code = (
        "import sys; before = set(sys.modules); from synthset.cli import main; "
        f"assert main({line!r}) == 0; print(*set(sys.modules) - before, file=sys.stderr)"
    )
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded <= {"synthset", "__future__", "importlib", "types", "warnings", "_warnings"}


@pytest.mark.parametrize(("columns", "printed_width"), [(120, 100), (90, 80), (60, 60)])
def test_help_on_a_terminal(columns, printed_width):
    page = on_terminal(["train", "--help"], columns)
    assert "\x1b[" in page
    widest = max(map(len, help_pages.without_colours(page).split("\r\n")))
    assert widest == printed_width
    if printed_width in WIDTHS:
        stored_page = (FOLDER / str(printed_width) / "train.txt").read_text(encoding="utf-8")
        assert page.replace("\r\n", "\n") == stored_page


def on_terminal(line, columns):
    """What `synthset` sends a terminal that many columns wide."""
    terminal, other_end = pty.openpty()
    fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "synthset.cli", *line]
    process = subprocess.Popen(command, stdin=other_end, stdout=other_end, stderr=other_end, env=environment)
    os.close(other_end)
    sent = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # how Linux says that the process has closed its end
            part = b""
        if not part:
            break
        sent += part
    os.close(terminal)
    assert process.wait() == 0
    return sent.decode()


def test_ctrl_c_while_the_command_line_is_loaded_ends_as_any_other(monkeypatch, capsys):
    import synthset.cli.command_line as command_line

    def interrupt(tokens):
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "run", interrupt)
    assert main(["create"]) == 130
    assert capsys.readouterr().err == "error: Interrupted. Run the same command again to finish.\n"
