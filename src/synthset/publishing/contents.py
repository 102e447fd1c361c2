"""Which files of a folder are published. There is a list of those that are, and whatever else lies there is not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synthset.core.errors import UsageError
from synthset.core.files import sha256_of
from synthset.publishing.licences import Licence

CARD = "README.md"


@dataclass(frozen=True)
class PublishedFile:
    """A file: its path in the repository, and where its bytes are."""

    path: str
    source: Path

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return self.source.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Of the bytes, in hexadecimal: how the hub knows large files."""
        return sha256_of(self.source)

    @cached_property
    def blob_id(self) -> str:
        """As git knows them, and the hub small files."""
        data = self.source.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Publication:
    """What of a folder is published.

    Attributes:
        kind: of repository, "dataset" or "model".
        files: in the order in which they are sent; the card and what marks completion are last.
        licences: of the models behind it.
        rejected: images that filters reject and that are left out.
        left_out: what else lies in the folder and is not published.
    """

    kind: str
    files: tuple[PublishedFile, ...]
    licences: tuple[Licence, ...] = ()
    rejected: int = 0
    left_out: tuple[str, ...] = ()


def listed(folder: Path, patterns: Iterable[str], prefix: str = "") -> list[PublishedFile]:
    """The files of a folder that patterns name, pattern by pattern. Raises UsageError for a link."""
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]
    links = [path for path in paths if path.is_symlink()]
    if links:
        raise UsageError(f"Expected a file at '{links[0]}', got a link, which may lead anywhere. Put the file there.")
    return [PublishedFile(f"{prefix}{path.relative_to(folder).as_posix()}", path) for path in paths]


def others_in(folder: Path, published: Sequence[str]) -> list[str]:
    """What lies in a folder and has no part in what is published, hidden entries left aside."""
    tops = {path.partition("/")[0] for path in published}
    return sorted(entry.name for entry in folder.iterdir() if entry.name not in tops and not entry.name.startswith("."))
