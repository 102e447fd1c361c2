"""What every format is given: images, the id of each, and all that it was drawn from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from synthset.core.errors import DataError
from synthset.core.progress import track
from synthset.dataset.reader import Strategies, is_dataset, open_dataset
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImageSource

_OF_THE_LABEL = ("label", "class_name", "request_id")  # columns of shards that stand under other names here


@dataclass(frozen=True, eq=False)
class Material:
    """Images to be exported, or a split of them.

    Attributes:
        images: of all classes.
        ids: int64 (n,), no two the same: the ids of their requests; where there are none, the images' indices.
        table: what each was drawn from, a row an image; None for images that Synthset did not draw.
        digits: of an id in the name of a file, so that names sort as ids do.
    """

    images: ImageSet
    ids: np.ndarray
    table: pa.Table | None = None
    digits: int = 6

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """What each was drawn from, by name, n values each."""
        table = self.table
        if table is None:
            return {}
        return {name: table.column(name).to_pylist() for name in table.column_names if name not in _OF_THE_LABEL}

    def select(self, rows: np.ndarray) -> Material:
        """The images at these rows, in that order; names of files stay as wide."""
        table = None if self.table is None else self.table.take(pa.array(rows, pa.int64()))
        return replace(self, images=self.images.select(rows), ids=self.ids[rows], table=table)

    def describe(self, row: int) -> dict[str, Any]:
        """All that is known of an image, as JSON can hold it."""
        label = int(self.images.labels[row])
        known = {"id": int(self.ids[row]), "label": self.images.class_names[label], "label_index": label}
        return known | {name: values[row] for name, values in self.columns.items()}

    def read(self, row: int) -> tuple[bytes, str]:
        """The bytes of an image as they are stored, and the extension of their kind.

        Raises:
            DataError: no PNG, JPEG or WebP.
        """
        data = self.images.read(row)
        extension = _extension(data)
        if extension is None:
            raise DataError(f"{self.images.place(row)}: expected PNG, JPEG or WebP, got {data[:8]!r}….")
        return data, extension

    def for_each(self, work: Callable[[int, str, bytes, str], object]) -> None:
        """Do `work` with each image in turn: its row, the stem of its file, its bytes, their extension."""
        with track(len(self), "Exporting") as bar:
            for row, number in enumerate(self.ids.tolist()):
                work(row, f"{number:0{self.digits}d}", *self.read(row))
                bar.advance()


def material_of(
    images: ImageSet, data: ImageSource, strategy: Strategies = None, *, all_images: bool = False
) -> Material:
    """Images with what each was drawn from, where `data`, which they were opened from, is a Synthset dataset."""
    rows = np.arange(len(images))
    if isinstance(data, ImageSet) or not is_dataset(str(data)):
        return Material(images, rows, digits=max(6, len(str(len(images)))))
    dataset = open_dataset(str(data))
    table = dataset.rows.take(dataset.select(strategy, kept=not all_images))
    ids = table.column("request_id").to_numpy()
    ids = ids if len(np.unique(ids)) == len(ids) else rows
    return Material(images, ids, table, max(6, len(str(int(ids.max(initial=0))))))


def as_line(record: Mapping[str, Any]) -> str:
    """A line of JSON in UTF-8."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _extension(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None
