"""Labelled images from a path: one folder a class, or Parquet files with an image and a label column.

Images stay encoded until they are looked at: a damaged one is found when it is decoded, and the error names
the file or row. Reading follows no link out of the folder, and of Parquet files it keeps a bounded share.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.core.errors import DataError, UsageError, first_line
from synthset.core.files import parse_json, read_json
from synthset.images.imageset import ImageSet

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
EXPORT_MARKER = "classes.json"  # beside the folders of an export; keeps the class names as they were
EXPORT_LAYOUT = "synthset-imagefolder"
SPLIT_WORDS = ("train", "validation", "valid", "val", "dev", "test")


def load_path(path: Path, split: str | None = None) -> ImageSet:
    """Labelled images of an image folder, a Parquet file, or a folder of Parquet files.

    Raises:
        UsageError: a split that is not there, or none given where there are several.
        DataError: nothing to read there, an empty class, unusable labels, a link that leaves the folder.
    """
    try:
        return _load(path, split)
    except OSError as error:
        raise DataError(f"Expected a readable folder or file at '{path}', got: {error}.") from error


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises DataError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Expected a readable file at '{path}', got: {error.strerror}.") from error


def exported_classes(folder: Path) -> dict[str, str] | None:
    """Class folder -> class name, in label order, if `folder` is an export of ours; else None."""
    marker = folder / EXPORT_MARKER
    try:
        record = read_json(marker)
        if record["layout"] != EXPORT_LAYOUT:
            return None
        return {str(entry["folder"]): str(entry["name"]) for entry in record["classes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or somebody else's file of that name


def _load(path: Path, split: str | None) -> ImageSet:
    if not path.is_dir():
        if path.suffix != ".parquet":
            raise DataError(f"Expected a folder or a .parquet file, got '{path}'.")
        return _load_parquet(path, _files_of_split(path, [path], split))
    for pattern in ("data/*.parquet", "*.parquet"):  # data/ is where dataset repositories keep their images
        files = sorted(file for file in path.glob(pattern) if not file.name.startswith("."))
        if files:
            return _load_parquet(path, _files_of_split(path, files, split))
    return _load_imagefolder(path, split)


def _load_imagefolder(path: Path, split: str | None) -> ImageSet:
    """One folder a class, labels in the order of the sorted folder names, as torchvision has it."""
    root = path / split if split else path
    if not root.is_dir():
        raise UsageError(f"Expected a folder '{split}' in '{path}', found none. Leave the split out.")
    real_root = root.resolve()
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and entry.name[0] != ".")
    if not folders:
        raise DataError(
            f"Expected one folder a class, or Parquet files, in '{root}', found neither. "
            "Put the images of each class into a folder of its name."
        )
    if set(folders) <= set(SPLIT_WORDS):
        raise UsageError(
            f"'{root}' holds splits ({', '.join(folders)}), not classes. Say which: '{root / folders[-1]}'."
        )
    names = exported_classes(root) or {folder: folder for folder in folders}
    if sorted(names) != folders:
        raise DataError(f"The class folders of '{root}' are not those that its classes.json lists.")
    files: list[Path] = []
    labels: list[int] = []
    ignored = 0
    for label, folder in enumerate(names):
        found, others = _image_files(root / folder, real_root)
        if not found:
            raise DataError(
                f"Expected {', '.join(SUFFIXES)} images in '{root / folder}', found none. "
                "Add some, or remove the folder."
            )
        files += found
        labels += [label] * len(found)
        ignored += others
    if ignored:
        logger.warning("%s: ignored %d hidden or non-image files", root, ignored)
    return ImageSet(
        name=str(path),
        class_names=tuple(names.values()),
        labels=np.array(labels, np.int64),
        read=lambda index: read_file(files[index]),
        origin=lambda index: str(files[index].relative_to(root)),
    )


def _image_files(folder: Path, root: Path) -> tuple[list[Path], int]:
    """The sorted images under `folder`, at any depth, and the number of other files there."""
    images: list[Path] = []
    ignored = 0
    pending = [folder]
    while pending:
        current = pending.pop()
        if current.is_symlink():  # a linked folder may lead anywhere, also back up
            raise DataError(f"Expected a folder, got '{current}', a link. Links to folders are not followed.")
        for entry in current.iterdir():
            if entry.is_dir():
                pending.append(entry)
            elif entry.name.startswith(".") or entry.suffix.lower() not in SUFFIXES:
                ignored += 1
            elif entry.is_symlink() and not entry.resolve().is_relative_to(root):
                raise DataError(f"Expected images inside '{root}', got '{entry}', a link that leaves it.")
            elif entry.exists() and not entry.is_file():  # reading a pipe would wait for ever
                raise DataError(f"Expected an image file, got '{entry}', a pipe or a device. Remove it.")
            else:
                images.append(entry)
    return sorted(images), ignored


def _files_of_split(path: Path, files: list[Path], split: str | None) -> list[Path]:
    """The files whose name carries the split's word (`test-00000.parquet`); all where there is one split."""
    by_split: dict[str, list[Path]] = {}
    for file in files:
        words = re.split(r"[^a-z]+", file.stem.lower())
        found = next((word for word in SPLIT_WORDS if word in words), "")
        by_split.setdefault(found, []).append(file)
    if split in by_split:
        return by_split[split]
    if split is None and len(by_split) == 1:
        return files
    names = ", ".join(sorted(filter(None, by_split))) or "none in its file names"
    got = f"got '{split}'" if split else "got none"
    raise UsageError(f"Expected a split of '{path}' ({names}), {got}. Name one, or give one file's path.")


def _load_parquet(path: Path, files: list[Path]) -> ImageSet:
    schema = _parquet_schema(files[0])
    features = _features(schema)
    image_column = _find_column(schema, files[0], "image", ("image", "img", "picture"), _typed(features, "Image"))
    label_column = _find_column(
        schema,
        files[0],
        "label",
        ("label", "fine_label", "labels", "target", "class"),
        _typed(features, "ClassLabel"),
    )
    _check_image_type(schema.field(image_column), files[0])
    has_strategy = "strategy" in schema.names
    labels: list[Any] = []
    groups: list[str] = []
    for file in files:
        table = _read_columns(file, [label_column, "strategy"] if has_strategy else [label_column])
        labels += table.column(label_column).to_pylist()
        if has_strategy:
            groups += [str(word) for word in table.column("strategy").to_pylist()]
    if not labels:
        raise DataError(f"Expected images in '{path}', found no rows.")
    indices, class_names = _number_labels(labels, features.get(label_column, {}).get("names"), path)
    images = _ParquetImages(path, files, image_column)
    return ImageSet(str(path), class_names, indices, images.read, tuple(groups), images.origin)


def _number_labels(labels: list[Any], names: Sequence[str] | None, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of any kind -> int64 (n,) and the class names, which are the labels themselves if need be."""
    kinds = {type(label) for label in labels}
    if kinds == {str}:
        class_names = tuple(names or ()) if set(labels) <= set(names or ()) else tuple(sorted(set(labels)))
        index = {name: i for i, name in enumerate(class_names)}
        return np.array([index[label] for label in labels], np.int64), class_names
    if kinds != {int}:
        raise DataError(
            f"Expected labels of '{path}' that are all integers or all text, "
            f"got {', '.join(sorted(kind.__name__ for kind in kinds))}."
        )
    indices = np.array(labels, np.int64)
    largest = int(indices.max())
    if not names and largest >= 100_000:
        raise DataError(f"Expected class indices as labels of '{path}', got values up to {largest}.")
    return indices, tuple(names) if names else tuple(str(i) for i in range(largest + 1))


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """Column -> its description by the `datasets` library, where it wrote the file."""
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}  # written by another tool


def _typed(features: dict[str, dict[str, Any]], kind: str) -> list[str]:
    return [name for name, feature in features.items() if feature.get("_type") == kind]


def _find_column(schema: pa.Schema, file: Path, what: str, usual: Sequence[str], typed: Sequence[str]) -> str:
    candidates = [name for name in usual if name in schema.names] + list(typed)
    if not candidates:
        raise DataError(
            f"Expected a column with the {what} in '{file}' ({', '.join(usual)}), "
            f"got {', '.join(schema.names)}. Rename it."
        )
    return candidates[0]


def _check_image_type(field: pa.Field, file: Path) -> None:
    import pyarrow as pa

    kind = field.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DataError(f"Expected encoded images (bytes) in column '{field.name}' of '{file}', got {kind}.")


def _parquet_schema(file: Path) -> pa.Schema:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"Expected a whole Parquet file at '{file}', got: {first_line(error)}") from error


def _read_columns(file: Path, columns: list[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            table = parquet.read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"Expected a whole Parquet file at '{file}', got: {first_line(error)}") from error
    if missing := set(columns) - set(table.column_names):
        raise DataError(f"Expected columns {', '.join(columns)} in '{file}', missing: {', '.join(missing)}.")
    return table


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
        data = value["bytes"] if isinstance(value, dict) else value
        if data is None:
            raise DataError(f"Expected an image at {self.origin(index)}, got none.")
        return data

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
