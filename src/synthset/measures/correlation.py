"""How two quantities go together over sets: correlations with n, and intervals where there are enough for one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 4  # with three points nearly any two quantities correlate, and Fisher's interval has no width to go by
FEWEST_RANKED = 10  # for an interval of Spearman's: its normal approximation is poor below
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Correlation:
    """Correlations of n pairs, each in [-1, 1]; None where it cannot be told.

    Attributes:
        n: pairs.
        pearson: how nearly they lie on a line.
        pearson_low, pearson_high: 95 % interval, for normally spread pairs.
        spearman: how nearly one rises, or falls, wherever the other rises.
        spearman_low, spearman_high: 95 % interval.
    """

    n: int
    pearson: float | None = None
    pearson_low: float | None = None
    pearson_high: float | None = None
    spearman: float | None = None
    spearman_low: float | None = None
    spearman_high: float | None = None


def correlate(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Pearson's and Spearman's correlation of pairs.

    Nothing is said of fewer than 4 pairs, nor where x or y is the same throughout. There is no interval where all
    pairs are in line, and none of Spearman's for fewer than 10 pairs.

    Args:
        x, y: n finite numbers each.
    Raises:
        ValueError: unlike lengths; NaN or infinity.
    Reference: Fisher 1921 for Pearson's interval, atanh r ± 1.96 / √(n - 3); Bonett & Wright 2000 for Spearman's,
        with √((1 + r²/2) / (n - 3)).
    Example:
        >>> result = correlate([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 4.0, 8.0, 7.0])
        >>> print(f"{result.pearson:.3f} ({result.pearson_low:.3f} to {result.pearson_high:.3f})")
        0.933 (0.289 to 0.996)
        >>> print(f"{result.spearman:.3f}", result.spearman_low)
        0.900 None
        >>> correlate([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]).pearson is None
        True
    """
    if len(x) != len(y):
        raise ValueError(f"Expected as many numbers in x as in y, got {len(x)} and {len(y)}.")
    one, other = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("Expected finite numbers, got NaN or infinity.")
    n = len(one)
    if n < FEWEST:
        return Correlation(n)
    pearson, spearman = _pearson(one, other), _pearson(_ranks(one), _ranks(other))
    if pearson is None or spearman is None:
        return Correlation(n)
    ranked = _interval(spearman, math.sqrt((1 + spearman**2 / 2) / (n - 3))) if n >= FEWEST_RANKED else (None, None)
    return Correlation(n, pearson, *_interval(pearson, 1 / math.sqrt(n - 3)), spearman, *ranked)


def _pearson(x: np.ndarray, y: np.ndarray) -> float | None:
    """None where one of them is constant, but for rounding."""
    deviations = [values - values.mean() for values in (x, y)]
    lengths = [float(np.linalg.norm(values)) for values in deviations]
    if any(length <= 1e-12 * float(np.linalg.norm(values)) for length, values in zip(lengths, (x, y), strict=True)):
        return None
    cosine = float((deviations[0] / lengths[0]) @ (deviations[1] / lengths[1]))
    return max(-1.0, min(1.0, cosine))


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1 on; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[which]


def _interval(r: float, error: float) -> tuple[float, float] | tuple[None, None]:
    """95 % by Fisher's transformation; none where all is in line, for there it has no width."""
    if 1 - abs(r) < 1e-12:
        return None, None
    centre = math.atanh(r)
    return math.tanh(centre - NORMAL_95 * error), math.tanh(centre + NORMAL_95 * error)
