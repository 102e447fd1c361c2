"""The folder of a diagnosis: every table as Parquet and CSV, whole or not there, `diagnosis.json` last.

diagnosis.json       encoder, sets, configuration, and all else that has no table
summary, classes, evidence, matrix, correlations, ambiguity (.parquet, .csv)
prompts, galleries, tsne, filters (.parquet)
evaluations/*.json   copies of evaluations by `eval`
report.html          made from the above
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthset.classifiers.facts import read_facts
from synthset.classifiers.scoring import SavedEvaluation
from synthset.core.errors import DataError, UsageError, setting
from synthset.core.files import delete_parts, is_part, read_json, refuse_links, write_json, write_text
from synthset.core.json_records import read_record
from synthset.core.parquet_files import write_table
from synthset.core.spreadsheets import cell

MARKER = "diagnosis.json"
WITH_CSV = ("summary", "classes", "evidence", "matrix", "correlations", "ambiguity", "judged")


def check_folder(folder: Path) -> None:
    """Raise UsageError unless `folder` is free, empty, or holds an earlier diagnosis without links."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"Expected a folder for the diagnosis, '{folder}' is a file. Choose another {setting('output_dir')}."
        )
    if folder.is_dir() and not (folder / MARKER).exists() and not all(map(is_part, folder.iterdir())):
        raise UsageError(
            f"'{folder}' holds files that are no diagnosis; nothing was changed. "
            f"Choose another {setting('output_dir')}."
        )
    refuse_links(folder, "evaluations")


def read_evaluations(paths: Sequence[str | Path]) -> dict[str, Any]:
    """Evaluations by the name of their model, from folders of models or of evaluations.

    Raises:
        DataError: a folder without an evaluation, or one that does not read.
    """
    evaluations: dict[str, Any] = {}
    known: set[Path] = set()  # one file may be named twice, by its folder and by that of its model
    for path in map(Path, paths):
        # beside a model lie other JSON files; where there is none, `eval --output-dir` wrote into the folder
        own = () if (path / "config.json").exists() else path.glob("*.json")
        files = [path] if path.is_file() else sorted([*path.glob("evaluation/*.json"), *own])
        if not files:
            raise DataError(f"Expected an evaluation in '{path}', found none. Run 'synthset eval {path}' first.")
        for file in (one for one in files if one.resolve() not in known):
            known.add(file.resolve())
            home = file.parent.parent if file.parent.name == "evaluation" else file.parent
            name = _unique_name(home.resolve(), file.stem, evaluations)
            read_record(SavedEvaluation, file, "Run 'synthset eval' again.")
            facts = read_facts(home)
            about = {} if facts is None else {"model": asdict(facts)}
            evaluations[name] = read_json(file) | about  # with whatever else stands there
    return evaluations


def _unique_name(home: Path, real: str, taken: Mapping[str, Any]) -> str:
    """The folder of a model and the real set, with as many folders above it as tell it from those that are taken."""
    parts = home.parts
    names = (f"{'/'.join(parts[-count:])} on {real}" for count in range(1, len(parts) + 1))
    return next((name for name in names if name not in taken), f"{home} on {real}")


def save(
    folder: Path, tables: Mapping[str, pa.Table | None], note: Mapping[str, Any], evaluations: Mapping[str, Any]
) -> None:
    """Write a diagnosis, in place of an earlier one; a table that is None is deleted."""
    folder.mkdir(parents=True, exist_ok=True)
    # until the end there is no diagnosis here
    write_json(folder / MARKER, {**note, "status": "writing"})
    delete_parts(folder)
    for name, table in tables.items():
        parquet = folder / f"{name}.parquet"
        if table is None:
            parquet.unlink(missing_ok=True)
            continue
        write_table(parquet, table)
        if name in WITH_CSV:
            write_text(folder / f"{name}.csv", to_csv(table))
    for old in (folder / "evaluations").glob("*.json"):
        old.unlink()
    for number, (name, evaluation) in enumerate(evaluations.items()):
        # numbered: a folder's name may be anything
        write_json(folder / "evaluations" / f"{number:03d}.json", {"name": name, **evaluation})
    write_json(folder / MARKER, note)


def to_csv(table: pa.Table) -> str:
    r"""A table as CSV, its texts safe to open in a spreadsheet.

    >>> to_csv(pa.table({"class": ["=cmd"], "accuracy": [-0.5]}))
    "class,accuracy\r\n'=cmd,-0.5\r\n"
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(table.column_names)
    for row in table.to_pylist():
        writer.writerow([cell(value) for value in row.values()])
    return buffer.getvalue()
