"""Archives of images, read in place: a path such as EuroSAT.zip/2750/Forest/1.jpg leads through one.

Nothing is unpacked under the names that an archive has. A tar that is compressed can be read from its beginning alone,
so it is decompressed once, into a file without a name, which is gone with the process however that ends. What such a
format may bring along is refused when it is opened: names that lead out, links, devices, encrypted files, two files of
one name, more than the archive can honestly hold, and an end that is missing.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from synthset.core.errors import DataError, first_line
from synthset.core.names import shown

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# of all that comes out of an archive: images hardly shrink, and what a bomb holds does a thousandfold and more
MOST_BYTES, MOST_TIMES = 2**30, 200
MOST_HEADER = 2**20  # of one file of a tar
BLOCK = 2**20
DEEPEST = 64  # folders within folders

# what opens a compressed file, by its first bytes
_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError)


def is_archive(path: Path) -> bool:
    """Whether a path is a file that is called like an archive."""
    return path.name.lower().endswith(ENDINGS) and path.is_file()


def is_folder(path: Path) -> bool:
    """Whether a path is a folder: one of the file system, an archive, or one within an archive."""
    found = _find(path)
    return path.is_dir() if found is None else found[1] in found[0].folders


def exists(path: Path) -> bool:
    """Whether there is a file or folder at a path, which may lead through an archive."""
    found = _find(path)
    return path.exists() if found is None else found[1] in found[0].folders or found[1] in found[0].files


def list_folder(path: Path) -> list[tuple[Path, bool]]:
    """What is in a folder, in the order of the names, and whether each is a folder."""
    found = _find(path)
    if found is None:
        return [(entry, entry.is_dir()) for entry in sorted(path.iterdir())]
    archive, inner = found
    prefix = f"{inner}/" if inner else ""
    return [(path / name, f"{prefix}{name}" in archive.folders) for name in sorted(archive.folders[inner])]


def read_file(path: Path) -> bytes:
    """The bytes of a file, which may lie in an archive. Raises DataError if it cannot be read."""
    found = _find(path)
    if found is not None:
        return found[0].read(found[1])
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Expected a readable file at '{shown(path)}', got {error.strerror}.") from error


def within_archive(path: Path) -> bool:
    """Whether a path leads through an archive, or to one."""
    return _find(path) is not None


def _find(path: Path) -> tuple[Archive, str] | None:
    """The archive that a path leads through, and the path within; None for a path of the file system alone."""
    if not any(part.lower().endswith(ENDINGS) for part in path.parts):
        return None
    for place in (path, *path.parents):
        if is_archive(place):
            state = place.stat()
            inner = path.relative_to(place).as_posix()
            key = str(place.absolute()), state.st_mtime_ns, state.st_size
            return _open(str(place), key), "" if inner == "." else inner
    return None


@lru_cache(maxsize=16)
def _open(path: str, _key: tuple[str, int, int]) -> Archive:
    """The archive at a path, opened once for as long as its key stays the same."""
    return Archive(Path(path))


class Archive:
    """An archive: the names in each of its folders, and how each of its files is read.

    Attributes:
        folders: of each folder by its path, "" for the whole, the names in it.
        files: what reads each file, by its path.
    Raises:
        DataError: it is damaged, or holds what no archive of images should.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folders: dict[str, set[str]] = {"": set()}
        self.files: dict[str, Callable[[], bytes]] = {}
        self._most = max(MOST_BYTES, MOST_TIMES * path.stat().st_size)
        with self._damage():
            if path.suffix.lower() == ".zip":
                self._index_zip()
            else:
                self._index_tar()

    def read(self, inner: str) -> bytes:
        """The bytes of a file. Raises DataError for one that is damaged, or is none."""
        if inner not in self.files:
            raise DataError(f"Expected a file '{shown(inner)}' in '{shown(self.path)}', found none.")
        with self._damage(f"'{shown(inner)}' in "):
            return self.files[inner]()

    def _index_zip(self) -> None:
        archive = zipfile.ZipFile(self.path)  # closes itself
        total = 0
        for item in archive.infolist():
            kind = stat.S_IFMT(item.external_attr >> 16)
            if item.flag_bits & 1:
                raise self._refusal(item.filename, "encrypted")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise self._refusal(item.filename, "a link or a device")
            total += item.file_size
            self._add(item.filename, item.is_dir(), lambda item=item: archive.read(item))
        if total > self._most:
            raise self._bomb()

    def _index_tar(self) -> None:
        file = self._plain()
        weakref.finalize(self, file.close)
        length = file.seek(0, 2)
        file.seek(0)
        guarded: Any = _Guarded(file)
        with tarfile.open(fileobj=guarded, mode="r:") as opened:
            archive: Any = opened
            while (item := archive.next()) is not None:
                archive.members = []  # of a million files it would keep all that it knows
                if not (item.isreg() or item.isdir()) or item.issparse():
                    raise self._refusal(item.name, "a link or a device" if not item.issparse() else "a sparse file")
                if item.offset_data + item.size > length:
                    raise EOFError(f"the end of '{item.name}' is missing")
                self._add(item.name, item.isdir(), _span(file, guarded.lock, item.offset_data, item.size))
            file.seek(archive.offset)
            end = file.read(BLOCK)
            if len(end) < tarfile.BLOCKSIZE:
                raise EOFError("its end is missing")
            while end:  # an end is of zeros alone: what else follows, as a second tar, would be left out silently
                if end.strip(b"\0"):
                    raise EOFError("its end is missing, or something else follows")
                end = file.read(BLOCK)

    def _plain(self) -> BinaryIO:
        """The tar as it is without compression: the file itself, or a copy without a name."""
        with self.path.open("rb") as file:
            head = file.read(8)
        opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
        if opener is None:
            return self.path.open("rb")
        copy = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the archive
        try:
            with opener(self.path, "rb") as source:
                total = 0
                while block := source.read(BLOCK):
                    total += len(block)
                    if total > self._most:
                        raise self._bomb()
                    copy.write(block)
        except BaseException:
            copy.close()
            raise
        return copy  # pyright: ignore[reportReturnType]

    def _add(self, name: str, is_folder: bool, read: Callable[[], bytes]) -> None:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\\" in name or len(parts) > DEEPEST:
            raise self._refusal(name, "a name that leads out of it, or too deep into it")
        inner = "/".join(parts)
        if is_folder:
            self._add_folder(parts)
            return
        if not parts or inner in self.files or inner in self.folders:
            raise self._refusal(name, "there twice, and either could be meant")
        self._add_folder(parts[:-1])
        self.folders["/".join(parts[:-1])].add(parts[-1])
        self.files[inner] = read

    def _add_folder(self, parts: list[str]) -> None:
        for depth, part in enumerate(parts):
            outer, inner = "/".join(parts[:depth]), "/".join(parts[: depth + 1])
            if inner in self.files:
                raise self._refusal(inner, "there twice, and either could be meant")
            self.folders[outer].add(part)
            self.folders.setdefault(inner, set())

    def _refusal(self, name: str, what: str) -> DataError:
        return DataError(
            f"Expected an archive of plain files in '{shown(self.path)}', got '{shown(name)[:200]}': {what}. Unpack it "
            "with a tool that you trust, and give the folder."
        )

    def _bomb(self) -> DataError:
        return DataError(
            f"Expected at most {self._most / 1e9:.1f} GB in '{shown(self.path)}', got more than its size can honestly "
            "hold. Unpack it with a tool that you trust, and give the folder."
        )

    @contextmanager
    def _damage(self, what: str = "") -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk
            raise DataError(
                f"Expected a whole archive, got another at {what}'{shown(self.path)}' ({first_line(error)}). Fetch it "
                "again, or unpack it and give the folder."
            ) from error


def _span(file: BinaryIO, lock: Lock, start: int, length: int) -> Callable[[], bytes]:
    """What reads a part of a file that several threads read."""

    def read() -> bytes:
        with lock:
            file.seek(start)
            return file.read(length)

    return read


class _Guarded:
    """A file that gives no more at once than the header of a file in a tar takes."""

    def __init__(self, file: BinaryIO) -> None:
        self.lock = Lock()
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, count: int = -1) -> bytes:
        """As of a file."""
        if not 0 <= count <= MOST_HEADER:
            raise tarfile.ReadError(f"a header of {count:,} bytes")
        return self._read(count)
