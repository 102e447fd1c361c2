"""Progress bars with rate and time left, on stderr; silent where stderr is no terminal or bars are off."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from synthset.core.redaction import printable

log = logging.getLogger("synthset")

_listener: ContextVar[Callable[[float], object] | None] = ContextVar("listener", default=None)

console = Console(stderr=True)
_enabled = True
_LINE_EVERY_SECONDS = 30.0  # where no terminal shows a bar, a line now and then shows life
_KNOWN_SECONDS = 3.0  # by when the rate says how long all of it takes: the first of these lines, where that is long


def set_progress(enabled: bool) -> bool:
    """Turn progress on or off for the process; gives what it was before."""
    global _enabled
    before, _enabled = _enabled, enabled
    return before


class Track:
    """The handle of one running bar."""

    def __init__(self, total: int, description: str, unit: str, done: int, progress: Progress | None) -> None:
        self._progress, self._description, self._total, self._unit = progress, printable(description), total, unit
        self._task = progress.add_task(self._description, total=total, completed=done, unit=unit) if progress else None
        self._before, self._done, self._start = float(done), float(done), time.monotonic()
        self._last_line: float | None = None

    def advance(self, n: float = 1) -> None:
        """Count `n` more units as done; parts of one count too."""
        self._done += n
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, n)
        elif _enabled:
            self._print_line(time.monotonic())

    def _print_line(self, now: float) -> None:
        """A line, if one is due."""
        since = now - (self._start if self._last_line is None else self._last_line)
        fresh = self._done - self._before
        if since <= _KNOWN_SECONDS or fresh <= 0:
            return
        rate = fresh / (now - self._start)
        left = (self._total - self._done) / rate
        if since > _LINE_EVERY_SECONDS or (self._last_line is None and left > _LINE_EVERY_SECONDS):
            self._last_line = now
            state = f"{int(self._done + 1e-6):,}/{self._total:,} {self._unit}, {_speed(rate)}, {duration(left)} left"
            print(f"{self._description}: {state}", file=sys.stderr)

    def describe(self, text: str) -> None:
        """Change the words before the bar."""
        self._description = printable(text)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=self._description)


@contextmanager
def hearing(listener: Callable[[float], object]) -> Iterator[None]:
    """Have `listener` told of work within units, by whoever does it inside the block and calls `tell`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(units: float) -> None:
    """Say that so much more is done; a long unit of work says it of its parts, to whom it may concern."""
    listener = _listener.get()
    if listener is not None:
        listener(units)


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(42), duration(200), duration(9000)
    ('42 s', '3 min 20 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


@contextmanager
def track(total: int, description: str, unit: str = "images", *, done: int = 0) -> Iterator[Track]:
    """A bar over `total` units of work; it vanishes when done, so that only results stay on the screen.

    Args:
        done: units of earlier runs, which say nothing of the time that the others take.
    """
    start = time.monotonic()
    if not (_enabled and console.is_terminal):
        yield Track(total, description, unit, done, None)
        log.debug("%s took %.1f s", description, time.monotonic() - start)
        return
    columns = (
        TextColumn("{task.description}", markup=False),  # a name may hold [brackets]
        BarColumn(bar_width=30),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Track(total, description, unit, done, progress)
    log.debug("%s took %.1f s", description, time.monotonic() - start)


def _speed(a_second: float) -> str:
    """A rate as people say it; what takes long is counted by the minute.

    >>> _speed(32.46), _speed(0.02)
    ('32.5/s', '1.2/min')
    """
    return f"{a_second:.1f}/s" if a_second >= 0.1 else f"{60 * a_second:.1f}/min"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(_speed(speed) if speed else "–/s", style="progress.data.speed")
