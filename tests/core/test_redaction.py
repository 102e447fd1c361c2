import io
import logging

import pytest
from rich.console import Console

from synthset.core import progress
from synthset.core.redaction import DiscreetFormatter, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07cat", "cat"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bcgone", "gone"),
        ("\x1b", ""),
        ("a\x08\x00\x9b1m\rb", "a1mb"),
        ("cat\u202egnp.exe", "catgnp.exe"),
        ("no text: \udce9", "no text: \ufffd"),
        ("a\tb\nc", "a\tb\nc"),
        ("🐈\u200d⬛ קצת Größe [bold]", "🐈\u200d⬛ קצת Größe [bold]"),
    ],
)
def test_what_a_terminal_would_act_on_is_taken_out(text, shown):
    assert printable(text) == shown


def test_log_lines_are_plain(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a plain passphrase")
    record = logging.LogRecord("synthset", 30, "", 0, "%s, %s", ("a plain passphrase", "\x1b[2Jcat"), None)
    assert DiscreetFormatter("%(message)s").format(record) == "…, cat"


def test_a_bar_shows_names_as_they_are(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=screen, force_terminal=True, width=100))
    monkeypatch.setattr(progress, "_enabled", True)
    with progress.track(2, "reading [/pets]\x1b]0;title\x07") as bar:
        bar.advance()
        bar.describe("reading [/dogs]\x1b]0;title\x07")
    assert "reading [/pets]" in screen.getvalue()
    assert "reading [/dogs]" in screen.getvalue()
    assert "\x1b]0;" not in screen.getvalue()
