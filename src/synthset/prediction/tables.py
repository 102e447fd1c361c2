"""Rows of predictions as CSV, lines of JSON, or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from synthset.core.errors import UsageError, setting
from synthset.core.files import atomic_write
from synthset.core.spreadsheets import cell

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Row:
    """An image and its classes with their probabilities, the most probable first.

    Attributes:
        id: of an image of a Synthset dataset, the one that it has there; None of others.
        sha256: of its file, as `id`.
    """

    file: str
    top: tuple[tuple[str, float], ...]
    id: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Layout:
    """The columns of a table.

    Attributes:
        top_k: classes of a row.
        has_ids: whether rows have ids and hashes, as far as their images do.
    """

    top_k: int = 1
    has_ids: bool = False


class TableWriter(Protocol):
    """What takes rows."""

    def __enter__(self) -> TableWriter: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        ...


def columns(layout: Layout) -> list[str]:
    """Names of the columns: file, id, sha256, class, probability, class_2, probability_2, …"""
    further = [name for place in range(2, layout.top_k + 1) for name in (f"class_{place}", f"probability_{place}")]
    return ["file", *["id", "sha256"] * layout.has_ids, "class", "probability", *further]


def schema_of(layout: Layout) -> pa.Schema:
    """The columns of a Parquet file."""
    import pyarrow as pa

    kinds = {"probability": pa.float32(), "id": pa.int64()}
    return pa.schema([(name, kinds.get(name.partition("_")[0], pa.string())) for name in columns(layout)])


@contextmanager
def open_table(path: Path, layout: Layout, *, overwrite: bool = False) -> Iterator[TableWriter]:
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
    with atomic_write(path) as file, form(file, layout) as table:
        yield table


def _cells(row: Row, layout: Layout) -> list[Any]:
    """A row by its columns."""
    known = [row.id, row.sha256] if layout.has_ids else []
    return [row.file, *known, *(cell for pair in row.top for cell in pair)]


class CsvWriter:
    """CSV in UTF-8 with a line of names; what a spreadsheet would run is quoted."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self.file = file
        self.layout = layout
        self.has_names = False

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.flush()

    def write(self, rows: Sequence[Row]) -> None:
        """As TableWriter. The names of the columns stand before the first row, and not where none comes."""
        text = io.StringIO(newline="")
        lines = csv.writer(text, lineterminator="\n")
        if not self.has_names:
            lines.writerow(columns(self.layout))
            self.has_names = True
        for row in rows:
            cells = _cells(row, self.layout)
            lines.writerow([f"{value:.6f}" if isinstance(value, float) else cell(value) for value in cells])
        self.file.write(text.getvalue().encode("utf-8", "backslashreplace"))


class JsonLinesWriter:
    """An object a line."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self.file = file
        self.layout = layout

    def __enter__(self) -> JsonLinesWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.flush()

    def write(self, rows: Sequence[Row]) -> None:
        """As TableWriter."""
        for row in rows:
            (name, probability), *_ = top = [(name, round(probability, 6)) for name, probability in row.top]
            known = {"id": row.id, "sha256": row.sha256} if row.id is not None else {}
            value: dict[str, Any] = {"file": row.file, **known, "class": name, "probability": probability}
            if self.layout.top_k > 1:
                value["top"] = [{"class": name, "probability": probability} for name, probability in top]
            self.file.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


class ParquetWriter:
    """Parquet, a group of rows a batch."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        import pyarrow.parquet as pq

        self.layout, self.schema = layout, schema_of(layout)
        self.writer = pq.ParquetWriter(file, self.schema, write_page_checksum=True)

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()

    def write(self, rows: Sequence[Row]) -> None:
        """As TableWriter."""
        import pyarrow as pa

        cells = [_cells(row, self.layout) for row in rows]
        typed = zip(zip(*cells, strict=True), self.schema.types, strict=True)
        arrays = [pa.array(column, kind) for column, kind in typed]
        self.writer.write_batch(pa.record_batch(arrays, schema=self.schema))


FORMS: dict[str, Callable[[BinaryIO, Layout], TableWriter]] = {
    ".csv": CsvWriter,
    ".jsonl": JsonLinesWriter,
    ".parquet": ParquetWriter,
}
