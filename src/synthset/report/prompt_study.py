"""A prompt study as a page: what its files say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from synthset.core.json_records import read_record
from synthset.core.parquet_files import read_table
from synthset.report.galleries import Thumbnail, as_thumbnail
from synthset.report.reading import IDENTITY

MARKER = "prompt-study.json"
FORMAT = "synthset-prompt-study-1"
AGAIN = "Run 'synthset diagnose' again."

_TEXT, _INT, _FLOAT = pa.string(), pa.int64(), pa.float64()
_ADHERENCE = {"adherence": _FLOAT, "adherence_low": _FLOAT, "adherence_high": _FLOAT, "p_value": _FLOAT, "reach": _TEXT}
_VARIANTS = {
    "source": _TEXT,
    "prompt": _TEXT,
    "images": _INT,
    "accuracy": _FLOAT,
    "low": _FLOAT,
    "high": _FLOAT,
    "taken_for": _TEXT,
    "centroid_distance": _FLOAT,
    "distance_low": _FLOAT,
    "distance_high": _FLOAT,
    "centroid_shift": _FLOAT,
    "shift_low": _FLOAT,
    "shift_high": _FLOAT,
    "similarity": _FLOAT,
    **_ADHERENCE,
}
_MODIFIERS = {"place": _TEXT, "modifier": _TEXT, "images": _INT, "others": _INT, **_ADHERENCE}


@dataclass(frozen=True)
class _Info:
    format: Literal["synthset-prompt-study-1"]
    class_name: str
    reference: str
    reference_distance: float
    encoder: str
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromptStudy:
    """The folder of a prompt study.

    Attributes:
        variants: rows, the first is what the others are compared with.
        modifiers: rows, the most frequent first.
        samples: some images of each variant.
    """

    info: _Info
    variants: tuple[dict[str, Any], ...]
    modifiers: tuple[dict[str, Any], ...]
    samples: tuple[tuple[Thumbnail, ...], ...]


def read_study(folder: Path) -> PromptStudy:
    """Read the folder of a prompt study. Raises DataError if a file is missing or damaged."""
    info = read_record(_Info, folder / MARKER, AGAIN)
    variants = _rows(folder / "variants.parquet", _VARIANTS)
    modifiers = _rows(folder / "modifiers.parquet", _MODIFIERS) if (folder / "modifiers.parquet").exists() else []
    samples: list[list[Thumbnail]] = [[] for _ in variants]
    for row in _rows(folder / "samples.parquet", {"variant": _INT, "image": pa.binary()} | IDENTITY, tuple(IDENTITY)):
        samples[row["variant"]].append(as_thumbnail(row["image"], "", folder, row))
    return PromptStudy(info, tuple(variants), tuple(modifiers), tuple(map(tuple, samples)))


def _rows(path: Path, columns: dict[str, pa.DataType], may_lack: Sequence[str] = ()) -> list[dict[str, Any]]:
    never_null = {"source", "images", "variant", "image", "modifier"}
    return read_table(path, pa.schema(columns), AGAIN, set(columns) - never_null, may_lack=may_lack).to_pylist()
