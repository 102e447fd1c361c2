"""A comparison's files: results.json and results.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from synthset.comparison.forecast import Forecast
from synthset.comparison.summary import ComparisonRow
from synthset.comparison.trials import Trial
from synthset.core.errors import DataError
from synthset.core.files import write_json, write_text
from synthset.core.json_records import read_record
from synthset.core.spreadsheets import cell
from synthset.core.versions import library_versions

FORMAT = "synthset-comparison-1"
MARKER, JSON_FILE, CSV_FILE = "comparison.json", "results.json", "results.csv"


@dataclass(frozen=True)
class CurveForecast:
    """What more images are expected to bring: a view, by one architecture, on one real set.

    Attributes:
        images_per_class, score: the largest number that was tried, and its mean score.
        further: forecasts beyond it.
        held_out: forecasts of numbers that were tried too, each made from the smaller ones alone.
    """

    view: str
    architecture: str
    real: str
    images_per_class: int
    score: float
    further: tuple[Forecast, ...]
    held_out: tuple[Forecast, ...]


@dataclass(frozen=True)
class Growth:
    """The same number of further images given by two rules: what each brings over none, paired over seeds.

    Attributes:
        rule: "confused classes" or "all alike".
        gain, low, high: mean gain of the score and its 95 % interval, which one seed has not.
    """

    view: str
    architecture: str
    real: str
    rule: str
    images: int
    score: float
    gain: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ComparisonResult:
    """All of a comparison.

    Attributes:
        folder: where it lies.
        first: the view that the others are held against.
        trials: every classifier on every real set.
        rows: means over seeds.
        forecasts: of each learning curve, where one was asked for.
        growth: of each view that grew, where that was asked for.
    """

    folder: Path
    first: str
    trials: tuple[Trial, ...]
    rows: tuple[ComparisonRow, ...]
    forecasts: tuple[CurveForecast, ...] = ()
    growth: tuple[Growth, ...] = ()


@dataclass(frozen=True)
class SavedComparison:
    """results.json, as far as it is shown; see ComparisonResult."""

    format: Literal["synthset-comparison-1"]
    first: str
    rows: tuple[ComparisonRow, ...]
    forecasts: tuple[CurveForecast, ...]
    growth: tuple[Growth, ...]
    job: Mapping[str, Any]
    libraries: Mapping[str, str]

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("no rows")


def read_results(folder: Path) -> SavedComparison:
    """What a finished comparison found. Raises DataError if it is not finished, or damaged."""
    try:
        return read_record(SavedComparison, folder / JSON_FILE, "Run 'synthset compare' again.")
    except FileNotFoundError as error:
        raise DataError(
            f"Expected the results of a comparison at '{folder / JSON_FILE}', found none: it is not finished. "
            "Run 'synthset compare' again, which goes on there."
        ) from error


def curve_points(curve: CurveForecast, rows: Sequence[ComparisonRow]) -> dict[int, ComparisonRow]:
    """The rows of a learning curve, by images a class."""
    place = (curve.view, curve.architecture, curve.real)
    own = [row for row in rows if (row.view, row.architecture, row.real) == place]
    # all images, whose budget is 0, come first: a budget of as many is exactly of so many
    counted = {row.budget or curve.images_per_class: row for row in sorted(own, key=lambda row: row.budget)}
    return dict(sorted(counted.items()))


def write_results(result: ComparisonResult, job: dict[str, Any]) -> None:
    """Write results.csv, then results.json, into the comparison's folder."""
    write_text(result.folder / CSV_FILE, as_csv(result.rows))
    note = {"format": FORMAT, **asdict(result), "job": job, "libraries": library_versions()}
    del note["folder"]
    write_json(result.folder / JSON_FILE, note)


def as_csv(rows: Sequence[ComparisonRow]) -> str:
    """The rows as a table; names are people's, so none runs in a spreadsheet."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, [item.name for item in fields(ComparisonRow)], lineterminator="\n")
    table.writeheader()
    table.writerows({name: cell(value) for name, value in asdict(row).items()} for row in rows)
    return text.getvalue()
