"""What the page lists of a dataset, as columns of numbers: 100,000 images are two megabytes, not 100,000 objects.

4 bytes, length of the head | head, JSON | columns, one behind the other, each at a multiple of 8 bytes
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from synthset.core.errors import DataError
from synthset.dataset.reader import Dataset, Strategies
from synthset.dataset.verdicts import BY_HAND, FOLDER, Verdicts
from synthset.review.predicted import Predicted, read_predicted

_ALIGNED = 8


@dataclass(frozen=True, eq=False)
class Contents:
    """A dataset as the page lists it.

    Attributes:
        shown: int64 (m,), the rows that are shown.
        labels: int32 (n,), class of each image as it was drawn.
        hashes: SHA-256 of each image's file.
        verdicts: of the filters, by method, in the order of the rows; those by hand are not among them.
        predicted: what a model says of each image; None where nothing was given.
    """

    dataset: Dataset
    shown: np.ndarray
    labels: np.ndarray
    hashes: list[str]
    verdicts: Mapping[str, Verdicts]
    predicted: Predicted | None = None

    @cached_property
    def id(self) -> str:
        """Of these images with these verdicts of filters: what the page knows of others does not fit."""
        digest = hashlib.sha256(self.dataset.rows_hash.encode())
        for method, verdict in self.verdicts.items():
            digest.update(method.encode() + verdict.keep.tobytes() + verdict.scores.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def strategies(self) -> list[str]:
        """Names of the plain strategies."""
        return self.dataset.strategies()

    @cached_property
    def strategy_indices(self) -> np.ndarray:
        """Strategy of each image, by its place among them: int32 (n,)."""
        places = {name: index for index, name in enumerate(self.strategies)}
        names = self.dataset.drawn_rows.column("strategy").to_pylist()
        return np.array([places[name] for name in names], np.int32)

    def pack(self, hand: np.ndarray, labels: np.ndarray, version: int, about: Mapping[str, Any]) -> bytes:
        """All that the page lists.

        Args:
            hand: int8 (n,), what a person said: 1 keep, -1 reject, 0 nothing.
            labels: int32 (n,), class of each image now.
            version: of these two.
            about: further entries of the head.
        """
        columns: dict[str, np.ndarray] = {
            "row": self.shown.astype(np.int32),
            "drawn": self.labels[self.shown],
            "label": labels[self.shown],
            "hand": hand[self.shown],
            "strategy": self.strategy_indices[self.shown],
        }
        scores = []
        for method, verdict in self.verdicts.items():
            columns[f"keep:{method}"] = verdict.keep[self.shown].astype(np.int8)
            columns[f"score:{method}"] = verdict.scores[self.shown].astype(np.float32)
            scores.append(method)
        if self.predicted is not None:
            columns["predicted"] = self.predicted.labels[self.shown]
            columns["score:prediction"] = self.predicted.confidence[self.shown]
            scores.append("prediction")
        head = {
            "id": self.id,
            "version": version,
            "name": self.dataset.folder.resolve().name,
            "classes": list(self.dataset.class_names),
            "strategies": self.strategies,
            "methods": list(self.verdicts),
            "scores": scores,
            **about,
        }
        return _pack(head, columns)

    def facts(self, row: int) -> dict[str, Any]:
        """What there is to say of one image; numbers that a browser would round are texts."""
        values = self.dataset.drawn_rows.slice(row, 1).to_pylist()[0]
        generation = self.dataset.manifest["job"]["generation"]
        names = ("request_id", "strategy", "index", "prompt", "negative_prompt", "guidance_scale", "sha256", "attempts")
        facts = {name: values[name] for name in names}
        facts |= {"seed": str(values["seed"]), "drawn_for": values["class_name"], "row": row}
        facts["generator"] = {name: generation[name] for name in ("model", "revision", "scheduler")}
        facts["steps"] = values.get("num_inference_steps") or generation["num_inference_steps"]
        facts["size"] = f"{generation['width_px']} × {generation['height_px']} px"
        facts["verdicts"] = [
            {
                "method": method,
                "keep": bool(verdict.keep[row]),
                "score": float(verdict.scores[row]) if np.isfinite(verdict.scores[row]) else None,
                "reason": verdict.table.column("reason")[row].as_py() or "",
            }
            for method, verdict in self.verdicts.items()
        ]
        return facts


def read_contents(dataset: Dataset, strategy: Strategies = None, predictions: Path | None = None) -> Contents:
    """What the page lists of a dataset, or of strategies of it.

    Raises:
        UsageError: an unknown strategy, or one that was not drawn.
        DataError: no images, verdicts that are damaged or about others, or predictions about other images.
    """
    dataset.kept()  # raises for verdicts that are about other images
    rows = dataset.drawn_rows
    ids = rows.column("request_id").to_numpy()
    verdicts = {method: _aligned(one, ids) for method, one in dataset.verdicts().items() if method != BY_HAND}
    return Contents(
        dataset,
        dataset.select(strategy, kept=False),
        rows.column("label").to_numpy().astype(np.int32),
        rows.column("sha256").to_pylist(),
        verdicts,
        None if predictions is None else read_predicted(predictions, dataset),
    )


def signature_of(folder: Path) -> tuple[object, ...]:
    """What changes when the dataset or the verdicts of its filters are written anew."""
    files = [folder / "manifest.json", *sorted((folder / FOLDER).glob("*.parquet"))]
    return tuple((path.name, *_stat(path)) for path in files if path.stem != BY_HAND)


def _stat(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _aligned(verdicts: Verdicts, ids: np.ndarray) -> Verdicts:
    """The verdicts in the order of the rows."""
    judged = verdicts.table.column("request_id").to_numpy()
    if np.array_equal(judged, ids):
        return verdicts
    order = np.argsort(judged, kind="stable")
    table = verdicts.table.take(order[np.searchsorted(judged, ids, sorter=order)])
    return Verdicts(verdicts.method, verdicts.config, table, verdicts.rows_hash)


def _pack(head: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> bytes:
    listed, parts, start = [], list[bytes](), 0
    for name, column in columns.items():
        little = np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<"))
        listed.append({"name": name, "type": column.dtype.name, "start": start, "length": len(column)})
        data = little.tobytes()
        parts.append(data + bytes(-len(data) % _ALIGNED))
        start += len(parts[-1])
    text = json.dumps({**head, "columns": listed}, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % _ALIGNED)
    return len(text).to_bytes(4, "little") + text + b"".join(parts)


def check_row(row: object, count: int) -> int:
    """A row that a page asked for. Raises DataError for one that there is not."""
    if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < count:
        raise DataError(f"Expected the number of an image, 0..{count - 1}, got {row!r}.")
    return row
