"""Labelled images in tables: Parquet files with the images or their paths, or metadata beside image files.

Images stay encoded until they are looked at. Of Parquet files a bounded share is kept in memory.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.core.errors import DataError, UsageError, first_line, setting
from synthset.core.files import parse_json
from synthset.core.names import plain_name, shown
from synthset.images.folders import Folder, read_file
from synthset.images.imageset import ImageSet
from synthset.images.splits import split_of

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

METADATA = "metadata"  # stem of a table beside image files, as the hub has it
METADATA_SUFFIXES = (".parquet", ".jsonl", ".json", ".csv")
DATA = "data"  # where dataset repositories keep their images
MAX_CLASSES = 100_000  # a label above is an id, not a class
IMAGE_COLUMNS = ("image", "img", "picture")
PATH_COLUMNS = ("file_name", "filename", "file", "path", "image_path", "filepath")
LABEL_COLUMNS = ("label", "fine_label", "labels", "target", "class")
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
    tables = [_Table.read(file) for file in files]
    first = tables[0]
    image_column = _image_column(first)
    label_column = _label_column(first, label_column, f"{prefix}label_column")
    groups: list[str] = []
    values: list[Any] = []
    for table in tables:
        columns = table.columns((image_column, label_column), [label_column, *({"strategy"} & set(first.names))])
        values += columns.column(label_column).to_pylist()
        groups += [str(word) for word in columns.column("strategy").to_pylist()] if "strategy" in first.names else []
    name = shown(root)
    if not values:
        raise DataError(f"Expected images in '{name}', found no rows.")
    labels, class_names = _number_labels(values, _names_in_all(tables, label_column, values), name)
    reader = _reader(tables, image_column, root)
    kind = "synthetic" if SYNTHSET_COLUMNS.issubset(first.names) else "real"
    has_label = labels >= 0
    _check_labelled(has_label, name, strict)
    known = np.maximum(labels, 0)
    images = ImageSet(name, class_names, known, reader.read, tuple(groups), reader.origin, kind=kind)
    return images if has_label.all() else images.select(has_label)


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


# ---- labels -----------------------------------------------------------------------------------------------


def _names_in_all(tables: Sequence[_Table], column: str, values: list[Any]) -> tuple[str, ...] | None:
    """The class names of all tables, in the order of the first; numbers of the others are put into that order.

    Raises:
        DataError: tables that name other classes: one number means two of them.
    """
    lists = [table.class_names(column) for table in tables]
    names = lists[0]
    start = 0
    for table, others in zip(tables, lists, strict=True):
        stop = start + table.rows
        if others != names:
            if names is None or others is None or set(names) != set(others) or len(set(names)) < len(names):
                raise DataError(
                    f"Expected the same classes in all tables, got {_some(names)} in '{tables[0].file}' and "
                    f"{_some(others)} in '{table.file}'. Give the path of one of them."
                )
            place = {name: i for i, name in enumerate(names)}
            for row in range(start, stop):
                if isinstance(number := values[row], int) and 0 <= number < len(others):
                    values[row] = place[others[number]]
        start = stop
    return names


def _number_labels(values: list[Any], names: Sequence[str] | None, place: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of any kind -> int64 (n,), -1 for none, and the class names: the labels themselves if need be."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {str}:
        words = [plain_name(value or "") or None for value in values]  # a cell of CSV that is empty has no label
        own = {word for word in words if word is not None}
        class_names = tuple(names) if names and own <= set(names) else tuple(sorted(own))
        index: dict[str | None, int] = {name: i for i, name in enumerate(class_names)}
        return np.array([index.get(word, -1) for word in words], np.int64), class_names
    if kinds and kinds != {int}:
        raise DataError(
            f"Expected labels of '{place}' that are all integers or all text, "
            f"got {', '.join(sorted(kind.__name__ for kind in kinds))}."
        )
    labels = np.array([-1 if value is None else value for value in values], np.int64)
    numbers = np.unique(labels[labels != -1])
    low, high = (int(numbers[0]), int(numbers[-1])) if len(numbers) else (0, 0)
    if names is None:
        if low < 0 or high >= MAX_CLASSES:
            raise DataError(f"Expected class indices as labels of '{place}', got values of {low} to {high}.")
        return np.where(labels < 0, -1, np.searchsorted(numbers, labels)), tuple(map(str, numbers.tolist()))
    k = len(names)
    first = first_number(numbers, names, place)
    if low < first or high >= k + first:
        raise DataError(f"Expected labels 0..{k - 1} of '{place}', which names {k} classes, got {low}..{high}.")
    return np.where(labels < 0, -1, labels - first), tuple(names)


def first_number(numbers: np.ndarray, names: Sequence[str], place: str) -> int:
    """The number of the first of k names: 0, or 1 where the numbers have none below and reach k, which is said."""
    if not len(numbers) or numbers.min() < 1 or numbers.max() != len(names):
        return 0
    logger.warning("'%s' counts its labels from 1: 1 is '%s', %d is '%s'", place, names[0], len(names), names[-1])
    return 1


# ---- tables -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Table:
    """A table, of which only the columns' names and kinds were read.

    Attributes:
        features: column -> its description by the `datasets` library, where it wrote the file.
        content: of metadata that is no Parquet file.
    """

    file: Path
    schema: pa.Schema
    rows: int
    features: dict[str, dict[str, Any]]
    content: pa.Table | None = None

    @staticmethod
    def read(file: Path) -> _Table:
        """Raises DataError for a damaged file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            if file.suffix.lower() == ".parquet":
                metadata = pq.read_metadata(file)
                schema = metadata.schema.to_arrow_schema()
                return _Table(file, schema, metadata.num_rows, _features(schema))
            table = _read_text_table(file)
            return _Table(file, table.schema, table.num_rows, {}, table)
        except (pa.ArrowException, OSError, ValueError) as error:
            kind = "Parquet" if file.suffix.lower() == ".parquet" else file.suffix[1:].upper()
            raise DataError(f"Expected a whole {kind} file at '{file}', got: {first_line(error)}") from error

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return self.schema.names

    def typed(self, kind: str) -> list[str]:
        """The columns of a kind of feature."""
        return [name for name, feature in self.features.items() if feature.get("_type") == kind and name in self.names]

    def class_names(self, column: str) -> tuple[str, ...] | None:
        """What the numbers in a column mean, where the file says so."""
        names = self.features.get(column, {}).get("names")
        return tuple(plain_name(str(name)) for name in names) if names else None

    def columns(self, required: Sequence[str], wanted: Sequence[str]) -> pa.Table:
        """Some columns. Raises DataError where a required one is missing, or the file is damaged."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if missing := set(required) - set(self.names):
            raise DataError(
                f"Expected columns {', '.join(required)} in '{self.file}', missing: {', '.join(sorted(missing))}."
            )
        if self.content is not None:
            return self.content.select(list(wanted))
        try:
            with pq.ParquetFile(self.file) as parquet:
                return parquet.read(columns=list(wanted))
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"Expected a whole Parquet file at '{self.file}', got: {first_line(error)}") from error


def _read_text_table(file: Path) -> pa.Table:
    """Metadata as CSV, as lines of JSON, or as a list of objects. Raises ValueError for anything else."""
    import pyarrow as pa
    from pyarrow import csv, json

    if file.suffix.lower() == ".csv":
        return csv.read_csv(file)
    if file.suffix.lower() == ".jsonl":
        return json.read_json(file)
    content = parse_json(file.read_bytes())
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError("no list of objects")
    return pa.Table.from_pylist(content)


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}  # written by another tool


def _image_column(table: _Table) -> str:
    """The column of the images, or of their paths. Raises DataError without one, UsageError for several."""
    usual = [name for name in IMAGE_COLUMNS if name in table.names]
    paths = [name for name in PATH_COLUMNS if name in table.names]
    candidates = usual or table.typed("Image") or paths
    if not candidates:
        raise _no_column(table, "image", (*IMAGE_COLUMNS, *PATH_COLUMNS))
    if len(candidates) > 1 and candidates != paths:
        raise UsageError(f"Expected one column of images in '{table.file}', got {', '.join(candidates)}. Drop others.")
    column = candidates[0]
    kind = table.schema.field(column).type
    if _bytes_field(kind) is None and not _is_text(kind):
        raise DataError(f"Expected encoded images (bytes) or paths in column '{column}' of '{table.file}', got {kind}.")
    return column


def _label_column(table: _Table, wanted: str | None, option: str) -> str:
    """The column of the labels. Raises DataError without one, UsageError for several, or for another name."""
    usual = [name for name in LABEL_COLUMNS if name in table.names]
    candidates = list(dict.fromkeys([*usual, *table.typed("ClassLabel")]))
    if wanted is not None:
        if wanted not in table.names:
            raise UsageError(
                f"Expected the column '{wanted}' in '{table.file}', got {', '.join(candidates or table.names)}."
            )
        return wanted
    if not candidates:
        raise _no_column(table, "label", LABEL_COLUMNS)
    if len(candidates) > 1:
        raise UsageError(
            f"'{table.file}' has several columns of labels ({', '.join(candidates)}). Say which, e.g. "
            f"{setting(option, candidates[0])}."
        )
    return candidates[0]


def _no_column(table: _Table, what: str, usual: Sequence[str]) -> DataError:
    return DataError(
        f"Expected a column with the {what} in '{table.file}' ({', '.join(usual)}), "
        f"got {', '.join(table.names)}. Rename it."
    )


def _bytes_field(kind: pa.DataType) -> pa.DataType | None:
    """The type of the encoded images, if these are stored at all."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else pa.null()
    return kind if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else None


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0:
        kind = kind.field("path").type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _some(names: Sequence[str] | None) -> str:
    if names is None:
        return "no names"
    return ", ".join(names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")


@dataclass(frozen=True, eq=False)
class TablePictures:
    """The images of a table, without their labels: how many, and how each is read."""

    num_images: int
    read: Callable[[int], bytes]

    def __len__(self) -> int:
        return self.num_images


def open_pictures(file: Path) -> TablePictures:
    """The images of a Parquet file. Raises DataError for a damaged one, or one without images."""
    table = _Table.read(file)
    return TablePictures(table.rows, _reader([table], _image_column(table), file).read)


# ---- images -----------------------------------------------------------------------------------------------


def _reader(tables: Sequence[_Table], column: str, root: Path) -> _ParquetImages | _ListedImages:
    if all(table.content is None for table in tables):
        return _ParquetImages(root, [table.file for table in tables], column)
    cells = [
        (table.file, value) for table in tables for value in table.columns([column], [column]).column(0).to_pylist()
    ]
    return _ListedImages(root, cells)


def _read_cell(value: Any, file: Path, root: Path, where: str) -> bytes:
    """The encoded image of a cell: its bytes, or those of the file within `root` that it names."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(data, bytes):
        return data
    path = value.get("path") if isinstance(value, dict) else value
    if not path:
        raise DataError(f"Expected an image at {where}, got none.")
    inside = root if root.is_dir() else root.parent
    for folder in (file.parent, inside):
        if (found := folder / path).exists():
            if not found.resolve().is_relative_to(inside.resolve()):
                raise DataError(f"Expected an image inside '{inside}' at {where}, got '{path}', which leaves it.")
            return read_file(found)
    raise DataError(f"Expected an image at {where}, got the path '{path}', where nothing is.")


@dataclass(frozen=True, eq=False)
class _ListedImages:
    """Images whose paths stand in metadata: each row's file, and what it says."""

    root: Path
    cells: Sequence[tuple[Path, Any]]

    def read(self, index: int) -> bytes:
        file, value = self.cells[index]
        return _read_cell(value, file, self.root, self.origin(index))

    def origin(self, index: int) -> str:
        file, value = self.cells[index]
        return str(value) if isinstance(value, str) else f"a row of {file.name}"


class _ParquetImages:
    """The image column of Parquet files, read a row group at a time and kept up to a budget of memory."""

    budget_bytes = 1 << 30

    def __init__(self, root: Path, files: list[Path], column: str) -> None:
        import pyarrow.parquet as pq

        self._root = root
        self._column = column
        self._files = files
        self._groups: list[tuple[Path, int, int]] = []  # file, row group, first row within the file
        self._starts: list[int] = []  # first row of each group within the set
        self._kept: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._lock = Lock()  # readers come from a pool of threads
        start = 0
        for file in files:
            metadata = pq.read_metadata(file)
            row = 0
            for group in range(metadata.num_row_groups):
                self._groups.append((file, group, row))
                self._starts.append(start + row)
                row += metadata.row_group(group).num_rows
            start += row

    def __reduce__(self) -> tuple[Any, ...]:  # to another process go the names of the files alone
        return type(self), (self._root, self._files, self._column)

    def read(self, index: int) -> bytes:
        group = bisect_right(self._starts, index) - 1
        value = self._group(group)[index - self._starts[group]].as_py()
        return _read_cell(value, self._groups[group][0], self._root, self.origin(index))

    def origin(self, index: int) -> str:
        group = bisect_right(self._starts, index) - 1
        file, _, first = self._groups[group]
        name = file.name if file == self._root else file.relative_to(self._root)
        return f"row {first + index - self._starts[group]} of {name}"

    def _group(self, group: int) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self._lock:
            if group in self._kept:
                self._kept.move_to_end(group)
                return self._kept[group]
            file, number, _ = self._groups[group]
            try:
                with pq.ParquetFile(file) as parquet:
                    column = parquet.read_row_group(number, columns=[self._column]).column(self._column)
            except (pa.ArrowException, OSError, KeyError) as error:
                raise DataError(
                    f"Expected images in row group {number} of '{file}', got: {first_line(error)}"
                ) from error
            self._kept[group] = column
            while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > self.budget_bytes:
                self._kept.popitem(last=False)
            return column
