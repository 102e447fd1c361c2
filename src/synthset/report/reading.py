"""The files of a diagnosis folder, read and checked.

A file that `synthset diagnose` did not write is None; a measure that it did not take, since it was another version,
is a column of nulls.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthset.core.errors import DataError
from synthset.core.files import read_json
from synthset.measures.registry import Of, measures_of

FORMAT_VERSION = 1


@dataclass(frozen=True)
class SetInfo:
    """One of the sets that were compared: a line of diagnosis.json."""

    name: str
    kind: str  # real or synthetic
    folder: str | None
    images: int
    prompts: int
    strategies: tuple[str, ...]
    kept: int
    rejected: int
    job: dict[str, Any] | None
    accounting: dict[str, Any] | None

    @property
    def is_real(self) -> bool:
        """Whether its images are photographs, say, and not drawn."""
        return self.kind == "real"


@dataclass(frozen=True)
class Evaluation:
    """A classifier's test on real images, as `synthset eval` saved it; `label` names the classifier."""

    label: str
    real: str
    class_names: tuple[str, ...]
    n: int
    correct: int
    accuracy: float
    low: float
    high: float
    per_class_accuracy: tuple[float | None, ...]
    mean_class_accuracy: float
    confusion: tuple[tuple[int, ...], ...]  # k × k counts; rows are true classes


@dataclass(frozen=True)
class Diagnosis:
    """A diagnosis folder. Tables have the columns of SCHEMAS and of measures; those without a file are None.

    Attributes:
        info: diagnosis.json.
        filters_info: its list of the filters that were run, with their configs.
    """

    folder: Path
    info: dict[str, Any]
    class_names: tuple[str, ...]
    sets: tuple[SetInfo, ...]
    filters_info: tuple[dict[str, Any], ...]
    evaluations: tuple[Evaluation, ...]
    summary: pa.Table
    classes: pa.Table
    matrix: pa.Table
    ambiguity: pa.Table | None
    tsne: pa.Table | None
    prompts: pa.Table | None
    galleries: pa.Table | None
    filters: pa.Table | None


_TEXT, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_CLASS = {"set": _TEXT, "class_index": _INT, "class_name": _TEXT}
# of the tables, but for measures
SCHEMAS: dict[str, dict[str, pa.DataType]] = {
    "summary": {"set": _TEXT, "kind": _TEXT, "images": _INT},
    "classes": _CLASS | {"images": _INT, "verdict": _TEXT, "explanation": _TEXT, "remedy": _TEXT},
    "matrix": {"experiment": _INT, "reference": _TEXT, "query": _TEXT, "queries": _INT},
    "ambiguity": _CLASS
    | {
        "prompt": _TEXT,
        "accuracy": _FLOAT,
        "low": _FLOAT,
        "high": _FLOAT,
        "taken_for": _TEXT,
        "share_taken": _FLOAT,
        "rank": _INT,
    },
    "tsne": {"set": _TEXT, "kind": _TEXT, "class_index": _INT, "x": _FLOAT, "y": _FLOAT},
    "prompts": _CLASS | {"strategy": _TEXT, "prompt": _TEXT, "guidance_scale": _FLOAT, "images": _INT},
    "galleries": _CLASS | {"strategy": _TEXT, "image": pa.binary(), "kept": _BOOL, "reason": _TEXT},
    "filters": _CLASS | {"method": _TEXT, "score": _FLOAT, "keep": _BOOL, "reason": _TEXT},
}
MEASURED: dict[str, Of] = {"summary": "set", "classes": "class", "matrix": "pairing"}
REQUIRED = ("summary", "classes", "matrix")
NEVER_NULL = ("set", "class_index", "class_name", "kind", "verdict", "reference", "query", "rank", "image")


def read_diagnosis(folder: Path) -> Diagnosis:
    """Read a diagnosis folder.

    Raises:
        DataError: a file is missing or damaged; the message names it and the command that writes it.
    """
    if not folder.is_dir():
        raise DataError(f"Expected the folder of a diagnosis at '{folder}', found none. Run 'synthset diagnose' first.")
    info = _read_info(folder / "diagnosis.json")
    tables = {name: _read_table(folder, name) for name in SCHEMAS}
    for name in REQUIRED:
        if tables[name] is None:
            raise _missing(folder / f"{name}.parquet")
    diagnosis = Diagnosis(
        folder=folder,
        info=info,
        class_names=tuple(info["class_names"]),
        sets=tuple(_set_info(item) for item in info["sets"]),
        filters_info=tuple(info.get("filters") or ()),
        evaluations=tuple(_read_evaluation(path) for path in sorted((folder / "evaluations").glob("*.json"))),
        **tables,
    )
    _check_class_indices(diagnosis)
    return diagnosis


def _read_info(path: Path) -> dict[str, Any]:
    info = _read_json(path)
    if info.get("status") == "writing":
        raise _damaged(path, "a diagnosis that was interrupted")
    version = info.get("format_version")
    if version != FORMAT_VERSION:
        raise DataError(
            f"Expected format version {FORMAT_VERSION} in '{path}', got {version}. "
            "Run 'synthset diagnose' again with this version of Synthset."
        )
    try:
        shapes_fit = (
            all(isinstance(name, str) for name in info["class_names"])
            and all(isinstance(_set_info(item).name, str) for item in info["sets"])
            and all(isinstance(item["config"], dict) for item in info.get("filters") or ())
            and isinstance(info["encoder"]["name"], str)
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"no usable {error}" if isinstance(error, KeyError) else str(error)) from error
    if not shapes_fit or not info["sets"]:
        raise _damaged(path, "names or sets of another kind")
    return info


def _set_info(item: dict[str, Any]) -> SetInfo:
    return SetInfo(
        name=item["name"],
        kind=item["kind"],
        folder=item.get("folder"),
        images=int(item["images"]),
        prompts=int(item.get("prompts") or 0),
        strategies=tuple(str(name) for name in item.get("strategies") or ()),
        kept=int(item.get("kept") or 0),
        rejected=int(item.get("rejected") or 0),
        job=item.get("job"),
        accounting=item.get("accounting"),
    )


def _read_table(folder: Path, name: str) -> pa.Table | None:
    path = folder / f"{name}.parquet"
    if not path.exists():
        return None
    measures = measures_of(MEASURED[name]) if name in MEASURED else ()
    measured = [column for measure in measures for column in measure.columns]
    schema = SCHEMAS[name] | dict.fromkeys(measured, _FLOAT)
    try:
        table = pq.read_table(path)
        if not table.num_rows:
            return pa.schema(list(schema.items())).empty_table()
        missing = [column for column in SCHEMAS[name] if column not in table.column_names]
        if missing:
            raise _damaged(path, f"no column {', '.join(missing)}")
        for column in set(measured).difference(table.column_names):
            table = table.append_column(column, pa.nulls(table.num_rows))
        table = table.select(list(schema)).cast(pa.schema(list(schema.items())), safe=False)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from error
    for column in NEVER_NULL:
        if column in schema and table.column(column).null_count:
            raise _damaged(path, f"rows without {column}")
    return table


def _read_evaluation(path: Path) -> Evaluation:
    value = _read_json(path, "synthset eval")
    try:
        names = tuple(str(name) for name in value["class_names"])
        evaluation = Evaluation(
            label=str(value.get("name") or path.stem),
            real=str(value["real"]),
            class_names=names,
            n=int(value["n"]),
            correct=int(value["correct"]),
            accuracy=float(value["accuracy"]),
            low=float(value["low"]),
            high=float(value["high"]),
            per_class_accuracy=tuple(None if x is None else float(x) for x in value["per_class_accuracy"]),
            mean_class_accuracy=float(value["mean_class_accuracy"]),
            confusion=tuple(tuple(int(count) for count in row) for row in value["confusion"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"no usable {error}", "synthset eval") from error
    k = len(names)
    if len(evaluation.per_class_accuracy) != k or [len(row) for row in evaluation.confusion] != [k] * k:
        raise _damaged(path, f"a confusion matrix that does not fit {k} classes", "synthset eval")
    return evaluation


def _read_json(path: Path, command: str = "synthset diagnose") -> dict[str, Any]:
    try:
        value = read_json(path)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (ValueError, OSError) as error:
        raise _damaged(path, str(error), command) from error
    if not isinstance(value, dict):
        raise _damaged(path, f"a {type(value).__name__}", command)
    return value


def _check_class_indices(diagnosis: Diagnosis) -> None:
    """Every class index that is looked up later on must be there."""
    k = len(diagnosis.class_names)
    for name in ("classes", "tsne", "galleries"):
        table: pa.Table | None = getattr(diagnosis, name)
        indices = [] if table is None else table.column("class_index").unique().to_pylist()
        if any(not 0 <= index < k for index in indices):
            raise _damaged(diagnosis.folder / f"{name}.parquet", f"a class index beyond the {k} classes")


def _missing(path: Path) -> DataError:
    return DataError(f"Expected '{path}', found no such file. Run 'synthset diagnose' first.")


def _damaged(path: Path, what: str, command: str = "synthset diagnose") -> DataError:
    return DataError(f"Expected a whole file at '{path}', got {what}. Run '{command}' again.")
