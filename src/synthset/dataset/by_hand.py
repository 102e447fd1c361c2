"""Verdicts by hand: what a person said of images, by the hashes of their files, as the filter named `review`.

    filters/review.parquet     sha256, keep

It has a row for each image that was judged, and no other: an image that was not is kept, as far as this filter goes.
One that was is kept or left out whatever other filters say of it. A hash of which there is no image is left alone, so
an image that is drawn anew, byte for byte, has its verdict again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from synthset.core.parquet_files import read_table, write_table
from synthset.dataset.verdicts import BY_HAND, SCHEMA, Verdicts, verdicts_path

_SCHEMA = pa.schema([("sha256", pa.string()), ("keep", pa.bool_())])
_REASONS = {True: "kept by hand", False: "rejected by hand", None: ""}
_SCORES = {True: 1.0, False: 0.0, None: 0.5}


def read_by_hand(folder: Path) -> dict[str, bool]:
    """What a person said of the images of the dataset `folder`: SHA-256 in hexadecimal -> whether it is kept.

    Raises DataError for a damaged file.
    """
    path = verdicts_path(folder, BY_HAND)
    if not path.exists():
        return {}
    table = read_table(path, _SCHEMA, "Restore the file, or delete it to have no verdicts by hand.")
    return dict(zip(*(table.column(name).to_pylist() for name in _SCHEMA.names), strict=True))


def write_by_hand(folder: Path, kept: Mapping[str, bool]) -> None:
    """Write, or replace, all verdicts by hand of the dataset `folder`; the file goes where there is none.

    The caller holds the folder by `core.locks.writing`, and read them within that block.
    """
    path = verdicts_path(folder, BY_HAND)
    if not kept:
        path.unlink(missing_ok=True)
        return
    table = pa.table([list(kept), list(kept.values())], _SCHEMA.names)
    write_table(path, table.cast(_SCHEMA), {"config": {}})


def as_verdicts(rows: pa.Table, kept: Mapping[str, bool]) -> Verdicts | None:
    """The verdicts of the filter `review` on all `rows` of a dataset; None where no image of it was judged."""
    said = [kept.get(name) for name in rows.column("sha256").to_pylist()]
    if all(one is None for one in said):
        return None
    columns = [
        rows.column("request_id"),
        pa.array(np.array([one is not False for one in said])),
        pa.array([_REASONS[one] for one in said]),
        pa.array([_SCORES[one] for one in said]),
    ]
    return Verdicts(BY_HAND, {}, pa.table(columns, SCHEMA.names).cast(SCHEMA))
