"""The columns of tables of images: which hold the images and which the labels, and what is known of each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.core.errors import DataError, UsageError, first_line, setting
from synthset.core.files import parse_json
from synthset.core.names import plain_name, shown
from synthset.images.archives import read_file, within_archive

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMNS = ("image", "img", "picture")
PATH_COLUMNS = ("file_name", "filename", "file", "path", "image_path", "filepath")
LABEL_COLUMNS = ("label", "fine_label", "labels", "target", "class")


@dataclass(frozen=True, eq=False)
class Table:
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
    def read(file: Path) -> Table:
        """Raises DataError for a damaged file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if file.suffix.lower() == ".parquet" and within_archive(file):
            raise DataError(f"Expected Parquet files outside of archives, got '{shown(file)}'. Unpack the archive.")
        try:
            if file.suffix.lower() == ".parquet":
                metadata = pq.read_metadata(file)
                schema = metadata.schema.to_arrow_schema()
                return Table(file, schema, metadata.num_rows, _features(schema))
            table = _read_text_table(file)
            return Table(file, table.schema, table.num_rows, {}, table)
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

    def first(self, column: str) -> Any:
        """The value of a column in the first row; None where there is no row. Raises DataError for a damaged file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.content is not None:
            values: list[Any] = self.content.column(column).slice(0, 1).to_pylist()
            return values[0] if values else None
        try:
            with pq.ParquetFile(self.file) as parquet:
                batch = next(parquet.iter_batches(1, columns=[column]), None)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"Expected a whole Parquet file at '{self.file}', got: {first_line(error)}") from error
        return batch.column(0)[0].as_py() if batch is not None and len(batch) else None

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

    data = read_file(file)  # it may lie in an archive
    if file.suffix.lower() == ".csv":
        return csv.read_csv(io.BytesIO(data))
    if file.suffix.lower() == ".jsonl":
        return json.read_json(io.BytesIO(data))
    content = parse_json(data)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError("no list of objects")
    return pa.Table.from_pylist(content)


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}  # written by another tool


def find_image_column(table: Table) -> str:
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


def find_label_column(table: Table, wanted: str | None, option: str) -> str:
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


def _no_column(table: Table, what: str, usual: Sequence[str]) -> DataError:
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
