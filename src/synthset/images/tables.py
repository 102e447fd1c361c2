"""Labelled images in tables: Parquet files with the images or their paths, or metadata beside image files.

Images stay encoded until they are looked at. Of Parquet files a bounded share is kept in memory.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthset.core.errors import DataError, UsageError
from synthset.core.names import shown
from synthset.images.cells import reader_of
from synthset.images.columns import Table, find_image_column, find_label_column
from synthset.images.folders import Folder
from synthset.images.imageset import ImageSet
from synthset.images.labels import names_in_all, number_labels
from synthset.images.splits import split_of

logger = logging.getLogger(__name__)

METADATA = "metadata"  # stem of a table beside image files, as the hub has it
METADATA_SUFFIXES = (".parquet", ".jsonl", ".json", ".csv")
DATA = "data"  # where dataset repositories keep their images
_SHARD = re.compile(r"\d{5}-of-(\d{5})(?!\d)")
SYNTHSET_COLUMNS = {"request_id", "prompt", "strategy", "sha256"}  # of the shards of a dataset


def find_tables(top: Folder) -> dict[str, list[Path]]:
    """The Parquet files within a folder that hold images, by split; under "" those whose names speak of none."""
    # a picture on top, as datasets have for people who look, makes no image folder of one with data/
    data = [folder for folder in top.folders if folder.path == top.path / DATA]
    folders = [inner for folder in data if top.images for inner in _without_images(folder)] or _without_images(top)
    files = [file for folder in folders for file in folder.files(".parquet")]
    in_data = [file for file in files if file.is_relative_to(top.path / DATA)]
    by_split: dict[str, list[Path]] = {}
    for file in in_data or [file for file in files if file.stem != METADATA]:
        by_split.setdefault(_split_of_file(file, top.path), []).append(file)
    for split, found in by_split.items():
        _check_one_config(top.path, found, split)
    return by_split


def find_metadata(folder: Folder) -> Path | None:
    """The table beside the image files of a folder that says their classes."""
    files = folder.files(*METADATA_SUFFIXES)
    return next((file for file in files if file.stem == METADATA), None)


def _without_images(folder: Folder) -> list[Folder]:
    """It and all folders within, but for those that hold image files."""
    if folder.images:
        return []
    return [folder] + [inner for part in folder.folders for inner in _without_images(part)]


def _split_of_file(file: Path, root: Path) -> str:
    """The split that a file's name or else its folders' speak of: test/0000.parquet, train-00000-of-00002.parquet."""
    *folders, _ = file.relative_to(root).parts
    return next((split for name in (file.stem, *reversed(folders)) if (split := split_of(name))), "")


def _check_one_config(root: Path, files: Sequence[Path], split: str) -> None:
    """Refuse the files of several configurations, which hold the same images, or others, under other labels."""
    configs = {
        "/".join(name for name in file.relative_to(root).parts[:-1] if not split_of(name)): file for file in files
    }
    if len(configs) > 1:
        raise UsageError(
            f"Expected one configuration in '{root}', got {', '.join(sorted(configs))} for {split or 'its images'}. "
            f"Give the path of one, e.g. '{root / max(configs)}'."
        )


def load_tables(
    files: Sequence[Path], root: Path, label_column: str | None = None, strict: bool = False, prefix: str = ""
) -> ImageSet:
    """The images of tables, whose labels mean the same in all of them.

    Args:
        files: Parquet files, or metadata.
        root: the path that was named; images that stand as paths lie within it.
        label_column: None for the only one that there is.
        strict: refuse rows without a label, which are left out otherwise.
        prefix: of the option that says the column, for errors.
    Raises:
        UsageError: several columns of labels, or none of that name.
        DataError: damaged tables, no images, or unusable labels.
    """
    _check_shards(files, strict)
    tables = [Table.read(file) for file in files]
    first = tables[0]
    image_column = find_image_column(first)
    label_column = find_label_column(first, label_column, f"{prefix}label_column")
    groups: list[str] = []
    values: list[Any] = []
    for table in tables:
        columns = table.columns((image_column, label_column), [label_column, *({"strategy"} & set(first.names))])
        values += columns.column(label_column).to_pylist()
        groups += [str(word) for word in columns.column("strategy").to_pylist()] if "strategy" in first.names else []
    name = shown(root)
    if not values:
        raise DataError(f"Expected images in '{name}', found no rows.")
    labels, class_names = number_labels(values, names_in_all(tables, label_column, values), name)
    reader = reader_of(tables, image_column, root)
    kind = "synthetic" if SYNTHSET_COLUMNS.issubset(first.names) else "real"
    has_label = labels >= 0
    _check_labelled(has_label, name, strict)
    known = np.maximum(labels, 0)
    places = {"origin": reader.origin, "together": reader.together}
    images = ImageSet(name, class_names, known, reader.read, tuple(groups), kind=kind, **places)
    return images if has_label.all() else images.select(has_label)


def has_own_images(files: Sequence[Path]) -> bool:
    """Whether Parquet files hold their images, and not the paths of some beside them, as far as the first row says."""
    table = Table.read(files[0])
    column = find_image_column(table)
    value = table.first(column)
    return isinstance(value.get("bytes") if isinstance(value, dict) else value, bytes)


def _check_shards(files: Sequence[Path], strict: bool) -> None:
    """Raise DataError where shards are missing, by the count in their names, and `strict` is on; else say how many."""
    counts = {int(match[1]) for file in files if (match := _SHARD.search(file.stem))}
    if len(counts) == 1 and len(files) < (count := counts.pop()):
        text = f"{len(files):,} of {count:,} files are there, by their names, of the images in '{files[0].parent}'"
        if strict:
            raise DataError(f"{text}. Fetch the others.")
        logger.warning("%s", text)


def _check_labelled(has_label: np.ndarray, name: str, strict: bool) -> None:
    """Raise DataError where no image has a label, or where one has none and `strict` is on; else say how many."""
    count = int((~has_label).sum())
    text = f"{count:,} of the {len(has_label):,} images of '{name}' have no label (-1 or nothing)"
    if count == len(has_label):
        raise DataError(f"{text}: hubs publish some test splits so. Give another split, or one with labels.")
    if count and strict:
        raise DataError(f"{text}. Label them, or take them away.")
    if count:
        logger.warning("%s; they are left out", text)


@dataclass(frozen=True, eq=False)
class TablePictures:
    """The images of a table, without their labels: how many, and how each is read."""

    num_images: int
    read: Callable[[int], bytes]

    def __len__(self) -> int:
        return self.num_images


def open_pictures(file: Path) -> TablePictures:
    """The images of a Parquet file. Raises DataError for a damaged one, or one without images."""
    table = Table.read(file)
    return TablePictures(table.rows, reader_of([table], find_image_column(table), file).read)
