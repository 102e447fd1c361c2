"""Files that are either whole or not there: written under a temporary name, synced, and renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

PART = ".part"  # ending of files that are being written; they may be deleted at any time


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears at `path` when the block ends, and not at all if it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, for people to read."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def delete_parts(folder: Path) -> None:
    """Delete what interrupted writes left behind in `folder` and below."""
    for part in folder.rglob(f".*{PART}"):
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    # makes the rename itself durable; folders cannot be opened on Windows
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
