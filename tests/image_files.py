"""Image folders and Parquet files to read, of plain grey images."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthset.images.decoding import encode


def grey_png(value: int, size: int = 4) -> bytes:
    return encode(np.full((size, size, 3), value, np.uint8))


def make_folder(root, classes=("cat", "dog"), n=2):
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(n):
            (root / name / f"{i}.png").write_bytes(grey_png(50 * c + i))
    return root


def write_parquet(path, labels=(0, 1, 0), names=("cat", "dog"), images=None, extra=None, row_group_size=2):
    images = images or [grey_png(i) for i in range(len(labels))]
    columns = {
        "image": pa.array(
            [{"bytes": data, "path": None} for data in images],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        ),
        "label": pa.array(labels),
        **(extra or {}),
    }
    table = pa.table(columns)
    if names:
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list(names)}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=row_group_size)
    return path
