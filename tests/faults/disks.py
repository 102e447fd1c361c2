"""A disk that is full after so many bytes, as the files of a process see it: what they write is counted."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

_open = Path.open


class Disk:
    """Counts what files write, and has room for so many bytes."""

    def __init__(self, room_bytes: float = float("inf")) -> None:
        self.room_bytes, self.written_bytes = room_bytes, 0

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """All files are written to it."""
        with mock.patch.object(Path, "open", lambda path, *args, **options: self.open(path, *args, **options)):
            yield

    def open(self, path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        """As Path.open; files that are written count."""
        if mode not in ("wb", "a+b"):
            return _open(path, mode, *args, **options)
        disk = self

        class CountedFile(io.FileIO):
            def write(self, data: Any) -> int:
                size = memoryview(data).nbytes
                if disk.written_bytes + size > disk.room_bytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                disk.written_bytes += size
                return super().write(data)

        return (io.BufferedWriter if mode == "wb" else io.BufferedRandom)(CountedFile(path, mode))
