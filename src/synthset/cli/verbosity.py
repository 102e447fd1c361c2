"""How much a command says beside its result: `--quiet`, `--verbose`."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from synthset.core.errors import UsageError
from synthset.core.progress import set_progress
from synthset.core.versions import library_versions

log = logging.getLogger("synthset")


class Verbosity(Enum):
    """What is said: the result, warnings and errors always."""

    QUIET = "nothing else"
    NORMAL = "progress, and what is about to be done"
    VERBOSE = "also times, versions, devices, files, and what was chosen and why"

    @classmethod
    def of(cls, *, quiet: bool, verbose: bool) -> Verbosity:
        """By the flags. Raises UsageError for both."""
        if quiet and verbose:
            raise UsageError("Expected --quiet or --verbose, got both. Leave one out.")
        return cls.QUIET if quiet else cls.VERBOSE if verbose else cls.NORMAL

    @property
    def line_format(self) -> str:
        """Of log lines, which have a time where times are asked for."""
        return f"{'%(asctime)s ' if self is Verbosity.VERBOSE else ''}%(levelname)s: %(message)s"


_current = Verbosity.NORMAL


def is_quiet() -> bool:
    """Whether nothing is said but the result, warnings and errors."""
    return _current is Verbosity.QUIET


@contextmanager
def saying(verbosity: Verbosity, command: str) -> Iterator[None]:
    """Say as much during the block; of a verbose one, on what it runs and how long it takes."""
    global _current
    level, start = log.level, time.monotonic()
    _current = verbosity
    shown = set_progress(False)
    set_progress(shown and verbosity is not Verbosity.QUIET)
    if verbosity is Verbosity.VERBOSE:
        log.setLevel(logging.DEBUG)
        versions = ", ".join(f"{name} {version}" for name, version in library_versions().items())
        log.debug("%s; Python %s on %s", versions, platform.python_version(), platform.platform())
    try:
        yield
    finally:
        log.debug("%s took %.1f s in all", command, time.monotonic() - start)
        log.setLevel(level)
        _current = Verbosity.NORMAL
        set_progress(shown)
