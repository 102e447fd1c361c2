"""Progress goes to stderr alone: a bar on a terminal, a line now and then elsewhere, nothing where it is off."""

import io

import pytest
from rich.console import Console

from synthset.core import progress
from synthset.core.progress import hearing, set_progress, tell, track


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that the test moves; progress is on, and afterwards as it was."""
    now = [1000.0]
    monkeypatch.setattr(progress, "_enabled", True)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def work(clock, seconds):
    with track(10, "drawing", "images") as bar:
        for _ in range(10):
            clock[0] += seconds
            bar.advance()


def test_where_no_terminal_is_a_line_tells_of_life_every_half_minute(clock, monkeypatch, capsys):
    monkeypatch.setattr(progress, "console", Console(stderr=True, force_terminal=False))
    work(clock, seconds=2)
    assert capsys.readouterr() == ("", "")
    work(clock, seconds=16)
    out, err = capsys.readouterr()
    assert out == ""
    left = {1: "2 min 24 s", 3: "1 min 52 s", 5: "1 min 20 s", 7: "48 s", 9: "16 s"}
    assert err.splitlines() == [f"drawing: {n}/10 images, 3.8/min, {time} left" for n, time in left.items()]


def test_the_first_line_comes_as_soon_as_the_time_is_known_and_is_long(clock, monkeypatch, capsys):
    monkeypatch.setattr(progress, "console", Console(stderr=True, force_terminal=False))
    with track(1000, "drawing", done=900) as bar:  # an earlier run's, which took no time here
        for _ in range(3):
            clock[0] += 2
            bar.advance()
    assert capsys.readouterr().err == "drawing: 902/1,000 images, 0.5/s, 3 min 16 s left\n"


def test_new_words_stand_in_the_next_line(clock, monkeypatch, capsys):
    monkeypatch.setattr(progress, "console", Console(stderr=True, force_terminal=False))
    with track(2000, "drawing") as bar:
        bar.describe("drawing again")
        clock[0] += 31
        bar.advance(1500)
    assert capsys.readouterr().err == "drawing again: 1,500/2,000 images, 48.4/s, 10 s left\n"


def test_a_terminal_has_a_bar_that_vanishes(clock, monkeypatch, capsys):
    monkeypatch.setattr(progress, "console", Console(stderr=True, force_terminal=True, width=100))
    work(clock, seconds=16)
    out, err = capsys.readouterr()
    assert out == ""
    assert "drawing" in err
    assert "10/10 images" in err
    assert "s left" not in err
    assert err.endswith("\x1b[2K")  # the line is empty when all is done


@pytest.mark.parametrize("is_terminal", [True, False])
def test_where_it_is_off_nothing_is_shown(clock, monkeypatch, capsys, is_terminal):
    monkeypatch.setattr(progress, "console", Console(stderr=True, force_terminal=is_terminal))
    set_progress(False)
    work(clock, seconds=16)
    assert capsys.readouterr() == ("", "")


def test_a_bar_shows_names_as_they_are(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=screen, force_terminal=True, width=100))
    with track(2, "reading [/pets]\x1b]0;title\x07") as bar:
        bar.advance()
        bar.describe("reading [/dogs]\x1b]0;title\x07")
    assert "reading [/pets]" in screen.getvalue()
    assert "reading [/dogs]" in screen.getvalue()
    assert "\x1b]0;" not in screen.getvalue()


def test_parts_of_a_unit_count_and_lines_show_whole_ones(clock, monkeypatch, capsys):
    monkeypatch.setattr(progress, "console", Console(stderr=True, force_terminal=False))
    with track(10, "drawing") as bar, hearing(bar.advance):
        for _ in range(7):
            clock[0] += 5
            tell(0.3)
    tell(1)  # nobody hears it any more
    assert capsys.readouterr().err == "drawing: 0/10 images, 3.6/min, 2 min 42 s left\n"
