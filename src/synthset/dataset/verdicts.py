"""Verdicts: the judgements of a filter on each image of a dataset, in a file beside the images.

    filters/<method>.parquet     request_id, keep, reason, score, judged_as; the filter's config in the metadata
    filters/review.parquet       what a person said, see by_hand.py

A filter deletes nothing. An image is kept when every file there keeps it; a file that does not cover exactly
the images of the dataset is stale, and refused. What a person said of an image stands above all of them. A verdict on
an image that was judged as of another class than it has now does not count, see `in_force`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from synthset.core.errors import DataError, setting
from synthset.core.parquet_files import read_notes, read_table, write_table

pc: Any = pyarrow.compute  # whose functions are made when it is imported

FOLDER = "filters"
BY_HAND = "review"  # the filter that is a person
SCHEMA = pa.schema([("request_id", pa.int64()), ("keep", pa.bool_()), ("reason", pa.string()), ("score", pa.float64())])
JUDGED_AS = pa.field("judged_as", pa.string())  # a column that a filter has whose answer depends on the class


@dataclass(frozen=True)
class _Notes:
    """What stands beside the verdicts; another tool need not write it."""

    config: Mapping[str, Any] = field(default_factory=dict)
    rows_hash: str = ""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """The judgements of one filter.

    Attributes:
        method: name of the filter, and of its file.
        config: all that the verdicts depend on beside the images: encoder fingerprint, templates, threshold, …
        table: SCHEMA, one row an image: `keep`; `reason`, a sentence; `score`, higher is more surely kept; and
            JUDGED_AS where that is known: the name of the class that the image was judged as.
        rows_hash: of the rows that were judged, see Dataset.rows_hash; empty where another tool wrote the file.
        outdated: how many do not count, see `in_force`.
    """

    method: str
    config: Mapping[str, Any]
    table: pa.Table
    rows_hash: str = ""
    outdated: int = 0

    @property
    def keep(self) -> np.ndarray:
        """Bool (n,), in the order of the table."""
        return self.table.column("keep").to_numpy()

    @property
    def scores(self) -> np.ndarray:
        """Float64 (n,), in the order of the table."""
        return self.table.column("score").to_numpy()


def verdicts_path(folder: Path, method: str) -> Path:
    """The file of one filter's verdicts in the dataset `folder`."""
    return folder / FOLDER / f"{method}.parquet"


def write_verdicts(folder: Path, verdicts: Verdicts) -> Path:
    """Write, or replace, the verdicts of one filter in the dataset `folder`."""
    path = verdicts_path(folder, verdicts.method)
    notes = {"config": dict(verdicts.config), "rows_hash": verdicts.rows_hash}
    schema = SCHEMA.append(JUDGED_AS) if JUDGED_AS.name in verdicts.table.column_names else SCHEMA
    write_table(path, verdicts.table.cast(schema).replace_schema_metadata(), notes)
    return path


def read_verdicts(folder: Path) -> dict[str, Verdicts]:
    """The verdicts in the dataset `folder`, by method, in that order, but for those by hand, see by_hand.py.

    Raises DataError for a damaged file.
    """
    return {method: _read(verdicts_path(folder, method)) for method in _methods(folder) if method != BY_HAND}


def read_one(folder: Path, method: str) -> Verdicts | None:
    """The verdicts of one filter, or None where it was not run. Raises DataError as `read_verdicts`."""
    path = verdicts_path(folder, method)
    return _read(path) if path.exists() else None


def delete_verdicts(folder: Path, methods: list[str] | None = None) -> list[str]:
    """Delete the verdicts of these filters, or of all but a person, damaged or not; returns those that were there."""
    deleted = [method for method in _methods(folder) if (method != BY_HAND if methods is None else method in methods)]
    for method in deleted:
        verdicts_path(folder, method).unlink()
    if (folder / FOLDER).is_dir() and not any((folder / FOLDER).iterdir()):
        (folder / FOLDER).rmdir()
    return deleted


def told(methods: Iterable[str]) -> str:
    """Filters and a person in words.

    >>> told(["clip", "duplicates", "review"])
    'by filters (clip, duplicates), by hand'
    """
    found = list(methods)
    filters = ", ".join(method for method in found if method != BY_HAND)
    return ", ".join([f"by filters ({filters})"] * bool(filters) + ["by hand"] * (BY_HAND in found))


def in_force(verdicts: Verdicts, rows: pa.Table) -> Verdicts:
    """The verdicts, without those on images that were judged as of another class than they have now.

    Such an image is kept, as one that was not judged, with a reason that says so and no score: whoever gave it its
    class knows better than a filter that asked for another one.

    Args:
        rows: of the dataset, with `request_id` and `class_name`.
    """
    table = verdicts.table
    if JUDGED_AS.name not in table.column_names:
        return verdicts
    before = table.column(JUDGED_AS.name)
    now = rows.column("class_name").take(pc.index_in(table.column("request_id"), rows.column("request_id")))
    is_other = pc.fill_null(pc.not_equal(before, now), False)
    count = pc.sum(is_other).as_py() or 0
    if not count:
        return verdicts
    words = pc.binary_join_element_wise("judged as ", before, ", and it is ", now, " now: this does not count", "")
    changed = {"keep": True, "reason": words, "score": pa.scalar(None, pa.float64())}
    for name, value in changed.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.field(place), pc.if_else(is_other, value, table.column(name)))
    return replace(verdicts, table=table, outdated=count)


def kept_rows(verdicts: Mapping[str, Verdicts], request_ids: np.ndarray, rows_hash: str, name: str) -> np.ndarray:
    """Which of a dataset's rows every filter keeps, or a person: bool (n,).

    Args:
        verdicts: by method.
        request_ids: int64 (n,), the dataset's.
        rows_hash: the dataset's.
        name: the dataset's folder, for errors.
    Raises:
        DataError: verdicts that are not about exactly these images.
    """
    kept = np.ones(len(request_ids), bool)
    for method, verdict in verdicts.items():
        judged = verdict.table.column("request_id").to_numpy()
        order = np.argsort(judged, kind="stable")
        place = np.minimum(np.searchsorted(judged, request_ids, sorter=order), max(len(judged) - 1, 0))
        covered = judged[order[place]] == request_ids if len(judged) else np.zeros(len(request_ids), bool)
        without, extra = int((~covered).sum()), len(judged) - int(covered.sum())
        if without or extra or (verdict.rows_hash and verdict.rows_hash != rows_hash):
            raise DataError(
                f"Expected verdicts of the filter '{method}' on the {len(request_ids):,} images of '{name}', "
                f"got verdicts on others: {without:,} images have none, {extra:,} have no image. "
                f"Run the filter again: 'synthset filter {name}' with {setting('method', method)}."
            )
        if method != BY_HAND:
            kept &= verdict.keep[order[place]]
    if (by_hand := verdicts.get(BY_HAND)) is not None:  # which covers the rows in their order
        said = by_hand.table.column("reason").to_numpy(zero_copy_only=False) != ""
        kept[said] = by_hand.keep[said]
    return kept


def _methods(folder: Path) -> list[str]:
    """The filters that have verdicts in the dataset `folder`, by name."""
    return sorted(path.stem for path in (folder / FOLDER).glob("*.parquet") if not path.name.startswith("."))


def _read(path: Path) -> Verdicts:
    command = f"'synthset filter {path.parent.parent}' with {setting('method', 'none')}"
    remedy = f"Run the filter again, or delete the file: {command}."
    gaps = {"nullable": ("reason", "score", JUDGED_AS.name), "may_lack": (JUDGED_AS.name,)}
    table = read_table(path, SCHEMA.append(JUDGED_AS), remedy, **gaps).combine_chunks()
    if table.column(JUDGED_AS.name).null_count == table.num_rows:
        table = table.drop_columns([JUDGED_AS.name])
    notes = read_notes(_Notes, path, remedy)
    return Verdicts(path.stem, notes.config, table, notes.rows_hash)
