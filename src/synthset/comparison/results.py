"""A comparison's files: results.json and results.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from synthset.comparison.forecast import Forecast
from synthset.comparison.summary import ComparisonRow
from synthset.comparison.trials import Trial
from synthset.core.files import write_json, write_text
from synthset.core.versions import library_versions

FORMAT = "synthset-comparison-1"
JSON_FILE, CSV_FILE = "results.json", "results.csv"


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


def write_results(result: ComparisonResult, job: dict[str, Any]) -> None:
    """Write results.csv, then results.json, into the comparison's folder."""
    write_text(result.folder / CSV_FILE, as_csv(result.rows))
    note = {"format": FORMAT, **asdict(result), "job": job, "libraries": library_versions()}
    del note["folder"]
    write_json(result.folder / JSON_FILE, note)


def as_csv(rows: Sequence[ComparisonRow]) -> str:
    """The rows as a table."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, [item.name for item in fields(ComparisonRow)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    return text.getvalue()
