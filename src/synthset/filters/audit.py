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
    """The share of images with a score above each threshold: what it would keep.

    Args:
        scores: float (n,), not NaN.
        thresholds: float (t,), in any order.
    Returns:
        Float64 (t,), each in 0..1.
    Raises:
        ValueError: no score, or one that is NaN.

    >>> threshold_curve(np.array([0.2, 0.5, 0.5, 0.9]), np.array([0.0, 0.2, 0.5, 1.0])).tolist()
    [1.0, 0.75, 0.25, 0.0]
    """
    scores = np.asarray(scores, np.float64)
    if not scores.size or np.isnan(scores).any():
        raise ValueError(
            f"Expected at least one score, none of them NaN, got {np.isnan(scores).sum()} of {scores.size}."
        )
    above = scores.size - np.searchsorted(np.sort(scores), np.asarray(thresholds, np.float64), side="right")
    return above / scores.size


def _audit_of(dataset: Dataset, method: str) -> pa.Table:
    verdicts = dataset.verdicts()[method].table
    rows = dataset.rows.select(["request_id", "label", "class_name", "strategy"])
    rows = rows.rename_columns(["request_id", "class_index", "class_name", "strategy"])
    # in the order of the rows, whatever that of the verdicts
    place = np.argsort(verdicts.column("request_id").to_numpy(), kind="stable")
    rows = rows.sort_by("request_id")
    for name in ("score", "keep", "reason"):
        rows = rows.append_column(name, verdicts.column(name).take(pa.array(place)))
    rows = rows.append_column("method", pa.array([method] * rows.num_rows))
    return rows.select(AUDIT_SCHEMA.names).cast(AUDIT_SCHEMA)
