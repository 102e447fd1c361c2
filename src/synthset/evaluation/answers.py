"""What a tested classifier says of each image, as a table beside the test's result: errors can be looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthset.classifiers.scoring import Answers
from synthset.core.files import atomic_write
from synthset.core.names import shown
from synthset.images.imageset import ImageSet
from synthset.prediction.tables import Layout, schema_of

BLOCK = 65_536  # rows in memory at once

SCHEMA = schema_of(Layout()).append(pa.field("true_class", pa.string())).append(pa.field("correct", pa.bool_()))


def write_answers(path: Path, images: ImageSet, answers: Answers) -> None:
    """Write the columns of `predict`, the true class, and whether it was named; a row an image, in their order.

    Args:
        images: that were tested on, under the classifier's classes; `file` is their origin, a file or a row of the set.
        answers: to all of them.
    """
    names = pa.array(images.class_names, pa.string())
    with atomic_write(path) as file, pq.ParquetWriter(file, SCHEMA, write_page_checksum=True) as writer:
        for start in range(0, len(images), BLOCK):
            rows = slice(start, start + BLOCK)
            true, said = images.labels[rows], answers.labels[rows]
            columns = [
                pa.array([_place(images, row) for row in range(start, start + len(true))], pa.string()),
                names.take(pa.array(said)),
                pa.array(answers.probabilities[rows].astype(np.float32)),
                names.take(pa.array(true)),
                pa.array(true == said),
            ]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))


def _place(images: ImageSet, row: int) -> str:
    return shown(images.origin(row)) if images.origin else f"row {row}"
