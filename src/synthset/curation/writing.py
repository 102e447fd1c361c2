"""A dataset made of images that others have: their bytes as they are, in shards of its own, and what goes beside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthset.core.errors import DataError, UsageError, setting
from synthset.core.files import is_local, to_path
from synthset.core.parquet_files import group_sizes, read_table, write_table
from synthset.core.progress import Track, track
from synthset.create.real_guidance import TABLE_SCHEMA
from synthset.create.stage import SHARDS_SHOWN
from synthset.dataset.by_hand import read_by_hand, write_by_hand
from synthset.dataset.card import write_card
from synthset.dataset.layout import INITIAL_IMAGES_FILE
from synthset.dataset.manifest import Accounting, write_manifest
from synthset.dataset.reader import REDRAW, Dataset, open_dataset
from synthset.dataset.records import FAILURE_SCHEMA, shard_schema, stored_schema
from synthset.dataset.verdicts import FOLDER as VERDICTS_FOLDER
from synthset.dataset.verdicts import Verdicts, write_verdicts
from synthset.images.pictures import draw_contact_sheet

SHARD_SIZE = 512
FILES = (
    *("manifest.json", "data", "failures.parquet", VERDICTS_FOLDER, "README.md", "preview.png"),
    INITIAL_IMAGES_FILE,
)


@dataclass(frozen=True, eq=False)
class Taken:
    """Images of one dataset, as they are to be stored.

    Attributes:
        rows: int64 (n,), ascending, of the dataset.
        table: their columns but the image, n rows.
    """

    dataset: Dataset
    rows: np.ndarray
    table: pa.Table


@dataclass(frozen=True, eq=False)
class Made:
    """All but the images of a dataset that is made of others.

    Attributes:
        name: of its folder.
        job: as the manifest has it.
        columns: of its shards.
        outcome: further entries of the manifest.
        failures: FAILURE_SCHEMA.
        verdicts: of filters; their `rows_hash` is made here.
        by_hand: what a person said, by the hash of an image.
        real_images: TABLE_SCHEMA; None for none.
    """

    name: str
    job: Mapping[str, Any]
    columns: tuple[str, ...]
    batch_size: int
    seconds: float
    outcome: Mapping[str, Any]
    failures: pa.Table
    accounting: Accounting
    verdicts: Sequence[Verdicts] = ()
    by_hand: Mapping[str, bool] = field(default_factory=dict)
    real_images: pa.Table | None = None


def local_dataset(folder: str | Path) -> Dataset:
    """A finished dataset on this machine. Raises UsageError for one elsewhere, else as `open_dataset`."""
    if not is_local(to_path(folder)):
        raise UsageError(f"Expected a dataset on this machine, got '{folder}'. Copy it here first.")
    return open_dataset(folder)


def check_apart(output: Path, folders: Sequence[Path]) -> None:
    """Raise UsageError where a dataset would be written into, or around, one that it is made of."""
    target = output.resolve()
    for folder in (folder.resolve() for folder in folders):
        if target == folder or folder in target.parents or target in folder.parents:
            raise UsageError(
                f"Expected {setting('output_dir')} apart from '{folder}', got '{output}'. Choose another folder."
            )


def read_failures(dataset: Dataset) -> pa.Table:
    """What could not be drawn for a dataset: FAILURE_SCHEMA. Raises DataError for a damaged file."""
    return read_table(dataset.folder / "failures.parquet", FAILURE_SCHEMA, REDRAW, nullable=("reason",))


def read_real_images(dataset: Dataset) -> pa.Table | None:
    """The real images behind a dataset: TABLE_SCHEMA; None without any. Raises DataError for a damaged file."""
    if "initial_images" not in dataset.manifest["job"]:
        return None
    dataset.initial_images()  # which looks at the hashes
    return read_table(dataset.folder / INITIAL_IMAGES_FILE, TABLE_SCHEMA, "Restore the file.")


def by_hand_of(dataset: Dataset, hashes: Sequence[str]) -> dict[str, bool]:
    """What a person said of some images of a dataset, by their hashes."""
    said = read_by_hand(dataset.folder)
    return {name: said[name] for name in dict.fromkeys(hashes) if name in said}


def write_dataset(folder: Path, taken: Sequence[Taken], made: Made) -> Dataset:
    """Write a dataset into a folder that is there, and give it.

    Raises:
        DataError: images of a dataset that are damaged.
    """
    class_names = tuple(made.job["classes"])
    _write_shards(folder, taken, shard_schema(made.columns, class_names), made.name)
    write_table(folder / "failures.parquet", made.failures)
    if made.real_images is not None:
        write_table(folder / INITIAL_IMAGES_FILE, made.real_images)
    manifest = (folder, "complete", made.job, made.batch_size, made.accounting, made.seconds, made.outcome)
    write_manifest(*manifest, made.columns)
    dataset = open_dataset(folder)
    for verdicts in made.verdicts:
        write_verdicts(folder, replace(verdicts, rows_hash=dataset.rows_hash))
    write_by_hand(folder, made.by_hand)
    images = dataset.part(SHARDS_SHOWN).images(kept=False)
    draw_contact_sheet(replace(images, name=made.name), folder / "preview.png")
    write_card(dataset, made.name)
    return dataset


def _write_shards(folder: Path, taken: Sequence[Taken], schema: pa.Schema, name: str) -> None:
    (folder / "data").mkdir()
    waiting, number = list[pa.Table](), 0
    with track(sum(len(part.rows) for part in taken), f"writing {name}") as bar:
        for block in (block for part in taken for block in _blocks(part, schema, bar)):
            waiting.append(block)
            while sum(map(len, waiting)) >= SHARD_SIZE:
                together = pa.concat_tables(waiting)
                _write_shard(folder, number, together.slice(0, SHARD_SIZE))
                waiting, number = [together.slice(SHARD_SIZE)], number + 1
    if rest := [block for block in waiting if len(block)]:
        _write_shard(folder, number, pa.concat_tables(rest))


def _write_shard(folder: Path, number: int, table: pa.Table) -> None:
    write_table(folder / "data" / f"train-{number:05d}.parquet", table, row_group_size=128)


def _blocks(part: Taken, schema: pa.Schema, bar: Track) -> Iterator[pa.Table]:
    """The images of one dataset with the columns that they are to have, a row group of its shards at a time."""
    start = 0
    for path in part.dataset.shards:
        within = 0
        for size in group_sizes(path, REDRAW):
            first, last = np.searchsorted(part.rows, (start, start + size)).tolist()
            if first < last:
                rows = part.rows[first:last] - start + within
                yield _block(path, rows, part.table.slice(first, last - first), schema)
                bar.advance(last - first)
            start, within = start + size, within + size


def _block(path: Path, rows: np.ndarray, columns: pa.Table, schema: pa.Schema) -> pa.Table:
    stored = read_table(path, stored_schema(["image", "sha256"]), REDRAW, rows=rows).combine_chunks()
    files = stored.column("image").combine_chunks()
    data, old_names = files.field("bytes").to_pylist(), files.field("path").to_pylist()
    for row, one, name in zip(rows.tolist(), data, stored.column("sha256").to_pylist(), strict=True):
        if one is None or hashlib.sha256(one).hexdigest() != name:
            raise DataError(f"Expected row {row} of '{path}' as it was drawn, it was changed. {REDRAW}")
    labels = columns.column("label").to_pylist()
    # which begins with the number of the class
    names = [f"{label:04d}-{str(old).partition('-')[2]}" for label, old in zip(labels, old_names, strict=True)]
    images = pa.StructArray.from_arrays([pa.array(data, pa.binary()), pa.array(names)], ["bytes", "path"])
    table = columns.append_column("image", images)
    return table.select(schema.names).cast(schema)
