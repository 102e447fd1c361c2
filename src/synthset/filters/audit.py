"""Verdicts on a dataset as data: for the report, and for choosing a threshold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from synthset.dataset.reader import Dataset

AUDIT_SCHEMA = pa.schema(
    [
        ("method", pa.string()),
        ("request_id", pa.int64()),
        ("class_index", pa.int64()),
        ("class_name", pa.string()),
        ("strategy", pa.string()),
        ("prompt", pa.string()),
        ("guidance_scale", pa.float64()),
        ("seed", pa.int64()),
        ("score", pa.float64()),
        ("keep", pa.bool_()),
        ("reason", pa.string()),
    ]
)


def audit(dataset: Dataset) -> pa.Table:
    """Every verdict on every image, method by method: AUDIT_SCHEMA; no rows where no filter was run.

    The filters' configs, and so their thresholds, are in `dataset.verdicts()`.

    Raises:
        DataError: verdicts that are damaged or not about these images.
    """
    dataset.kept()  # raises for what is stale
    tables = [_audit_of(dataset, method) for method in dataset.verdicts()]
    return pa.concat_tables([AUDIT_SCHEMA.empty_table(), *tables])


def threshold_curve(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The share of images with a score above each threshold, which it would keep: float64 (t,), each in 0..1.

    Args:
        scores: float (n,), not NaN.
        thresholds: float (t,), in any order.
    Raises:
        ValueError: no score, or one that is NaN.

    >>> threshold_curve(np.array([0.2, 0.5, 0.5, 0.9]), np.array([0.0, 0.2, 0.5, 1.0])).tolist()
    [1.0, 0.75, 0.25, 0.0]
    """
    scores = np.asarray(scores, np.float64)
    missing = int(np.isnan(scores).sum())
    if not scores.size or missing:
        raise ValueError(f"Expected at least one score, none of them NaN, got {missing} of {scores.size}.")
    above = scores.size - np.searchsorted(np.sort(scores), np.asarray(thresholds, np.float64), side="right")
    return above / scores.size


def _audit_of(dataset: Dataset, method: str) -> pa.Table:
    """The verdicts of a filter beside the rows of the images, by request."""
    names = ["request_id", "label", "class_name", "strategy", "prompt", "guidance_scale", "seed"]
    rows = dataset.rows.select(names).sort_by("request_id")
    verdicts = dataset.verdicts()[method].table.sort_by("request_id")
    methods = pa.array([method] * rows.num_rows, pa.string())
    columns = [methods, *rows.columns, *(verdicts.column(name) for name in ("score", "keep", "reason"))]
    return pa.table(columns, AUDIT_SCHEMA.names).cast(AUDIT_SCHEMA)
