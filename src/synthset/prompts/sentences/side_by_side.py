"""Requests to a server side by side: threads that keep out of each other's way, and all wait when one is told to."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from threading import Condition, Event, Thread
from typing import TypeVar

from synthset.core.errors import SynthsetError

Answer = TypeVar("Answer")
_PASSES = 10  # of each that may pass at once, until one more may


class _EndedError(Exception):
    """The run has ended; no further request is made."""


class Gate:
    """Lets so many requests pass at once, and none before the moment that the server named to any of them.

    After each refusal of too many requests one fewer passes, and after a while without one more: so they come no
    faster than the server takes them, and it is not refused to all of them again that all come at the same moment.
    """

    def __init__(self, most: int) -> None:
        self._most = self._allowed = most
        self._inside = self._passed = 0
        self._closed_until = 0.0  # of time.monotonic
        self._changed = Condition()
        self._stopped = Event()

    def enter(self, pause: Callable[[float], object], waited_for: float = 0.0) -> None:
        """Wait until a request may be made.

        Args:
            pause: waits so many seconds.
            waited_for: the moment that `leave` gave, which the caller has waited for already.
        """
        while True:
            with self._changed:
                while self._inside >= self._allowed and not self._stopped.is_set():
                    self._changed.wait()
                if self._stopped.is_set():
                    raise _EndedError
                seconds = self._closed_until - time.monotonic()
                if seconds <= 0 or self._closed_until <= waited_for:
                    self._inside += 1
                    return
                waited_for = self._closed_until
            pause(seconds)

    def leave(self, limited_seconds: float | None = None) -> float:
        """Say that a request is answered, and how long all shall wait if the server says so.

        Returns:
            The moment until which none passes.
        """
        with self._changed:
            self._inside -= 1
            self._passed += 1
            if limited_seconds is not None:
                self._allowed, self._passed = max(1, self._allowed - 1), 0
                self._closed_until = max(self._closed_until, time.monotonic() + limited_seconds)
            elif self._passed >= _PASSES * self._allowed:
                self._allowed, self._passed = min(self._most, self._allowed + 1), 0
            self._changed.notify_all()
            return self._closed_until

    def pause(self, seconds: float) -> None:
        """Wait, as long as the run goes on."""
        if self._stopped.wait(seconds):
            raise _EndedError

    def stop(self) -> None:
        """End all that waits."""
        with self._changed:
            self._stopped.set()
            self._changed.notify_all()


def run_side_by_side(
    tasks: Sequence[Callable[[], Answer]], num_threads: int, gate: Gate
) -> Generator[tuple[int, Answer | SynthsetError], None, None]:
    """The place of each task and its answer, or its error, as they come; whoever stops reading ends the rest.

    The threads are daemons: one that waits for a server keeps no process from ending.
    """
    waiting, answers = deque(enumerate(tasks)), SimpleQueue[tuple[int, Answer | BaseException]]()

    def work() -> None:
        while waiting:
            try:
                place, task = waiting.popleft()
            except IndexError:  # another was faster
                return
            try:
                answers.put((place, task()))
            except _EndedError:
                return
            except BaseException as error:  # raised where it is read
                answers.put((place, error))

    try:
        for _ in range(min(num_threads, len(tasks))):
            Thread(target=work, daemon=True).start()
        for _ in tasks:
            place, answer = answers.get()
            if isinstance(answer, BaseException) and not isinstance(answer, SynthsetError):
                raise answer
            yield place, answer
    finally:
        waiting.clear()
        gate.stop()
