"""What a model says of the images of a dataset, from a table that `synthset predict` wrote about its folder."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthset.core.errors import DataError, setting
from synthset.core.parquet_files import group_sizes
from synthset.dataset.reader import REDRAW, Dataset

_ROW = re.compile(r"(?:.*[/\\])?(train-\d+\.parquet)#(\d+)")


@dataclass(frozen=True, eq=False)
class Predicted:
    """Classes and their probabilities.

    Attributes:
        labels: int32 (n,), the most probable class; -1 where none of the dataset's was named, or nothing is known.
        confidence: float32 (n,), its probability; NaN where nothing is known.
    """

    labels: np.ndarray
    confidence: np.ndarray


def read_predicted(path: Path, dataset: Dataset) -> Predicted:
    """The predictions of a table, by the rows of a dataset.

    Raises:
        DataError: a file that does not read, or that has nothing about these images.
    """
    sizes = [sum(group_sizes(shard, REDRAW)) for shard in dataset.shards]
    starts = dict(zip((shard.name for shard in dataset.shards), np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    counts = dict(zip(starts, sizes, strict=True))
    index_of = {name: index for index, name in enumerate(dataset.class_names)}
    labels, confidence = np.full(sum(sizes), -1, np.int32), np.full(sum(sizes), np.nan, np.float32)
    found = 0
    for file, class_name, probability in _rows(path):
        match = _ROW.fullmatch(file)
        if match is None or int(match[2]) >= counts.get(match[1], 0):
            continue
        row = starts[match[1]] + int(match[2])
        # CSV keeps a name that begins like a formula behind an apostrophe
        label = index_of.get(class_name, index_of.get(class_name.removeprefix("'"), -1))
        labels[row], confidence[row] = label, probability
        found += 1
    if not found:
        raise DataError(
            f"Expected predictions about the images of '{dataset.folder}' in '{path}', found none. Write them by "
            f"'synthset predict MODEL {dataset.folder / 'data'}', and give the file as {setting('predictions')}."
        )
    return Predicted(labels, confidence)


def _rows(path: Path) -> Iterator[tuple[str, str, float]]:
    """File, class and probability of each row."""
    try:
        for row in _read(path):
            probability = float(row["probability"])
            if not 0 <= probability <= 1:
                raise ValueError(f"a probability of {probability}")
            yield str(row["file"]), str(row["class"]), probability
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or f"no {error}" if isinstance(error, KeyError) else error
        raise DataError(
            f"Expected a table that 'synthset predict' wrote, .csv, .jsonl or .parquet, at '{path}', it does not read "
            f"({reason}). Write it again."
        ) from error


def _read(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        yield from pq.read_table(path, columns=["file", "class", "probability"]).to_pylist()
        return
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file) if path.suffix.lower() == ".csv" else map(json.loads, file)
