"""Locks on folders: whoever writes into one is alone with it, and whoever reads one keeps writers away.

The folder itself is locked, and the system frees it when its holder dies: there is nothing that could be left behind.
Of a file system that locks no folders (some across a network), writers alone are kept apart, by a file. Elsewhere than
here there are no locks.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from synthset.core.errors import UsageError
from synthset.core.files import is_local, lock
from synthset.core.names import shown

log = logging.getLogger("synthset")

BRIEF_SECONDS = 0.5  # that everybody waits for others: a person's verdict is written within that
_RETRY_SECONDS = 0.05


@contextmanager
def writing(folder: Path, patience_seconds: float = BRIEF_SECONDS) -> Iterator[None]:
    """Alone with `folder` for the time of the block. It is made, and goes again if nothing came to be in it.

    Args:
        folder: to write into; a file or a URL is not locked.
        patience_seconds: how long to wait for others: no longer than for a verdict by default, for they may take hours.
    Raises:
        UsageError: another command reads or writes it, or its name is not in UTF-8.
    """
    if not is_local(folder) or (folder.exists() and not folder.is_dir()):
        yield
        return
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with ExitStack() as stack:
        _lock_patiently(folder, stack, patience_seconds, shared=False)
        try:
            yield
        finally:
            for path in missing:
                with suppress(OSError):  # not empty
                    path.rmdir()


@contextmanager
def reading(*places: object) -> Iterator[ExitStack]:
    """Keep writers away from folders for the time of the block, or until the stack that it gives is closed.

    Args:
        places: paths of folders. Whatever is none, such as a file, a URL, images in memory, is not locked.
    Raises:
        UsageError: another command writes into one of them, or a name is not in UTF-8.
    """
    with ExitStack() as stack:
        for place in places:
            if isinstance(place, str | os.PathLike):
                if Path(place).is_dir():
                    _lock_patiently(Path(place), stack, BRIEF_SECONDS, shared=True)
                log.debug("reading '%s'", place)
        yield stack


def _lock_patiently(folder: Path, stack: ExitStack, patience_seconds: float, *, shared: bool) -> None:
    """Lock a folder until the stack is closed. Raises UsageError where others have it for longer."""
    deadline = time.monotonic() + patience_seconds
    while not _lock(folder, stack, shared=shared):
        if time.monotonic() >= deadline:
            raise _busy(folder)
        time.sleep(_RETRY_SECONDS)


def _lock(folder: Path, stack: ExitStack, *, shared: bool) -> bool:
    """Lock a folder until the stack is closed; False where another has it."""
    if shown(folder) != str(folder):  # the libraries that read tables and weights take no other
        raise UsageError(f"Expected a folder with a name in UTF-8, got '{shown(folder)}'. Rename it.")
    while True:
        if not shared:
            folder.mkdir(parents=True, exist_ok=True)
        if os.name != "posix":  # a folder cannot be opened
            return shared or _lock_file(folder / ".lock", stack)
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            if shared:
                return True
            continue
        with ExitStack() as opened:
            opened.callback(os.close, handle)
            state = lock(handle, shared=shared)
            if state is False:
                return False
            if state is None and not shared and not _lock_file(folder / ".lock", opened):
                return False
            with suppress(FileNotFoundError):  # it may have been replaced, or deleted, before it was locked
                if os.path.samestat(folder.stat(), os.fstat(handle)):
                    stack.push(opened.pop_all())
                    return True


def _lock_file(path: Path, stack: ExitStack) -> bool:
    from filelock import FileLock, Timeout

    try:
        stack.enter_context(FileLock(path, timeout=0, mode=0o600))
    except Timeout:
        return False
    stack.callback(path.unlink, missing_ok=True)
    return True


def _busy(folder: Path) -> UsageError:
    return UsageError(f"Another command is at work in '{folder}'. Wait until it is done, then run this one again.")
