"""Progress bars with rate and time left, on stderr; silent where stderr is no terminal or bars are off."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from synthset.core.redaction import printable

console = Console(stderr=True)
_enabled = True
_LINE_EVERY_SECONDS = 30.0  # where no terminal shows a bar, a line now and then shows life


def set_progress(enabled: bool) -> None:
    """Turn progress on or off for the process."""
    global _enabled
    _enabled = enabled


class Track:
    """The handle of one running bar."""

    def __init__(self, total: int, description: str, unit: str, progress: Progress | None) -> None:
        self._progress, self._description, self._total, self._unit = progress, printable(description), total, unit
        self._task = progress.add_task(self._description, total=total, unit=unit) if progress else None
        self._done, self._start = 0, time.monotonic()
        self._last_line = self._start

    def advance(self, n: int = 1) -> None:
        """Count `n` more units as done."""
        self._done += n
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, n)
        elif _enabled and time.monotonic() - self._last_line > _LINE_EVERY_SECONDS:
            self._last_line = time.monotonic()
            rate = self._done / (self._last_line - self._start)
            left = (self._total - self._done) / rate if rate else float("inf")
            print(
                f"{self._description}: {self._done:,}/{self._total:,} {self._unit}, {rate:.1f}/s, {left:.0f} s left",
                file=sys.stderr,
            )

    def describe(self, text: str) -> None:
        """Change the words before the bar."""
        self._description = printable(text)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=self._description)


@contextmanager
def track(total: int, description: str, unit: str = "images") -> Iterator[Track]:
    """A bar over `total` units of work; it vanishes when done, so that only results stay on the screen."""
    if not (_enabled and console.is_terminal):
        yield Track(total, description, unit, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),  # a name may hold [brackets]
        BarColumn(bar_width=30),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Track(total, description, unit, progress)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "–/s", style="progress.data.speed")
