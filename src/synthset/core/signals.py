"""Signals that end a command: as Ctrl-C does, so that what is being written is taken away and folders are let go."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is not known on Windows


class Stopped(KeyboardInterrupt):
    """A signal came that shall end the process. Nothing but the command line catches it.

    Attributes:
        signum: of the signal; the exit code of a process that it ended is 128 more.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@contextmanager
def stoppable(*, ends_process: bool = False) -> Iterator[list[int]]:
    """Have signals raise Stopped in this block, and list those that came: a library may make another error of it.

    Of a signal that the process was started to ignore, as by nohup, or that has a handler, nothing is changed; and
    nothing where this is not the main thread.

    Args:
        ends_process: nothing follows the block: then Ctrl-C is no longer an exception, which would be a traceback.
    """
    came: list[int] = []

    def stop(signum: int, frame: Any) -> None:
        came.append(signum)
        raise Stopped(signum)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for signum in [getattr(signal, name) for name in NAMES if hasattr(signal, name)]:
            if signal.getsignal(signum) in (signal.SIG_DFL, signal.default_int_handler):
                before[signum] = signal.signal(signum, stop)
    try:
        yield came
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if ends_process else handler)
