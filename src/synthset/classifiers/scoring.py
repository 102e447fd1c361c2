"""From labels to scores: classes matched, images counted, intervals."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from synthset.core.errors import UsageError
from synthset.images.imageset import ImageSet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of a classifier on one set of real images; shares are in [0, 1].

    Attributes:
        real: name of the real set.
        class_names: the k names, in the model's order.
        n, correct, accuracy: images, those that were classified correctly, and their share.
        low, high: 95 % Wilson interval of the accuracy.
        per_class_accuracy: None for a class without real images.
        mean_class_accuracy: mean over the classes that have images; also called `mean_per_class`.
        confusion: k × k counts; rows are true classes, columns predicted ones.
        metric: which of the two the field scores the set by, accuracy or mean_per_class.
    """

    real: str
    class_names: tuple[str, ...]
    n: int
    correct: int
    accuracy: float
    low: float
    high: float
    per_class_accuracy: tuple[float | None, ...]
    mean_class_accuracy: float
    confusion: tuple[tuple[int, ...], ...]
    metric: str = "accuracy"

    @property
    def mean_per_class(self) -> float:
        """Accuracy as its mean over classes, in which a rare class counts as much as a common one."""
        return self.mean_class_accuracy

    @property
    def score(self) -> float:
        """The value of `metric`, in [0, 1]."""
        return self.mean_per_class if self.metric == "mean_per_class" else self.accuracy

    def to_json(self) -> dict[str, Any]:
        """Plain Python values, ready for json.dumps."""
        return asdict(self) | {"mean_per_class": self.mean_per_class, "score": self.score}


def match_classes(class_names: Sequence[str], real: ImageSet) -> np.ndarray:
    """The model's class index of each of the real set's classes: int64 (k,).

    Classes are matched by name; where the real set only numbers its k classes, 0 to k-1, by number.
    Raises:
        UsageError: the names differ by more than order, case and underscores.
    """
    ours, theirs = list(class_names), list(real.class_names)
    if theirs == [str(i) for i in range(len(ours))] and set(ours) != set(theirs):
        logger.warning("'%s' numbers its classes: 0 is taken for '%s', and so on.", real.name, ours[0])
        return np.arange(len(ours))
    if set(ours) != set(theirs):
        keyed_ours, keyed_theirs = [_key(name) for name in ours], [_key(name) for name in theirs]
        missing = [name for name, key in zip(ours, keyed_ours, strict=True) if key not in keyed_theirs]
        extra = [name for name, key in zip(theirs, keyed_theirs, strict=True) if key not in keyed_ours]
        if missing or extra or len(set(keyed_ours)) < len(ours) or len(ours) != len(theirs):
            raise UsageError(
                f"Expected the model's {len(ours)} classes in '{real.name}', got {len(theirs)} "
                f"(missing: {_list(missing)}; extra: {_list(extra)}). "
                "Test on real images of the same classes, or train a model for these."
            )
        ours, theirs = keyed_ours, keyed_theirs
    index = {name: i for i, name in enumerate(ours)}
    return np.array([index[name] for name in theirs], np.int64)


def count(
    true: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], real: str, metric: str = "accuracy"
) -> EvaluationResult:
    """Everything of an evaluation that follows from true and predicted labels (n,), each in 0..k-1."""
    k, n = len(class_names), len(true)
    confusion = np.bincount(true * k + predicted, minlength=k * k).reshape(k, k)
    totals, hits = confusion.sum(1), confusion.diagonal()
    per_class = tuple(hit / total if total else None for hit, total in zip(hits.tolist(), totals.tolist(), strict=True))
    correct = int(hits.sum())
    low, high = wilson_interval(correct, n)
    return EvaluationResult(
        real=real,
        class_names=tuple(class_names),
        n=n,
        correct=correct,
        accuracy=correct / n,
        low=low,
        high=high,
        per_class_accuracy=per_class,
        mean_class_accuracy=float(np.mean([value for value in per_class if value is not None])),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        metric=metric,
    )


def wilson_interval(correct: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Score interval of a share: where the true share lies, given `correct` of `n` independent trials.

    centre ± half, with centre = (p + z²/2n) / (1 + z²/n) and
    half = z / (1 + z²/n) · √(p(1-p)/n + z²/4n²). Unlike p ± z·s it stays within [0, 1].
    Reference: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    Raises:
        ValueError: not 0 ≤ correct ≤ n with n ≥ 1.
    Example:
        >>> low, high = wilson_interval(90, 100)
        >>> f"{low:.4f} {high:.4f}"
        '0.8256 0.9448'
    """
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"Expected 0 <= correct <= n and n >= 1, got correct={correct}, n={n}.")
    share, shrink = correct / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # at the ends the interval touches 0 or 1 exactly; rounding would miss by an ulp
    return (0.0 if correct == 0 else centre - half), (1.0 if correct == n else centre + half)


def seed_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a mean over seeds: mean ± t·s/√n with n - 1 degrees of freedom.

    Raises:
        ValueError: fewer than two values, as one seed says nothing about their spread.
    Example:
        >>> low, high = seed_interval([0.90, 0.92, 0.94])
        >>> f"{low:.4f} {high:.4f}"
        '0.8703 0.9697'
    """
    from scipy.stats import t

    n = len(values)
    if n < 2:
        raise ValueError(f"Expected at least two seeds, got {n}.")
    mean = math.fsum(values) / n
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * spread / math.sqrt(n)
    return mean - half, mean + half


def _key(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "") if names else "none"
