"""Tables that people write or edit: CSV, TSV, JSON, lines of JSON, or Parquet, as rows of texts by column."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthset.core.errors import DataError, UsageError, first_line
from synthset.core.files import parse_json

MAX_BYTES = 2**30
ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


@dataclass(frozen=True)
class TableRow:
    """A row of a table: what to call it in an error, and its cells by column."""

    place: str
    cells: dict[str, Any]


def read_rows(path: Path) -> list[TableRow]:
    """The rows of a table, by the ending of its name.

    JSON holds a list of objects, or one object whose keys are ids or hashes and whose values are classes.

    Raises:
        UsageError: another ending.
        DataError: no file, or one that does not read, with the line.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"Expected a file called {', '.join(ENDINGS)}, got '{path}'. Rename it.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"Expected a table of at most 1 GB, '{path}' is larger. Name another file.")
        if ending == ".parquet":
            return _of_parquet(path)
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"Expected a readable file at '{path}', got: {error.strerror or first_line(error)}.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"Expected '{path}' in UTF-8, it is not from byte {error.start} on. Save it as UTF-8."
        ) from error
    if ending == ".json":
        return _of_json(text, path)
    return _of_lines(text, path) if ending == ".jsonl" else _of_csv(text, path, "\t" if ending == ".tsv" else "")


def _of_csv(text: str, path: Path, mark: str) -> list[TableRow]:
    first = text.partition("\n")[0]
    mark = mark or max(",;\t", key=first.count)  # in the line of names; the comma where there is none
    reader = csv.reader(text.splitlines(keepends=True), delimiter=mark, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        rows = list[TableRow]()
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                raise DataError(
                    f"Expected {len(names)} cells in line {reader.line_num} of '{path}', as in the first, got "
                    f"{len(cells)}. Put a text with a '{mark}' in it in double quotes."
                )
            rows.append(TableRow(f"line {reader.line_num}", dict(zip(names, cells, strict=True))))
    except csv.Error as error:
        raise DataError(f"Expected a table in '{path}', line {reader.line_num} does not read ({error}).") from error
    if len(set(names)) < len(names):
        raise DataError(f"Expected each column of '{path}' under a name of its own, got {', '.join(names)}.")
    return rows


def _of_lines(text: str, path: Path) -> list[TableRow]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    rows = []
    for number, line in lines:
        try:
            value = json.loads(line)
        except ValueError as error:
            raise DataError(f"Expected JSON in line {number} of '{path}', it does not read ({error}).") from error
        rows.append(_object(value, f"line {number}", path))
    return rows


def _of_json(text: str, path: Path) -> list[TableRow]:
    try:
        value = parse_json(text.encode())
    except ValueError as error:
        raise DataError(f"Expected JSON in '{path}', it does not read ({error}).") from error
    if isinstance(value, dict):
        kinds = {"id" if key.isdecimal() and len(key) < 20 else "sha256" for key in value}
        if len(kinds) > 1:
            raise DataError(f"Expected ids or hashes as the keys of '{path}', got both. Use one of them.")
        key_name = next(iter(kinds), "id")
        return [TableRow(f"'{key}'", {key_name: key, "class_name": name}) for key, name in value.items()]
    if not isinstance(value, list):
        raise DataError(f"Expected a list of objects, or one object, in '{path}', got {type(value).__name__}.")
    return [_object(item, f"entry {number}", path) for number, item in enumerate(value, start=1)]


def _object(value: Any, place: str, path: Path) -> TableRow:
    if not isinstance(value, dict):
        raise DataError(f"Expected an object in {place} of '{path}', got {type(value).__name__}.")
    return TableRow(place, value)


def _of_parquet(path: Path) -> list[TableRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            plain = [one.name for one in file.schema_arrow if not pa.types.is_nested(one.type)]
            rows = file.read(columns=plain).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"Expected a Parquet table in '{path}', it does not read ({first_line(error)}).") from error
    return [TableRow(f"row {number}", row) for number, row in enumerate(rows)]


def columns_of(rows: Sequence[TableRow]) -> list[str]:
    """The columns that the first row has."""
    return [str(name) for name in rows[0].cells] if rows else []


def column_of(rows: Sequence[TableRow], names: Sequence[str], what: str, path: Path) -> str | None:
    """The one column of these names that the rows have; None for none.

    Raises:
        DataError: several, whose cells differ in a row.
    """
    found = [name for name in names if rows and name in rows[0].cells]
    for row in rows:
        texts = {str(row.cells.get(name)) for name in found}
        if len(texts) > 1:
            raise DataError(
                f"Expected one column of {what} in '{path}', got {' and '.join(found)}, which differ in {row.place} "
                f"({', '.join(sorted(texts))}). Take one away."
            )
    return found[0] if found else None
