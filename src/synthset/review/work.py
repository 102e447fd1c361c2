"""Work in the background, one at a time, with its progress; it can be stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from synthset.core.errors import SynthsetError, as_flag, first_line

log = logging.getLogger("synthset")

State = Literal["idle", "working", "done", "stopped", "failed"]


class StoppedError(Exception):
    """The work shall end."""


@dataclass(frozen=True)
class Progress:
    """How far work is.

    Attributes:
        doing: what is being done, in a few words.
        error: why it failed, in a sentence; empty where it did not.
    """

    state: State = "idle"
    doing: str = ""
    done: int = 0
    total: int = 0
    error: str = ""


class Work:
    """A thread that does one thing, and whoever asks is told how far it is."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def start(self, task: Callable[[], None]) -> bool:
        """Begin a task; False where one is at work already."""
        with self._lock:
            if self.progress.state == "working":
                return False
            self._stop.clear()
            self.progress = Progress("working")
            # no daemon: one that is within a library when Python ends would have it abort
            self._thread = threading.Thread(target=self._run, args=[task])
            self._thread.start()
            return True

    def tell(self, doing: str, done: int = 0, total: int = 0) -> None:
        """Of the task: how far it is. Raises StoppedError where it shall end."""
        if self._stop.is_set():
            raise StoppedError
        self.progress = Progress("working", doing, done, total)

    @property
    def is_alive(self) -> bool:
        """Whether a task is still at work, stopped or not."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self, patience_seconds: float = 0.0) -> None:
        """Have the task end at its next step; wait for it so long."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(patience_seconds)

    def _run(self, task: Callable[[], None]) -> None:
        last = self.progress
        try:
            task()
            last = self.progress
            self.progress = Progress("done", "", last.done, last.total)
        except StoppedError:
            self.progress = Progress("stopped")
        except SynthsetError as error:
            self.progress = Progress("failed", error=error.worded(as_flag))
        except Exception as error:  # the page says so; the server lives on
            log.debug("work in the background failed", exc_info=True)
            self.progress = Progress("failed", error=f"It failed ({first_line(error)}).")
