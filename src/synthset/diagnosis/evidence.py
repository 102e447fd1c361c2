"""Evidence of a verdict: how many images of a class are recognised beside other classes, and what chance explains.

A class counts as low in a test where two things hold:

    it is no chance    Its share lies below the mean of the other classes' by more than equal classes would by chance:
                       Fisher's exact test, one-sided, adjusted for all classes and tests of the set so that of the
                       classes found at most 5 % are expected to be found by chance (Benjamini & Hochberg 1995).
    it is material     With 95 % confidence it is more than `MARGIN` below that mean. The bound is that of Newcombe
                       1998 and of Zou & Donner 2008 for a difference, from the exact bounds of Clopper & Pearson 1934.

Where it is not low, that may be for lack of images. It is unresolved where its share, as it was measured, lies more
than `MARGIN` below that mean, or where it may lie more than `FAR` below, or at nothing: the same bound on the other
side.

Images that are classified by the centroids of few others are all misled together by these. So no more of them count
than the others are: the trials of a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from synthset.classifiers.scoring import wilson_interval

MARGIN = 0.1  # of accuracy below the mean: "nail" with 12 points is the paper's mildest example
FAR = 0.3  # below the mean: what must be excluded for a class to count as sound
ERROR = 0.05  # false discoveries among the classes found, and classes within MARGIN that are taken for lower

MOST = 1000  # images of a class that are ever called for

State = Literal["low", "as others", "unresolved"]


@dataclass(frozen=True, eq=False)
class Counts:
    """A test of every class: images that are recognised, of how many, and as how many they count; int64 (k,) each."""

    correct: np.ndarray
    totals: np.ndarray
    trials: np.ndarray

    @classmethod
    def of(cls, accuracy: np.ndarray, labels: np.ndarray, references: np.ndarray | None = None) -> Counts:
        """From the share of each class (k,), the images' labels (n,), and the labels of what they are compared with.

        Of prompts, which are not drawn by chance, every image counts: `references` is None.
        """
        totals = np.bincount(labels, minlength=len(accuracy))
        most = totals if references is None else np.bincount(references, minlength=len(accuracy))
        return cls(np.rint(accuracy * totals).astype(np.int64), totals, np.minimum(totals, most))


@dataclass(frozen=True)
class Finding:
    """What a test says of one class; shares are in [0, 1].

    Attributes:
        correct, images, share: images that are recognised, of how many.
        low, high: 95 % Wilson interval of the share.
        trials: as how many images they count.
        others: mean share of the other classes.
        below_low, below_high: at least and at most so far the class lies below `others`, each with 95 % confidence;
            negative where it lies above.
        p_value: of Fisher's test, adjusted for all classes and tests of the set.
        state: "low", "as others", or "unresolved".
    """

    correct: int
    images: int
    share: float
    low: float
    high: float
    trials: int
    others: float
    below_low: float
    below_high: float
    p_value: float
    state: State

    @property
    def is_below(self) -> bool:
        """Whether the share, as it was measured, is materially lower, be it by chance or not."""
        return self.share < self.others - MARGIN

    def __str__(self) -> str:
        chance = f"p {self.p_value:.2g}" if self.p_value >= 0.001 else "p < 0.001"
        interval = f"{self.share:.0%}, 95 % interval {self.low:.0%} to {self.high:.0%}"
        return f"{self.correct:,} of {self.images:,} ({interval}), other classes {self.others:.0%}, adjusted {chance}"


def weigh(tests: Mapping[str, Counts]) -> dict[str, list[Finding]]:
    """What each test says of each class, in order.

    Args:
        tests: of the same k classes, by name.
    Raises:
        ValueError: a class without images.
    Example:
        One class of ten is recognised by half, the others by four fifths; then with a tenth of the images.

        >>> for n in (50, 5):
        ...     totals = np.full(10, n)
        ...     correct = np.where(np.arange(10) == 3, n // 2, n * 4 // 5)
        ...     findings = weigh({"by prompts": Counts(correct, totals, totals)})["by prompts"]
        ...     print(findings[3].state, "-", findings[3])
        low - 25 of 50 (50%, 95 % interval 37% to 63%), other classes 80%, adjusted p < 0.001
        unresolved - 2 of 5 (40%, 95 % interval 12% to 77%), other classes 80%, adjusted p 0.76
    """
    by_chance = np.array([_chances(counts) for counts in tests.values()])
    p_values = adjust(by_chance.ravel()).reshape(by_chance.shape)
    rows = zip(tests.items(), p_values, strict=True)
    return {name: _findings(counts, own, by_chance.size) for (name, counts), own in rows}


def adjust(p_values: np.ndarray) -> np.ndarray:
    """P-values (n,) such that of those at most q, a share q at most is expected to be due to chance.

    min over j ≥ i of n · p_(j) / j, for the i-th smallest.
    Reference: Benjamini & Hochberg 1995, "Controlling the false discovery rate".
    Example:
        >>> adjust(np.array([0.01, 0.5, 0.03, 0.02])).tolist()
        [0.04, 0.5, 0.04, 0.04]
    """
    order = np.argsort(p_values)
    scaled = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return adjusted


@cache
def images_needed(others: float, k: int) -> int:
    """The fewest images of each class by which one that is as the others are can be told from one `FAR` below.

    Args:
        others: mean share of the other classes, in 0..1; rounded where it is asked for thousands of classes.
        k: number of classes, at least two.
    Returns:
        At most `MOST`, which also stands for more.
    Example:
        >>> [images_needed(share, 10) for share in (1.0, 0.9, 0.5)]
        [9, 10, 10]
    """
    n = np.arange(2, MOST)
    _, high = _below(others * n, n, np.full(len(n), others), n * (k - 1))
    return int(n[high >= min(FAR, others)].max(initial=1)) + 1


def _findings(counts: Counts, p_values: np.ndarray, num_tests: int) -> list[Finding]:
    k, shares, (means, trials) = len(counts.totals), counts.correct / counts.totals, _others(counts)
    low, high = _below(shares * counts.trials, counts.trials, means, trials)
    is_low = (p_values <= ERROR) & (low > MARGIN)
    is_open = ((high >= np.minimum(FAR, means)) & (k > 1)) | (shares < means - MARGIN)
    states = np.where(is_low, "low", np.where(is_open, "unresolved", "as others"))
    columns = (counts.correct, counts.totals, shares, counts.trials, means, low, high, p_values, states)
    return [
        Finding(correct, images, share, *wilson_interval(correct, images), *others)
        for correct, images, share, *others in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _others(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Mean share of the other classes, and the trials of one class that would know it as well: (k,) each."""
    k = len(counts.totals)
    shares, inverse = counts.correct / counts.totals, 1 / counts.trials
    if k == 1:  # there are no others that it could differ from
        return shares, counts.trials.astype(float)
    return (shares.sum() - shares) / (k - 1), (k - 1) ** 2 / (inverse.sum() - inverse)


def _chances(counts: Counts) -> np.ndarray:
    """Chance of each class to be recognised as rarely, if it is as the others are: (k,)."""
    return _fisher(counts.correct / counts.totals * counts.trials, counts.trials, *_others(counts))


def _fisher(correct: np.ndarray, n: np.ndarray, means: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """One-sided p-value of Fisher's exact test: `correct` of n, beside a share `means` of `trials`; all (k,)."""
    from scipy.stats import hypergeom

    correct, others = np.rint(correct), np.rint(trials)
    return np.asarray(hypergeom.cdf(correct, n + others, np.rint(means * others) + correct, n))


def _below(correct: np.ndarray, n: np.ndarray, means: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far a class lies below the others, at least and at most, each with 95 % confidence; as _fisher()."""
    shares = correct / n
    (low, high), (least, most) = _bounds(correct, n), _bounds(means * trials, trials)
    difference = means - shares
    return difference - np.hypot(high - shares, means - least), difference + np.hypot(shares - low, most - means)


def _bounds(correct: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clopper and Pearson's bounds of a share, each with 95 % confidence: (k,) and (k,)."""
    from scipy.special import betaincinv

    wrong = n - correct
    low = np.where(correct > 0, betaincinv(np.maximum(correct, 1e-9), wrong + 1, ERROR), 0)
    return low, np.where(wrong > 0, betaincinv(correct + 1, np.maximum(wrong, 1e-9), 1 - ERROR), 1)
