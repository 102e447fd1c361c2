"""Means over seeds with intervals, and paired differences from the first view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from synthset.classifiers.scoring import seed_interval
from synthset.comparison.trials import ALL, Trial


@dataclass(frozen=True)
class ComparisonRow:
    """A view at one budget, by one architecture, on one real set; shares are in [0, 1].

    Attributes:
        budget: images a class that it was cut to; 0 for all.
        images: mean number that was learned from.
        seeds: number of trainings.
        score, low, high: mean over seeds with its 95 % interval, which for one seed is that over the test images.
        minus, minus_low, minus_high: mean of the paired differences from the first view at the same kind of budget, as
            architecture, real set and seed have it, with its interval, which one seed has not; None for the first view
            itself.
        same_noise: share of the noises that it was learned on whose like the first view has, class by class: where it
            is 1, the pairs of `minus` have the same noise too; None for the first view, and without shared noise.
    """

    view: str
    budget: int
    architecture: str
    real: str
    images: int
    seeds: int
    score: float
    low: float
    high: float
    minus: float | None = None
    minus_low: float | None = None
    minus_high: float | None = None
    same_noise: float | None = None


def summarise(
    trials: Sequence[Trial], first: str, noise: Mapping[tuple[str, int], float | None] | None = None
) -> list[ComparisonRow]:
    """A row for each view, budget, architecture and real set, in the order of the trials.

    Args:
        first: name of the view that the others are held against.
        noise: `same_noise`, by the name of a view and its budget.
    """
    groups: dict[tuple[str, int, str, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.view, trial.budget, trial.architecture, trial.real), []).append(trial)
    rows = []
    for (view, budget, architecture, real), group in groups.items():
        scores = {trial.seed: trial.score for trial in group}
        others = {trial.seed: trial.score for trial in groups.get((first, budget, architecture, real), ())}
        paired = [scores[seed] - others[seed] for seed in scores.keys() & others.keys()] if view != first else []
        row = (view, budget, architecture, real, round(fmean(trial.images for trial in group)), len(group))
        score, low, high = interval(list(scores.values()))
        if low is None or high is None:
            low, high = group[0].low, group[0].high
        minus = interval(paired) if paired else (None, None, None)
        same = (noise or {}).get((view, budget)) if paired else None
        rows.append(ComparisonRow(*row, score, max(low, 0.0), min(high, 1.0), *minus, same))
    return rows


def main_rows(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """The rows of the comparison itself: all images of each view, and the equal budget; others are of a curve."""
    places = {(row.view, row.architecture, row.real) for row in rows}
    budgets = {row.budget for row in rows} - {ALL}
    shared = [b for b in budgets if {(r.view, r.architecture, r.real) for r in rows if r.budget == b} == places]
    whole = {(row.view, row.architecture, row.real, row.images) for row in rows if row.budget == ALL}
    # smaller budgets are of curves, and views of one size need none
    equal = max(shared, default=ALL) if len({images for *_, images in whole}) > 1 else ALL
    # of the smallest view the equal budget is all that it has
    return [
        row
        for row in rows
        if row.budget == ALL
        or (row.budget == equal and (row.view, row.architecture, row.real, row.images) not in whole)
    ]


def interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The mean, and its interval where there are several values."""
    low, high = seed_interval(values) if len(values) > 1 else (None, None)
    return fmean(values), low, high
