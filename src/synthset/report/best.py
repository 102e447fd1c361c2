"""Which of several is best, for the headline: the highest saved figure, and what others its interval leaves open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from synthset.comparison.summary import ComparisonRow
from synthset.comparison.trials import ALL
from synthset.report.comparison import Comparison
from synthset.report.formatting import is_number
from synthset.report.reading import Diagnosis
from synthset.report.verdicts import SetVerdicts

MAX_HEADLINES = 4


@dataclass(frozen=True)
class Scored:
    """A share in [0, 1] with its interval, by name."""

    name: str
    score: float
    low: float
    high: float


@dataclass(frozen=True)
class Best:
    """The best of several.

    Attributes:
        of: what was measured, a noun phrase.
        rivals: whose intervals overlap with its own, so that chance may have put it first.
    """

    of: str
    one: Scored
    rivals: tuple[str, ...]


def best_of(of: str, scored: Iterable[Scored]) -> Best | None:
    """The first of those with the highest score; None of fewer than two.

    >>> best_of("accuracy", [Scored("a", 0.5, 0.4, 0.6), Scored("b", 0.7, 0.65, 0.75)])
    Best(of='accuracy', one=Scored(name='b', score=0.7, low=0.65, high=0.75), rivals=())
    """
    several = [one for one in scored if all(map(is_number, (one.score, one.low, one.high)))]
    if len(several) < 2:
        return None
    first = max(several, key=lambda one: one.score)
    return Best(of, first, tuple(one.name for one in several if one is not first and one.high >= first.low))


def best_tests(diagnosis: Diagnosis) -> list[Best]:
    """The best classifier on each real set, then the set whose images sort real ones best."""
    tests: dict[str, list[Scored]] = {}
    for one in diagnosis.evaluations:
        tests.setdefault(one.real, []).append(Scored(model_name(one.name, one.real), one.accuracy, one.low, one.high))
    found = [best_of(f"accuracy on {real}", several) for real, several in tests.items()]
    found += [
        best_of(
            f"share of {info.name} that is nearest to synthetic images of its class",
            _by_centroids(diagnosis, info.name),
        )
        for info in diagnosis.info.sets
        if info.is_real
    ]
    return [one for one in found if one is not None][:MAX_HEADLINES]


def _by_centroids(diagnosis: Diagnosis, real: str) -> list[Scored]:
    """Each synthetic set as the reference of the real images."""
    sets = {f"{info.name}-IM": info.name for info in diagnosis.info.sets if not info.is_real}
    rows = [row for row in diagnosis.matrix.to_pylist() if row["query"] == f"{real}-IM" and row["reference"] in sets]
    return [Scored(sets[row["reference"]], row["centroid_accuracy"], row["low"], row["high"]) for row in rows]


def most_fine(verdicts: Sequence[SetVerdicts]) -> tuple[str, ...]:
    """The sets with the most classes that are fine; none where all have as many."""
    counts = {one.info.name: one.num_fine for one in verdicts}
    most = max(counts.values(), default=0)
    names = tuple(name for name, count in counts.items() if count == most)
    return names if len(names) < len(counts) else ()


@dataclass(frozen=True)
class BestView:
    """The best view on one real set by one architecture, with all its images or at an equal budget."""

    row: ComparisonRow
    rivals: tuple[str, ...]


def best_views(comparison: Comparison) -> list[BestView]:
    """The best of each kind of budget, architecture and real set.

    Rivals are by overlapping intervals; for the view that the others are held against, by the paired difference where
    it has an interval.
    """
    groups: dict[tuple[bool, str, str], list[ComparisonRow]] = {}
    for row in comparison.rows:
        groups.setdefault((row.budget == ALL, row.architecture, row.real), []).append(row)
    found = []
    for rows in groups.values():
        best = max(rows, key=lambda row: row.score)
        rivals = [row.view for row in rows if row is not best and not _is_behind(row, best, comparison.saved.first)]
        if len(rows) > 1:
            found.append(BestView(best, tuple(rivals)))
    return found[:MAX_HEADLINES]


def _is_behind(row: ComparisonRow, best: ComparisonRow, first: str) -> bool:
    if row.view == first and best.minus_low is not None:
        return best.minus_low > 0
    if best.view == first and row.minus_high is not None:
        return row.minus_high < 0
    return row.high < best.low


def model_name(name: str, real: str) -> str:
    """The name of a test without the real set, which stands beside it.

    >>> model_name("resnet on digits", "digits")
    'resnet'
    """
    return name.removesuffix(f" on {real}")
