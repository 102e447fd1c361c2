"""Files of ours with one value changed: taken, or refused in one line that names file and key; no terminal is acted on.

Each key of each JSON, those of its record type that are not there as well, is set to each of BAD in turn; so is a cell
of each column of each table.
"""

from __future__ import annotations

import itertools
import json
import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fault_report import FaultReport, contents
from own_files import OwnFile, build

from synthset.core.errors import SynthsetError
from synthset.core.redaction import printable

HOSTILE = "<img onerror=alert(1)>\x1b[31m\x1b]0;title\x07"
BAD = (None, True, -1, 10**400, 1e9, float("inf"), float("nan"), "", "x", "\ud800", HOSTILE, [], [[]], [1], {})
BAD_CELLS = (None, -1, 2**62, float("inf"), float("nan"), "", HOSTILE, b"x")
Key = tuple[Any, ...]


def run(most: int) -> list[FaultReport]:
    """At most so many edits of each file, all of them where that is 0."""
    reports = []
    with tempfile.TemporaryDirectory() as name:
        for own in build(Path(name)):
            edits = [*_json_edits(own), *_cell_edits(own)]
            if edits:
                random.Random(0).shuffle(edits)
                reports.append(_try(own, edits, most or len(edits)))
    return reports


def _json_edits(own: OwnFile) -> list[tuple[Key, Any]]:
    if own.record is None:
        return []
    value = own.load(own.path)
    return [(key, bad) for key in [(), *_keys(value, own.record)] for bad in BAD]


def _keys(value: Any, kind: Any = None) -> Iterator[Key]:
    """Every key in a value, and those of its record type that have defaults."""
    if isinstance(value, list):
        for number, item in enumerate(value[:3]):  # further items are like the first
            yield (number,)
            yield from ((number, *key) for key in _keys(item))
    if isinstance(value, dict):
        for name, item in value.items():
            yield (name,)
            yield from ((name, *key) for key in _keys(item))
    for item in fields(kind) if is_dataclass(kind) else ():
        if item.name not in value and (item.default is not MISSING or item.default_factory is not MISSING):
            yield (item.name,)


def _cell_edits(own: OwnFile) -> list[tuple[Key, Any]]:
    if own.record is not None or own.path.suffix != ".parquet" or "cache" in own.name:
        return []
    return [(("column", name), bad) for name in pq.read_schema(own.path).names for bad in BAD_CELLS]


def _edit(own: OwnFile, key: Key, bad: Any) -> bool:
    """Change the file; False where the value cannot stand there at all."""
    if own.record is None:
        return _edit_cell(own.path, key[1], bad)
    value = own.load(own.path)
    place = value
    for part in key[:-1]:
        place = place[part]
    if key:
        place[key[-1]] = bad
    own.store(own.path, value if key else bad)
    return True


def _edit_cell(path: Path, name: str, bad: Any) -> bool:
    table = pq.read_table(path)
    column = table.column(name).to_pylist()
    if not column or column[0] == bad:
        return False
    column[0] = bad
    try:
        values = pa.array(column, table.schema.field(name).type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return False
    table = table.set_column(table.column_names.index(name), table.schema.field(name), values)
    pq.write_table(table.replace_schema_metadata(pq.read_schema(path).metadata), path)
    return True


def _try(own: OwnFile, edits: list[tuple[Key, Any]], most: int) -> FaultReport:
    folder = home(own.path)
    whole = contents(folder)
    lost, taken, refused = [], 0, 0
    possible = (edit for edit in edits if _edit(own, *edit))
    for key, bad in itertools.islice(possible, most):
        try:
            result = own.read()
            taken += 1
            if isinstance(result, str) and "<html" in result and HOSTILE[:12] in result:
                lost.append(f"{key} = {json.dumps(bad, default=str)[:40]}: HTML of the file is that of the page")
        except SynthsetError as error:
            refused += 1
            if fault := _complaint(own, key, str(error)):
                lost.append(f"{key} = {json.dumps(bad, default=str)[:40]}: {fault}")
        except Exception as error:
            lost.append(f"{key} = {json.dumps(bad, default=str)[:40]}: Traceback: {error!r}"[:300])
        put_back(folder, whole)
    total = taken + refused + sum("Traceback" in line for line in lost)
    return FaultReport(f"edited: {own.name}", total, total, taken, failed=total - taken, lost=tuple(lost[:20]))


def home(path: Path) -> Path:
    """The folder of the dataset, the model, the diagnosis or the cache that a file belongs to."""
    below = {"data": 1, "filters": 1, "evaluations": 1, "evaluation": 1, "images": 2}  # the last of a cache
    return path.parents[below.get(path.parent.name, 0)]


def put_back(folder: Path, whole: Mapping[Path, bytes | None]) -> None:
    """Make a folder hold again what `contents` said."""
    for path in sorted(contents(folder).keys() - whole.keys(), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for path, data in whole.items():
        if data is not None and (not path.exists() or path.read_bytes() != data):
            path.write_bytes(data)


def _complaint(own: OwnFile, key: Key, message: str) -> str:
    """What is wrong with how an edit is refused; empty if nothing is."""
    if "\n" in message or len(message) > 700:
        return f"no line of words: {message[:200]!r}"
    if printable(message) != message:
        return f"a terminal would act on: {message[:200]!r}"
    names = [part for part in key if isinstance(part, str) and part != "column"]
    if own.record is dict:  # written by hand: what is said speaks of options, phrases or classes
        return ""
    if own.path.name not in message and str(home(own.path)) not in message:
        return f"the file is not named: {message[:200]!r}"
    is_named = not names or names[-1].replace("_", " ") in message.replace("_", " ") or "go together" in message
    if own.path.name in message and not is_named:
        return f"'{names[-1]}' is not named: {message[:200]!r}"
    return ""
