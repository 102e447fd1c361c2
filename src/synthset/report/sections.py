"""Rows of the sections beside verdicts, galleries and charts: in order, and how many were left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import numpy as np
import pyarrow as pa

from synthset.classifiers.scoring import SavedEvaluation
from synthset.measures.registry import Measure, measures_of
from synthset.report.formatting import ZERO, is_number
from synthset.report.reading import Diagnosis

MAX_AMBIGUOUS = 200
MAX_PROMPTS = 300
MAX_CONFUSIONS = 10
MANY = 30  # images a class, from which on a share is no longer coarse
MANY_QUERIES = 10


@dataclass(frozen=True)
class Shown:
    """The rows of a table that are in the page, of `total`."""

    rows: tuple[dict[str, Any], ...]
    total: int


def ranked_classes(ranking: pa.Table | None) -> Shown | None:
    """A ranking of the classes of all sets as one, the least recognised first; its head."""
    if ranking is None or not ranking.num_rows:
        return None
    # ranks begin anew with each set
    table = ranking.sort_by([("accuracy", "ascending"), ("rank", "ascending")])
    return Shown(tuple(table.slice(0, MAX_AMBIGUOUS).to_pylist()), table.num_rows)


def prompts_by_class(diagnosis: Diagnosis, class_order: Sequence[int]) -> Shown | None:
    """Prompts of the classes in need first. Where a strategy has one for each image, a few of each class stand for all.

    The room is shared: as many of each set, class and strategy as fit, and at least one.
    """
    table = diagnosis.prompts
    if table is None or not table.num_rows:
        return None
    groups: dict[tuple, list[int]] = {}
    keys = zip(*(table.column(name).to_pylist() for name in ("class_index", "set", "strategy")), strict=True)
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    share = max(1, MAX_PROMPTS // len(groups))
    rank = {index: i for i, index in enumerate(class_order)}
    first = sorted(groups, key=lambda key: rank.get(key[0], len(rank)))  # stable: sets and strategies as saved
    numbers = [i for key in first for i in groups[key][:share]][:MAX_PROMPTS]
    return Shown(tuple(table.take(numbers).to_pylist()), table.num_rows)


def set_measures(section: str, *, of_real: bool | None = None) -> list[Measure]:
    """The measures of sets that stand in the table of a section; those that need a real set, or do not, alone."""
    own = [measure for measure in measures_of("set") if measure.section == section]
    return [measure for measure in own if of_real is None or measure.needs_real == of_real]


def taken(measures: Sequence[Measure], rows: Sequence[Mapping[str, Any]]) -> list[Measure]:
    """Those of which any row has a value: a column of dashes says nothing."""
    return [measure for measure in measures if any(is_number(row[measure.name]) for row in rows)]


def zero_sets(rows: Sequence[Mapping[str, Any]], *columns: str) -> list[str]:
    """Names of the synthetic sets of which one of the columns is exactly 0."""
    drawn = [row for row in rows if row["kind"] != "real"]
    return [row["set"] for row in drawn if any(is_number(row[column]) and row[column] == 0 for column in columns)]


def negative_sets(rows: Sequence[Mapping[str, Any]], column: str) -> list[str]:
    """Names of the sets of which the column is below 0, by more than rounding."""
    return [row["set"] for row in rows if is_number(row[column]) and row[column] < -ZERO]


def fewest_images(diagnosis: Diagnosis) -> int | None:
    """The fewest images that a share of a class is of, synthetic or real, where they are too few for a close figure.

    Of real images the mean of the classes stands: how many each has is not saved.
    """
    counts = diagnosis.classes.column("images").to_pylist()
    counts += [info.images // len(diagnosis.info.class_names) for info in diagnosis.info.sets if info.is_real]
    fewest = min(counts, default=MANY)
    return fewest if fewest < MANY else None


def fewest_queries(diagnosis: Diagnosis) -> int | None:
    """The fewest queries of images a class, on average, in any pairing of the matrix, where they are few."""
    rows = [row for row in diagnosis.matrix.to_pylist() if str(row["query"]).endswith("-IM")]
    fewest = min((row["queries"] // len(diagnosis.info.class_names) for row in rows), default=MANY)
    return fewest if fewest < MANY_QUERIES else None


def correlated_measures(diagnosis: Diagnosis) -> dict[str, list[dict[str, Any]]]:
    """Rows of correlations.parquet by accuracy, each with the label of its measure."""
    labels: dict[Any, str] = {
        measure.name: f"{measure.label}, of the backbone" if measure.section == "backbone" else measure.label
        for measure in measures_of("set")
    }
    found: dict[str, list[dict[str, Any]]] = {}
    saved = diagnosis.correlations.to_pylist() if diagnosis.correlations is not None else []
    for row in (row for row in saved if row["n"]):  # the others were not taken of any set
        accuracy, measure = (str(labels.get(row[key], row[key])) for key in ("accuracy", "measure"))
        found.setdefault(accuracy, []).append(row | {"label": measure})
    return found


def sets_with(diagnosis: Diagnosis, section: str) -> list[dict[str, Any]]:
    """Rows of summary.parquet with a measure of a section."""
    names = [measure.name for measure in set_measures(section)]
    return [row for row in diagnosis.summary.to_pylist() if any(is_number(row[name]) for name in names)]


def most_confused(evaluation: SavedEvaluation) -> list[tuple[str, str, int, int]]:
    """The pairs with the most images: true class, predicted class, their images, and all of the true class."""
    names, places = evaluation.class_names, evaluation.counts.tocoo()
    totals: list[int] = np.asarray(evaluation.counts.sum(1)).tolist()
    cells = zip(places.row.tolist(), places.col.tolist(), places.data.tolist(), strict=True)
    wrong = nsmallest(MAX_CONFUSIONS, ((-count, i, j) for i, j, count in cells if count and i != j))
    return [(names[i], names[j], -count, totals[i]) for count, i, j in wrong]


def filter_settings(config: dict[str, Any]) -> str:
    """A filter's config in words, without those that are None.

    >>> filter_settings({"threshold": 0.1, "keep_share": None, "encoder": {"name": "miniature", "fingerprint": "ab"}})
    'threshold 0.1, encoder miniature'
    """
    words = []
    for key, value in config.items():
        text = value.get("name") if isinstance(value, dict) else value
        if text is not None:
            words.append(f"{key.replace('_', ' ')} {', '.join(map(str, text)) if isinstance(text, list) else text}")
    return ", ".join(words)


def set_details(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Of each set that was drawn, its name, and its config and accounting as indented JSON."""
    known = [(info.name, {"job": info.job, "accounting": info.accounting}) for info in diagnosis.info.sets]
    present = [(name, {key: value for key, value in parts.items() if value}) for name, parts in known]
    return [(name, json.dumps(_short(parts), indent=2, ensure_ascii=False)) for name, parts in present if parts]


def _short(value: Any) -> Any:
    """Long lists, such as 1,000 class names, cut with a note."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list) and len(value) > 50:
        return [*map(_short, value[:50]), f"… {len(value) - 50:,} more"]
    return list(map(_short, value)) if isinstance(value, list) else value
