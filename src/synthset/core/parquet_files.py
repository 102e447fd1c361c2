"""Parquet files of ours: written whole, with checksums; read back strictly, as columns are declared.

Pages have checksums by Parquet's own rules. Its end, which says where they are, has none, and a flipped bit there can
give a column the values of another. So its hash stands before it, where no other reader looks:

    PAR1 | pages | _MARK, SHA-256 of the end | end | length of the end | PAR1
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthset.core.errors import DataError, first_line
from synthset.core.files import atomic_write, is_local
from synthset.core.json_records import Record, parse_record

log = logging.getLogger("synthset")

_NOTES, _MARK = b"synthset", b"synthset"
Group = TypeVar("Group", pa.Table, pa.ChunkedArray)
_LENGTH_BYTES = 8  # of the length of the end, and PAR1
# of pyarrow, whose own errors are OSError and ValueError for the most part, on damaged bytes
_DAMAGE = (OSError, ValueError, MemoryError, pa.ArrowException)


def write_table(
    path: Path, table: pa.Table, notes: Mapping[str, Any] | None = None, *, row_group_size: int = 2**20
) -> None:
    """Write a table atomically.

    Args:
        notes: what JSON can hold, for `read_notes`.
        row_group_size: rows that are read at least.
    """
    metadata = dict(table.schema.metadata or {})
    if notes is not None:
        metadata[_NOTES] = json.dumps(notes, ensure_ascii=False).encode()
    with atomic_write(path) as file:
        write_parquet(file, table.replace_schema_metadata(metadata), row_group_size=row_group_size)


def write_parquet(file: BinaryIO, table: pa.Table, *, row_group_size: int, **options: Any) -> None:
    """Write a table with all checksums into an open file; options are those of pyarrow."""
    sink = _Sink(file)
    with pq.ParquetWriter(sink, table.schema, write_page_checksum=True, **options) as writer:
        writer.write_table(table, row_group_size=row_group_size)
        sink.keeps = True
    start = len(sink.tail) - _LENGTH_BYTES - int.from_bytes(sink.tail[-_LENGTH_BYTES:-4], "little")
    end = bytes(sink.tail[start:-_LENGTH_BYTES])
    file.write(sink.tail[:start] + _MARK + hashlib.sha256(end).digest() + sink.tail[start:])


class _Sink(io.RawIOBase):
    """Passes on what is written, until it is to keep it in its tail."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self.file, self.written, self.keeps, self.tail = file, 0, False, bytearray()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.written

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.written += size
        if self.keeps:
            self.tail += data
        else:
            self.file.write(data)
        return size


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """A file to read from, whose checksums are looked at. Raises ValueError where its end was changed."""
    log.debug("reading '%s'", path)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LENGTH_BYTES))
        length = int.from_bytes(file.read(4), "little")
        seal_bytes = len(_MARK) + hashlib.sha256().digest_size
        file.seek(max(0, size - _LENGTH_BYTES - length - seal_bytes))
        seal, end = file.read(seal_bytes), file.read(length)
        # earlier versions had none
        if seal.startswith(_MARK) and seal != _MARK + hashlib.sha256(end).digest():
            raise ValueError("its end was changed")
        file.seek(0)
        with pq.ParquetFile(path if is_local(path) else file, page_checksum_verification=True) as parquet:
            yield parquet


def read_table(
    path: Path,
    schema: pa.Schema,
    remedy: str,
    nullable: Collection[str] = (),
    *,
    others: Collection[str] = (),
    may_lack: Collection[str] = (),
    rows: np.ndarray | None = None,
) -> pa.Table:
    """Columns of one file.

    Args:
        schema: those that are read, as they are then.
        remedy: a sentence: what to do where the file is damaged.
        nullable: columns that may have gaps.
        others: further columns, read as they are.
        may_lack: columns that another version did not write, which are nulls then; they are nullable.
        rows: indices of those to read, in this order; None for all. Only row groups that have some are read.
    Raises:
        DataError: it is not there, is damaged, or has other columns, or fewer rows.
    """
    try:
        with open_parquet(path) as file:
            stored = file.schema_arrow
            lacking = [name for name in may_lack if name not in stored.names]
            names = [name for name in (*schema.names, *others) if name not in lacking]
            table = file.read(columns=names) if rows is None else _read_rows(file, names, rows)
        if missing := [name for name in names if name not in table.column_names]:
            raise ValueError(f"no column {', '.join(missing)}")
        for name in lacking:
            table = table.append_column(name, pa.nulls(table.num_rows))
        whole = pa.schema([*schema, *map(table.schema.field, others)])
        table = table.select(whole.names).cast(whole)
    except _DAMAGE as error:
        raise _damaged(path, first_line(error), remedy) from error
    for name in schema.names:
        if name not in nullable and table.column(name).null_count:
            raise _damaged(path, f"rows without '{name}'", remedy)
    return table


def _read_rows(file: pq.ParquetFile, names: list[str], rows: np.ndarray) -> pa.Table:
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    stops = np.cumsum(sizes, dtype=np.int64)
    if len(rows) and rows.max() >= file.metadata.num_rows:
        raise ValueError(f"no row {rows.max()}")
    groups, place = np.unique(np.searchsorted(stops, rows, "right"), return_inverse=True)
    starts = np.cumsum([0, *(sizes[group] for group in groups)])  # of the groups that are read, one behind the other
    within = rows - (stops - sizes)[groups[place]]
    return file.read_row_groups(groups.tolist(), columns=names).take(pa.array(starts[place] + within))


def group_sizes(path: Path, remedy: str) -> list[int]:
    """The number of rows of each row group of a file. Raises DataError as `read_table`."""
    try:
        with open_parquet(path) as file:
            return [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    except _DAMAGE as error:
        raise _damaged(path, first_line(error), remedy) from error


def count_rows(path: Path, remedy: str) -> int:
    """The number of rows of a file. Raises DataError as `read_table`."""
    return sum(group_sizes(path, remedy))


def read_notes(kind: type[Record], path: Path, remedy: str) -> Record:
    """The notes of a file that `write_table` wrote, as a record. Raises DataError as `read_table`."""
    try:
        with open_parquet(path) as file:
            text = (file.schema_arrow.metadata or {}).get(_NOTES, b"{}")
    except _DAMAGE as error:
        raise _damaged(path, first_line(error), remedy) from error
    return parse_record(kind, text, f"the notes of '{path}'", remedy)


class KeptGroups(Generic[Group]):
    """Row groups that were read, the latest of them kept in memory: for reading rows one by one, from any thread.

    Args:
        load: reads a group, by its number.
    Attributes:
        budget_bytes: of the groups that are kept; the latest is, however large.
    """

    budget_bytes = 2**29

    def __init__(self, load: Callable[[int], Group]) -> None:
        self._load = load
        self._kept: OrderedDict[int, Group] = OrderedDict()
        self._lock = threading.Lock()  # a group is read once, however many threads ask

    def get(self, number: int) -> Group:
        """A group, read if it is not at hand."""
        with self._lock:
            if number not in self._kept:
                self._kept[number] = self._load(number)
                while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > self.budget_bytes:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(number)
            return self._kept[number]


def _damaged(path: Path, reason: str, remedy: str) -> DataError:
    return DataError(f"Expected a whole file of Synthset, '{path}' does not read ({reason}). {remedy}")
