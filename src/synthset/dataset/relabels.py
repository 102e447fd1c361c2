"""Relabels: another class for an image than the one that it was drawn for, by the hash of its file.

    relabels.parquet     sha256, class_name

Shards stay as they are. The reader applies relabels, so that training, export, diagnosis and tests see the new class;
the old one is in the shard, and is back when the row here is gone. A hash of which there is no image is left alone: an
image that is drawn anew, byte for byte, has its label again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from synthset.core.errors import DataError
from synthset.core.parquet_files import read_table, write_table

pc: Any = pyarrow.compute  # whose functions are made when it is imported

FILE = "relabels.parquet"
_SCHEMA = pa.schema([("sha256", pa.string()), ("class_name", pa.string())])


def read_relabels(folder: Path) -> dict[str, str]:
    """The relabels of the dataset `folder`: SHA-256 of an image's file, in hexadecimal -> class name; empty for none.

    Raises DataError for a damaged file.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    table = read_table(path, _SCHEMA, "Restore the file, or delete it to have all labels as they were drawn.")
    return dict(zip(*(table.column(name).to_pylist() for name in _SCHEMA.names), strict=True))


def write_relabels(folder: Path, relabels: Mapping[str, str]) -> None:
    """Write, or replace, all relabels of the dataset `folder`; the file goes where there is none.

    The caller holds the folder by `core.locks.writing`, and read them within that block.
    """
    if not relabels:
        (folder / FILE).unlink(missing_ok=True)
        return
    table = pa.table([list(relabels), list(relabels.values())], _SCHEMA.names)
    write_table(folder / FILE, table.cast(_SCHEMA))


def relabelled(rows: pa.Table, class_names: Sequence[str], relabels: Mapping[str, str], name: str = "") -> pa.Table:
    """Rows with other values in `label` and `class_name` where a relabel says so.

    Args:
        rows: with the columns `sha256`, `label` and `class_name`.
        class_names: the k names, in label order.
        relabels: by SHA-256, as `read_relabels` gives them.
        name: the dataset's folder, for errors.
    Returns:
        The very same table where no relabel is about an image of it.
    Raises:
        DataError: a class that the dataset does not have, for an image that it has.
    """
    if not relabels:
        return rows
    hashes, names = pa.array(relabels, pa.string()), list(relabels.values())
    found = pc.index_in(rows.column("sha256"), value_set=hashes)
    places = np.flatnonzero(found.is_valid().to_numpy())
    if not len(places):
        return rows
    index_of = {class_name: index for index, class_name in enumerate(class_names)}
    wanted = [names[number] for number in found.take(pa.array(places)).to_pylist()]
    if unknown := [class_name for class_name in wanted if class_name not in index_of]:
        raise DataError(
            f"Expected relabels to classes of '{name}' in '{FILE}', got '{unknown[0]}', which it does not have. "
            "Relabel that image again, or delete the file to have all labels as they were drawn."
        )
    labels, words = rows.column("label").to_numpy().copy(), np.array(rows.column("class_name").to_pylist(), object)
    labels[places], words[places] = [index_of[class_name] for class_name in wanted], wanted
    for column, values in {"label": labels, "class_name": words}.items():
        place = rows.schema.get_field_index(column)
        rows = rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))
    return rows
