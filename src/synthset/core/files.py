"""Files that are either whole or not there: written under a temporary name, synced, and renamed.

A folder may be anywhere that fsspec reaches (s3://bucket/pets, gs://…, memory://…). An object store has no rename
that is atomic, but an upload is: there a file is collected in memory and sent at once.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from synthset.core.errors import UsageError

log = logging.getLogger("synthset")

PART = ".part"  # ending of files that are being written
CHECKSUM = "checksum"  # last key of JSON of ours: a changed digit would pass for another value
_TIMES = re.compile(r'"seconds": [-+.\w]+')  # by which alone two runs of one job differ
_PARTS = re.compile(rf"\..+\.\d+{re.escape(PART)}")
_NO_LOCKS = (errno.EBADF, errno.EINVAL, errno.EISDIR, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


def to_path(folder: str | Path) -> Path:
    """A local path, or one of universal_pathlib, which has the same methods, where `folder` is a URL.

    Raises:
        UsageError: a URL of a kind that no installed package reads.
    """
    if "://" not in str(folder):
        return Path(folder)
    if not is_local(folder):  # it is one already
        return folder  # pyright: ignore[reportReturnType]
    from upath import UPath

    try:
        path = UPath(str(folder))
        _ = path.fs
    except (ImportError, ValueError) as error:
        raise UsageError(f"Expected a folder or a URL that can be reached, got '{folder}' ({error}).") from error
    return path  # pyright: ignore[reportReturnType]


def is_local(path: object) -> bool:
    """Whether a path lies in this machine's file system, where files can be renamed and locked."""
    return isinstance(path, str | PurePath)


def cache_folder(name: str) -> Path:
    """Where what can be made again is kept: `name` in $SYNTHSET_CACHE, or in `synthset` in the user's cache."""
    if own := os.environ.get("SYNTHSET_CACHE"):
        return Path(own) / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "synthset" / name


@contextmanager
def atomic_write(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A binary file that appears at `path` when the block ends, and not at all if it raises.

    Until then it is its owner's alone, and it stays so if it is `private`, as are the folders that are made for it.
    """
    if not is_local(path):
        buffer = io.BytesIO()
        yield buffer
        path.write_bytes(buffer.getvalue())
        log.debug("wrote '%s', %d bytes", path, buffer.tell())
        return
    for folder in [folder for folder in (path.parent, *path.parents) if not folder.exists()][::-1]:
        folder.mkdir(0o700 if private else 0o777, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with _open_part(part) as file:
            mode = _set_mode(file, 0o600)
            yield file
            file.flush()
            size = file.tell()
            if not private:
                _set_mode(file, mode)
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a disk that is full names none
        raise
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)
    log.debug("wrote '%s', %d bytes", path, size)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object as JSON atomically, with its checksum, indented, for people to read."""
    write_text(path, json.dumps(with_checksum(value), indent=2, ensure_ascii=False) + "\n")


def with_checksum(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object for JSON with the checksum of all that it holds but times, in place of an older one."""
    rest = {key: item for key, item in value.items() if key != CHECKSUM}
    return {**rest, CHECKSUM: hashlib.sha256(_TIMES.sub("", json.dumps(rest)).encode()).hexdigest()}


def fits_checksum(value: Any) -> bool:
    """Whether what JSON gave is as it was written, or is no object with a checksum; earlier versions wrote none."""
    return not isinstance(value, dict) or CHECKSUM not in value or with_checksum(value)[CHECKSUM] == value[CHECKSUM]


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises OSError if it cannot be read, ValueError as `parse_json` does."""
    return parse_json(path.read_bytes())


def parse_json(data: bytes) -> Any:
    """What UTF-8 JSON holds. Raises ValueError, whose text is short and of one line, for anything else."""
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8 at byte {error.start}") from error  # its own repr would quote all bytes
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex, without reading it into memory at once. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_links(folder: Path, *names: str) -> None:
    """Raise UsageError where a folder of ours within `folder` is a link: what is written or deleted lies elsewhere."""
    for part in (folder / name for name in names):
        if is_local(part) and part.is_symlink():
            raise UsageError(f"Expected a folder at '{part}', got a link, which may lead anywhere. Remove it.")


def is_part(path: Path) -> bool:
    """Whether a file is one of ours that is being written, or that an interrupted write left."""
    return _PARTS.fullmatch(path.name) is not None


def delete_parts(folder: Path, *, below: bool = True) -> None:
    """Delete what interrupted writes left behind in `folder`, and below it; elsewhere than here they leave nothing."""
    if not is_local(folder):
        return
    for part in (folder.rglob if below else folder.glob)(f".*{PART}"):
        if is_part(part):
            with suppress(OSError), part.open("r+b") as file:
                if lock(file.fileno()) is not False:  # else it is being written
                    part.unlink()


def lock(handle: int, *, shared: bool = False) -> bool | None:
    """Lock an open file or folder until it is closed, alone or beside others who share it; waits for nobody.

    Returns:
        Whether it is locked now; None where the file system, or the system, knows no such locks.
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def _open_part(part: Path) -> BinaryIO:
    """A new file, locked, so that nobody takes it for one that an interrupted write left."""
    while True:
        file = part.open("wb")
        if lock(file.fileno()) is not False and os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # just then it was taken for one, and is being deleted


def _set_mode(file: BinaryIO, mode: int) -> int:
    """Set the permissions of an open file, where its system knows such; gives those that it had."""
    before = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    if os.name == "posix":
        with suppress(OSError):  # some file systems know none
            os.fchmod(file.fileno(), mode)
    return before


def _sync_folder(folder: Path) -> None:
    # makes the rename itself durable; folders cannot be opened on Windows
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
