"""The encoded images of tables, read when they are looked at: those that stand in Parquet files, or the files named."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from synthset.core.errors import DataError, first_line
from synthset.images.archives import exists, is_folder, read_file
from synthset.images.columns import Table

if TYPE_CHECKING:
    import pyarrow as pa


def reader_of(tables: Sequence[Table], column: str, root: Path) -> ParquetImages | ListedImages:
    """The reader of a column of images, over all rows of the tables; paths in it lead into `root`."""
    if all(table.content is None for table in tables):
        return ParquetImages(root, [table.file for table in tables], column)
    cells = [
        (table.file, value) for table in tables for value in table.columns([column], [column]).column(0).to_pylist()
    ]
    return ListedImages(root, cells)


def _read_cell(value: Any, file: Path, root: Path, where: str) -> bytes:
    """The encoded image of a cell: its bytes, or those of the file within `root` that it names."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(data, bytes):
        return data
    path = value.get("path") if isinstance(value, dict) else value
    if not path:
        raise DataError(f"Expected an image at {where}, got none.")
    inside = root if is_folder(root) else root.parent
    for folder in (file.parent, inside):
        if exists(found := folder / path):
            if not found.resolve().is_relative_to(inside.resolve()):
                raise DataError(f"Expected an image inside '{inside}' at {where}, got '{path}', which leaves it.")
            return read_file(found)
    raise DataError(f"Expected an image at {where}, got the path '{path}', where nothing is.")


@dataclass(frozen=True, eq=False)
class ListedImages:
    """Images whose paths stand in metadata: each row's file, and what it says."""

    together: ClassVar[int] = 1

    root: Path
    cells: Sequence[tuple[Path, Any]]

    def read(self, index: int) -> bytes:
        """The encoded image of a row. Raises DataError for none, or one outside the root."""
        file, value = self.cells[index]
        return _read_cell(value, file, self.root, self.origin(index))

    def origin(self, index: int) -> str:
        """Where a row's image lies, in words."""
        file, value = self.cells[index]
        return str(value) if isinstance(value, str) else f"a row of {file.name}"


class ParquetImages:
    """The image column of Parquet files, read a row group at a time, of which some are kept in memory.

    Attributes:
        together: images that are read at once, at most.
    """

    def __init__(self, root: Path, files: list[Path], column: str) -> None:
        import pyarrow.parquet as pq

        from synthset.core.parquet_files import KeptGroups

        self._root = root
        self._column = column
        self._files = files
        self._groups: list[tuple[Path, int, int]] = []  # file, row group, first row within the file
        self._starts: list[int] = []  # first row of each group within the set
        self._kept = KeptGroups(self._load)
        self.together = 1
        start = 0
        for file in files:
            metadata = pq.read_metadata(file)
            row = 0
            for group in range(metadata.num_row_groups):
                self._groups.append((file, group, row))
                self._starts.append(start + row)
                row += metadata.row_group(group).num_rows
                self.together = max(self.together, metadata.row_group(group).num_rows)
            start += row

    def __reduce__(self) -> tuple[Any, ...]:  # to another process go the names of the files alone
        return type(self), (self._root, self._files, self._column)

    def read(self, index: int) -> bytes:
        """As ListedImages; also for a damaged row group."""
        group = bisect_right(self._starts, index) - 1
        value = self._kept.get(group)[index - self._starts[group]].as_py()
        return _read_cell(value, self._groups[group][0], self._root, self.origin(index))

    def origin(self, index: int) -> str:
        """As ListedImages."""
        group = bisect_right(self._starts, index) - 1
        file, _, first = self._groups[group]
        name = file.name if file == self._root else file.relative_to(self._root)
        return f"row {first + index - self._starts[group]} of {name}"

    def _load(self, group: int) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file, number, _ = self._groups[group]
        try:
            with pq.ParquetFile(file) as parquet:
                return parquet.read_row_group(number, columns=[self._column]).column(self._column)
        except (pa.ArrowException, OSError, KeyError) as error:
            raise DataError(f"Expected images in row group {number} of '{file}', got: {first_line(error)}") from error
