"""What a person said of the images of a dataset, on disk before it is answered, and merged with what others say.

Each write takes the folder's lock for a moment, reads what is there, changes that, and replaces the whole file: two
pages, two servers and `synthset relabel` lose nothing of each other's, and a kill costs what was not answered yet.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from synthset.core.errors import DataError
from synthset.core.files import refuse_links
from synthset.core.locks import writing
from synthset.core.options import Option
from synthset.dataset.by_hand import read_by_hand, write_by_hand
from synthset.dataset.relabels import FILE, read_relabels, write_relabels
from synthset.dataset.verdicts import BY_HAND, FOLDER, verdicts_path

PATIENCE_SECONDS = 2.0  # for another page's writes; a command that reads the dataset may take hours

_SAID = {True: 1, False: -1}


@dataclass(frozen=True)
class Change:
    """What shall be so of some images, whatever was before; None leaves a thing as it is.

    Attributes:
        rows: of the images.
        hand: 1 keep, -1 reject, 0 no verdict.
        label: index of the class; that of the drawn one takes a relabel back.
    """

    rows: tuple[int, ...]
    hand: Annotated[int | None, Option(at_least=-1, at_most=1)] = None
    label: int | None = None


class Decisions:
    """The verdicts and relabels of a dataset, by row.

    Args:
        folder: of the dataset.
        hashes: SHA-256 of each image's file; images of one hash share what is said.
        labels: int32 (n,), classes as they were drawn.
        class_names: the k names.
    Attributes:
        hand: int8 (n,), 1 keep, -1 reject, 0 nothing.
        labels: int32 (n,), classes now.
    """

    def __init__(self, folder: Path, hashes: Sequence[str], labels: np.ndarray, class_names: Sequence[str]) -> None:
        self._folder, self._hashes, self._drawn, self._class_names = folder, hashes, labels, class_names
        self._index_of = {name: index for index, name in enumerate(class_names)}
        self._rows_of: dict[str, tuple[int, ...]] = {}
        for row, name in enumerate(hashes):
            self._rows_of[name] = (*self._rows_of.get(name, ()), row)
        self._lock = threading.RLock()
        self._signature: object = None
        self._kept: dict[str, bool] = {}
        self._relabels: dict[str, str] = {}
        self._changed: list[np.ndarray] = []
        self._first = secrets.randbelow(2**28)  # no version of this server is one of another
        self.hand, self.labels = np.zeros(len(hashes), np.int8), labels.copy()
        self.refresh()
        self._changed.clear()

    @property
    def version(self) -> int:
        """Grows with every change, from a number that no other server begins at."""
        return self._first + len(self._changed)

    def counts(self) -> tuple[int, int, int]:
        """Images that were kept by hand, rejected by hand, and relabelled."""
        return int((self.hand > 0).sum()), int((self.hand < 0).sum()), int((self.labels != self._drawn).sum())

    def changed_since(self, version: int) -> np.ndarray:
        """Rows that changed after a version: int64 (m,), sorted; all of them for one that is unknown."""
        with self._lock:
            place = version - self._first
            known = self._changed[place:] if 0 <= place <= len(self._changed) else [np.arange(len(self.hand))]
            return np.unique(np.concatenate([np.empty(0, np.int64), *known]))

    def refresh(self) -> None:
        """Take over what others wrote meanwhile. Raises DataError for a damaged file."""
        with self._lock:
            signature = self._sign()
            if signature != self._signature:
                self._take(read_by_hand(self._folder), read_relabels(self._folder))
                self._signature = signature

    def apply(self, changes: Iterable[Change]) -> None:
        """Have changes on disk, all of them, before it returns.

        Raises:
            UsageError: another command is at work in the folder.
            DataError: a row or a class that there is not, or a file there that is damaged; nothing was written.
        """
        changes = list(changes)
        for change in changes:
            self._check(change)
        with self._lock, writing(self._folder, PATIENCE_SECONDS):
            refuse_links(self._folder, FOLDER)
            self.refresh()
            kept, relabels = dict(self._kept), dict(self._relabels)
            for change in changes:
                for row in change.rows:
                    self._change(row, change, kept, relabels)
            self._write(kept, relabels)
            self._take(kept, relabels)
            self._signature = self._sign()

    def _write(self, kept: Mapping[str, bool], relabels: Mapping[str, str]) -> None:
        """Write both files, in such an order that a kill between leaves no image kept in a class that nobody said.

        What is no longer kept goes before its class does, and the class of what shall be kept comes before that.
        """
        before = {name: kept.get(name) if keep else keep for name, keep in self._kept.items()}
        first = {name: keep for name, keep in before.items() if keep is not None}
        if first != self._kept and relabels != self._relabels:
            write_by_hand(self._folder, first)
        else:
            first = self._kept
        if relabels != self._relabels:
            write_relabels(self._folder, relabels)
        if kept != first:
            write_by_hand(self._folder, kept)

    def _check(self, change: Change) -> None:
        n, k = len(self._hashes), len(self._class_names)
        if any(not 0 <= row < n for row in change.rows):
            raise DataError(f"Expected images 0..{n - 1}, got another. Load the page anew.")
        if change.label is not None and not 0 <= change.label < k:
            raise DataError(f"Expected a class 0..{k - 1}, got {change.label}. Load the page anew.")

    def _change(self, row: int, change: Change, kept: dict[str, bool], relabels: dict[str, str]) -> None:
        name = self._hashes[row]
        if change.hand is not None:
            kept.pop(name, None)
            if change.hand:
                kept[name] = change.hand > 0
        if change.label is not None:
            relabels.pop(name, None)
            if change.label != self._drawn[row]:
                relabels[name] = self._class_names[change.label]

    def _take(self, kept: Mapping[str, bool], relabels: Mapping[str, str]) -> None:
        """Hold these, and note which rows they change."""
        hand, labels = np.zeros_like(self.hand), self._drawn.copy()
        for name, keep in kept.items():
            hand[list(self._rows_of.get(name, ()))] = _SAID[keep]
        for name, class_name in relabels.items():
            for row in self._rows_of.get(name, ()):
                if class_name not in self._index_of:
                    raise DataError(
                        f"Expected relabels to classes of '{self._folder}' in '{FILE}', got '{class_name}', which it "
                        "does not have. Relabel that image again, or delete the file."
                    )
                labels[row] = self._index_of[class_name]
        changed = np.flatnonzero((hand != self.hand) | (labels != self.labels))
        self._kept, self._relabels, self.hand, self.labels = dict(kept), dict(relabels), hand, labels
        if len(changed):
            self._changed.append(changed)

    def _sign(self) -> object:
        """What is another where either file was written."""
        signs = []
        for path in (verdicts_path(self._folder, BY_HAND), self._folder / FILE):
            try:
                found = path.stat()
                signs.append((found.st_ino, found.st_size, found.st_mtime_ns))
            except FileNotFoundError:
                signs.append(None)
        return tuple(signs)
