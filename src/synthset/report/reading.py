"""The files of a diagnosis folder, read and checked.

A file that `synthset diagnose` did not write is None; a measure that it did not take, since it was another version,
is a column of nulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from synthset.classifiers.facts import ModelFacts
from synthset.classifiers.scoring import SavedEvaluation
from synthset.core.errors import DataError
from synthset.core.json_records import Count, Seconds, Share, read_record
from synthset.core.parquet_files import count_rows, read_table
from synthset.measures.registry import Of, measures_of

AGAIN = "Run 'synthset diagnose' again."
FIRST = "Run 'synthset diagnose', 'compare', 'transfer', 'detect' or 'tune' first."
INFO_FILE = "diagnosis.json"


@dataclass(frozen=True)
class EncoderInfo:
    """The encoder in whose space everything was measured."""

    name: str
    fingerprint: str = ""
    dimension: Count | None = None


@dataclass(frozen=True)
class SetInfo:
    """One of the sets that were compared."""

    name: str
    kind: Literal["real", "synthetic"]
    images: Count
    folder: str | None = None
    prompts: Count = 0
    strategies: tuple[str, ...] = ()
    kept: Count = 0
    rejected: Count = 0
    job: Mapping[str, Any] | None = None
    accounting: Mapping[str, Any] | None = None

    @property
    def is_real(self) -> bool:
        """Whether its images are photographs, say, and not drawn."""
        return self.kind == "real"


@dataclass(frozen=True)
class FilterInfo:
    """A filter that was run on a set."""

    set: str
    method: str
    config: Mapping[str, Any]
    kept: Count | None = None
    rejected: Count | None = None


@dataclass(frozen=True)
class BackboneInfo:
    """The network whose features the second Fréchet distance compares."""

    name: str
    dimension: Count


@dataclass(frozen=True)
class Averages:
    """Means over the pairings of the matrix that have all three accuracies; see `diagnosis.matrix`."""

    pairings: Count
    of: Count
    centroid_accuracy: Share
    knn1_accuracy: Share
    knn5_accuracy: Share
    knn5_better: Share


@dataclass(frozen=True)
class JudgedSetInfo:
    """How many images of a set a judge recognises."""

    set: str
    kind: Literal["real", "synthetic"]
    images: Count
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class JudgedInfo:
    """What a judge made of the sets."""

    judge: str
    sets: tuple[JudgedSetInfo, ...]
    seen: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Info:
    """diagnosis.json, as far as the report shows it."""

    format_version: Literal[1]
    encoder: EncoderInfo
    class_names: tuple[str, ...]
    sets: tuple[SetInfo, ...]
    filters: tuple[FilterInfo, ...] = ()
    seed: int | None = None
    seconds: Seconds | None = None
    doubts: tuple[str, ...] = ()
    libraries: Mapping[str, str] | None = None
    separability: Mapping[str, float] | None = None
    averages: Averages | None = None
    merged_prompts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    backbone: BackboneInfo | None = None
    uncorrelated: str = ""
    tsne_features: str | None = None
    head_transfer: Mapping[str, Mapping[str, float]] | None = None
    judged: JudgedInfo | None = None
    status: str = "finished"

    def __post_init__(self) -> None:
        if not self.sets:
            raise ValueError("no sets")


@dataclass(frozen=True)
class Diagnosis:
    """A diagnosis folder. Tables have the columns of SCHEMAS and of measures; those without a file are None."""

    folder: Path
    info: Info
    evaluations: tuple[SavedEvaluation, ...]
    models: tuple[tuple[str, ModelFacts], ...]  # by the names of the evaluations, as far as they are known
    summary: pa.Table
    classes: pa.Table
    matrix: pa.Table
    correlations: pa.Table | None
    ambiguity: pa.Table | None
    judged: pa.Table | None
    tsne: pa.Table | None
    prompts: pa.Table | None
    galleries: pa.Table | None
    filters: pa.Table | None


_TEXT, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_CLASS = {"set": _TEXT, "class_index": _INT, "class_name": _TEXT}
IDENTITY = {"id": _INT, "prompt": _TEXT, "guidance_scale": _FLOAT, "seed": _INT, "file": _TEXT}  # of an image
_CORRELATED = {f"{kind}{end}": _FLOAT for kind in ("pearson", "spearman") for end in ("", "_low", "_high")}
_RECOGNISED = {"accuracy": _FLOAT, "low": _FLOAT, "high": _FLOAT, "taken_for": _TEXT, "share_taken": _FLOAT}
# of the tables, but for measures
SCHEMAS: dict[str, dict[str, pa.DataType]] = {
    "summary": {"set": _TEXT, "kind": _TEXT, "images": _INT},
    "classes": _CLASS | {"images": _INT, "verdict": _TEXT, "explanation": _TEXT, "remedy": _TEXT, "evidence": _TEXT},
    "matrix": {"experiment": _INT, "reference": _TEXT, "query": _TEXT, "queries": _INT},
    "correlations": {"accuracy": _TEXT, "measure": _TEXT, "n": _INT} | _CORRELATED,
    "ambiguity": _CLASS
    | {"prompt": _TEXT, "rank": _INT, "judged_by": _TEXT, "verdict": _TEXT, "drafted": _BOOL}
    | _RECOGNISED,
    "judged": _CLASS | {"kind": _TEXT, "rank": _INT, "meant": _TEXT} | _RECOGNISED,
    "tsne": {"set": _TEXT, "kind": _TEXT, "class_index": _INT, "x": _FLOAT, "y": _FLOAT} | IDENTITY,
    "prompts": _CLASS | {"strategy": _TEXT, "prompt": _TEXT, "guidance_scale": _FLOAT, "images": _INT},
    "galleries": _CLASS | {"strategy": _TEXT, "image": pa.binary(), "kept": _BOOL, "reason": _TEXT} | IDENTITY,
    "filters": _CLASS | {"method": _TEXT, "score": _FLOAT, "keep": _BOOL, "reason": _TEXT},
}
MEASURED: dict[str, Of] = {"summary": "set", "classes": "class", "matrix": "pairing"}  # tables that must be there
# columns that 0.1 did not write
LATER = {
    "classes": ("evidence",),
    "ambiguity": ("judged_by", "verdict", "drafted"),
    "galleries": tuple(IDENTITY),
    "tsne": tuple(IDENTITY),
}
NEVER_NULL = ("set", "class_index", "class_name", "kind", "verdict", "reference", "query", "rank", "image")


def read_diagnosis(folder: Path) -> Diagnosis:
    """Read a diagnosis folder.

    Raises:
        DataError: a file is missing or damaged; the message names it and the command that writes it.
    """
    if not folder.is_dir():
        raise DataError(f"Expected a folder at '{folder}', found none. {FIRST}")
    path = folder / INFO_FILE
    try:
        info = read_record(Info, path, AGAIN)
    except FileNotFoundError as error:
        raise DataError(f"Expected '{path}', found no such file. {FIRST}") from error
    if info.status == "writing":
        raise damaged(path, "a diagnosis that was interrupted")
    tables = {name: _read_table(folder / f"{name}.parquet", len(info.class_names)) for name in SCHEMAS}
    read = [_read_evaluation(path) for path in sorted((folder / "evaluations").glob("*.json"))]
    models = tuple((evaluation.name, facts) for evaluation, facts in read if facts is not None)
    return Diagnosis(folder, info, tuple(evaluation for evaluation, _ in read), models, **tables)


@dataclass(frozen=True)
class _OfModel:
    """What stands beside an evaluation in the copy that a diagnosis keeps."""

    model: ModelFacts | None = None


def _read_evaluation(path: Path) -> tuple[SavedEvaluation, ModelFacts | None]:
    evaluation = read_record(SavedEvaluation, path, "Run 'synthset eval' again.")
    facts = read_record(_OfModel, path, AGAIN).model
    return replace(evaluation, name=evaluation.name or path.stem), facts


def _read_table(path: Path, num_classes: int) -> pa.Table | None:
    name = path.stem
    if not path.exists():
        if name in MEASURED:
            raise _missing(path)
        return None
    measures = measures_of(MEASURED[name]) if name in MEASURED else ()
    measured = [column for measure in measures for column in measure.columns]
    schema = pa.schema(SCHEMAS[name] | dict.fromkeys(measured, _FLOAT))
    if not count_rows(path, AGAIN):
        return schema.empty_table()
    later = LATER.get(name, ())
    nullable = set(schema.names).difference(NEVER_NULL).union(later)
    table = read_table(path, schema, AGAIN, nullable, may_lack=[*measured, *later])
    indices = table.column("class_index").unique().to_pylist() if "class_index" in schema.names else []
    if not all(0 <= index < num_classes for index in indices):
        raise damaged(path, f"a class index beyond the {num_classes} classes")
    return table


def _missing(path: Path) -> DataError:
    return DataError(f"Expected '{path}', found no such file. Run 'synthset diagnose' first.")


def damaged(path: Path, what: str) -> DataError:
    """The error for a file that `diagnose` wrote otherwise."""
    return DataError(f"Expected a whole file at '{path}', got {what}. {AGAIN}")
