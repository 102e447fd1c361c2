"""Parquet files of ours: written whole, each page with a checksum; read back strictly, as columns are declared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthset.core.errors import DataError, first_line
from synthset.core.files import atomic_write, parquet_source
from synthset.core.json_records import Record, parse_record

# the end of a file is no page, so without checksum
_NOTES, _SEAL, _COLUMNS = b"synthset", b"synthset.sha256", b"synthset.columns"
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
    metadata = {**(table.schema.metadata or {}), _COLUMNS: _hash_names(table.schema)}
    if notes is not None:
        text = json.dumps(notes, ensure_ascii=False).encode()
        metadata |= {_NOTES: text, _SEAL: hashlib.sha256(text).hexdigest().encode()}
    with atomic_write(path) as file:
        pq.write_table(
            table.replace_schema_metadata(metadata), file, row_group_size=row_group_size, write_page_checksum=True
        )


def read_table(
    path: Path,
    schema: pa.Schema,
    remedy: str,
    nullable: Collection[str] = (),
    *,
    others: Collection[str] = (),
    may_lack: Collection[str] = (),
) -> pa.Table:
    """Columns of one file.

    Args:
        schema: those that are read, as they are then.
        remedy: a sentence: what to do where the file is damaged.
        nullable: columns that may have gaps.
        others: further columns, read as they are.
        may_lack: columns that another version did not write, which are nulls then; they are nullable.
    Raises:
        DataError: it is not there, is damaged, or has other columns.
    """
    try:
        with pq.ParquetFile(parquet_source(path), page_checksum_verification=True) as file:
            stored = file.schema_arrow
            lacking = [name for name in may_lack if name not in stored.names]
            if lacking and (stored.metadata or {}).get(_COLUMNS, _hash_names(stored)) != _hash_names(stored):
                raise ValueError("its columns were changed")
            names = [name for name in (*schema.names, *others) if name not in lacking]
            table = file.read(columns=names)
            if table.num_rows != file.metadata.num_rows:
                raise ValueError("its number of rows was changed")
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


def count_rows(path: Path, remedy: str) -> int:
    """The number of rows of a file. Raises DataError as `read_table`."""
    try:
        return pq.read_metadata(parquet_source(path)).num_rows
    except _DAMAGE as error:
        raise _damaged(path, first_line(error), remedy) from error


def read_notes(kind: type[Record], path: Path, remedy: str) -> Record:
    """The notes of a file that `write_table` wrote, as a record. Raises DataError as `read_table`."""
    try:
        metadata = pq.read_schema(parquet_source(path)).metadata or {}
    except _DAMAGE as error:
        raise _damaged(path, first_line(error), remedy) from error
    text = metadata.get(_NOTES, b"{}")
    if _SEAL in metadata and metadata[_SEAL] != hashlib.sha256(text).hexdigest().encode():
        raise _damaged(path, "its notes were changed", remedy)
    return parse_record(kind, text, f"the notes of '{path}'", remedy)


def _hash_names(schema: pa.Schema) -> bytes:
    return hashlib.sha256("\n".join(schema.names).encode()).hexdigest().encode()


def _damaged(path: Path, reason: str, remedy: str) -> DataError:
    return DataError(f"Expected a whole file of Synthset, '{path}' does not read ({reason}). {remedy}")
