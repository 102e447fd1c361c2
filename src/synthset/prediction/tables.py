"""Rows of predictions as CSV, lines of JSON, or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from synthset.core.errors import UsageError, setting
from synthset.core.files import atomic_write

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Row:
    """An image and its classes with their probabilities, the most probable first."""

    file: str
    top: tuple[tuple[str, float], ...]


class TableWriter(Protocol):
    """What takes rows."""

    def __enter__(self) -> TableWriter: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        ...


def columns(top_k: int) -> list[str]:
    """Names of the columns: file, class, probability, class_2, probability_2, …"""
    further = [name for place in range(2, top_k + 1) for name in (f"class_{place}", f"probability_{place}")]
    return ["file", "class", "probability", *further]


def schema_of(top_k: int) -> pa.Schema:
    """The columns of a Parquet file."""
    import pyarrow as pa

    return pa.schema(
        [(name, pa.float32() if name.startswith("probability") else pa.string()) for name in columns(top_k)]
    )


@contextmanager
def open_table(path: Path, top_k: int, *, overwrite: bool = False) -> Iterator[TableWriter]:
    """A table that appears at `path` when the block ends, and not at all if it raises.

    Raises:
        UsageError: an ending that says no form, or a file that is there.
    """
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"Expected a file called {', '.join(FORMS)}, got '{path}'. Rename it.")
    if path.is_dir() or (path.exists() and not overwrite):
        raise UsageError(
            f"'{path}' is there; nothing was changed. Choose another file, or give {setting('overwrite')}."
        )
    with atomic_write(path) as file, form(file, top_k) as table:
        yield table


class CsvWriter:
    """CSV in UTF-8 with a line of names."""

    def __init__(self, file: BinaryIO, top_k: int) -> None:
        self.file = file
        self._write([columns(top_k)])

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.flush()

    def write(self, rows: Sequence[Row]) -> None:
        """As TableWriter."""
        cells = ([cell for name, share in row.top for cell in (name, f"{share:.6f}")] for row in rows)
        self._write([[row.file, *others] for row, others in zip(rows, cells, strict=True)])

    def _write(self, lines: Sequence[Sequence[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(lines)
        self.file.write(text.getvalue().encode("utf-8", "backslashreplace"))


class JsonLinesWriter:
    """An object a line."""

    def __init__(self, file: BinaryIO, top_k: int) -> None:
        self.file = file
        self.top_k = top_k

    def __enter__(self) -> JsonLinesWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.flush()

    def write(self, rows: Sequence[Row]) -> None:
        """As TableWriter."""
        for row in rows:
            (name, probability), *_ = top = [(name, round(probability, 6)) for name, probability in row.top]
            value = {"file": row.file, "class": name, "probability": probability}
            if self.top_k > 1:
                value["top"] = [{"class": name, "probability": probability} for name, probability in top]
            self.file.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


class ParquetWriter:
    """Parquet, a group of rows a batch."""

    def __init__(self, file: BinaryIO, top_k: int) -> None:
        import pyarrow.parquet as pq

        self.schema = schema_of(top_k)
        self.writer = pq.ParquetWriter(file, self.schema, write_page_checksum=True)

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()

    def write(self, rows: Sequence[Row]) -> None:
        """As TableWriter."""
        import pyarrow as pa

        cells = [[row.file, *(cell for pair in row.top for cell in pair)] for row in rows]
        typed = zip(zip(*cells, strict=True), self.schema.types, strict=True)
        arrays = [pa.array(column, kind) for column, kind in typed]
        self.writer.write_batch(pa.record_batch(arrays, schema=self.schema))


FORMS: dict[str, Callable[[BinaryIO, int], TableWriter]] = {
    ".csv": CsvWriter,
    ".jsonl": JsonLinesWriter,
    ".parquet": ParquetWriter,
}
