"""What a curve over shots came to: every tuning, and means with intervals over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FORMAT = "synthset-curve-1"


@dataclass(frozen=True)
class CurvePoint:
    """One tuned classifier on the test part.

    Attributes:
        method: "real + synthetic", "real", or the name of a method that they are compared with.
        score: accuracy, or its mean over classes where the field uses that, in [0, 1].
        n: test images.
    """

    method: str
    shots: int
    seed: int
    score: float
    accuracy: float
    n: int


@dataclass(frozen=True)
class CurveMean:
    """A method at one number of shots: the mean over seeds, and its 95 % interval, None for a single seed."""

    method: str
    shots: int
    seeds: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class CurveResult:
    """What tuning comes to over shots.

    Attributes:
        real: name of the real set.
        metric: accuracy or mean_per_class.
        zero_shot: the score of zero-shot CLIP on the same test part.
    """

    folder: Path
    real: str
    metric: str
    zero_shot: float
    points: tuple[CurvePoint, ...]
    means: tuple[CurveMean, ...]


def summarise(points: Sequence[CurvePoint]) -> tuple[CurveMean, ...]:
    """The mean over seeds of each method and number of shots, with its interval (t distribution)."""
    from synthset.classifiers.scoring import seed_interval

    groups: dict[tuple[str, int], list[float]] = {}
    for point in points:
        groups.setdefault((point.method, point.shots), []).append(point.score)
    means = []
    for (method, shots), scores in groups.items():
        low, high = seed_interval(scores) if len(scores) > 1 else (None, None)
        means.append(CurveMean(method, shots, len(scores), sum(scores) / len(scores), low, high))
    return tuple(means)
