"""A learning curve's forecast: what more images would buy, with a band that knows how little a few points say.

The error of a classifier falls as a + b · n^(-c) with the number n of images (Hestness et al. 2017, "Deep learning
scaling is predictable, empirically"). Here a, b and c are not fitted once: every curve of a grid counts by its
likelihood, so the band is wide where the points allow many curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BAND = 0.90
FLOORS = np.linspace(0, 1, 41)  # a, as a share of the lowest error that was seen
EXPONENTS = np.geomspace(0.05, 2.0, 40)  # c
LEAST_SPREAD = 0.005  # of a score from seed to seed, where a few seeds happen to agree
LEAST_FREEDOM = 2  # with which a single seed leaves nearly everything open
STEPS = np.linspace(-4, 4, 17)  # standard deviations around the best slope
DRAWS = 4000


@dataclass(frozen=True)
class Forecast:
    """The score at a number of images a class, in [0, 1], and the 90 % band of one more mean over seeds."""

    images_per_class: int
    score: float
    low: float
    high: float


def forecast(counts: Sequence[int], scores: Sequence[Sequence[float]], wanted: Sequence[int]) -> list[Forecast]:
    """The curve at further numbers of images.

    Args:
        counts: images a class that were tried, at least two.
        scores: of each, those of its seeds, in [0, 1].
        wanted: images a class.
    Raises:
        ValueError: fewer than two counts.
    """
    if len(counts) < 2 or len(counts) != len(scores):
        raise ValueError(f"Expected the scores of at least two numbers of images, got {len(counts)}.")
    n = np.array(counts, float)
    errors = 1 - np.array([np.mean(one) for one in scores])
    seeds = np.array([len(one) for one in scores])
    spread, freedom = _spread(scores)
    curves, logs = _curves(n, errors, spread**2 / seeds, freedom)
    weights = np.exp(logs - logs.max())
    generator = np.random.default_rng(0)
    drawn = curves[generator.choice(len(curves), DRAWS, p=weights / weights.sum())]
    noise = generator.standard_t(freedom, DRAWS) * spread / np.sqrt(np.median(seeds))
    forecasts = []
    for count in wanted:
        values = 1 - (drawn[:, 0] + drawn[:, 1] * count ** -drawn[:, 2])
        low, high = np.quantile(np.clip(values + noise, 0, 1), [(1 - BAND) / 2, (1 + BAND) / 2])
        forecasts.append(Forecast(int(count), float(np.clip(np.mean(values), 0, 1)), float(low), float(high)))
    return forecasts


def _spread(scores: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Standard deviation of a score from seed to seed, pooled over all counts, and its degrees of freedom."""
    squares = [np.sum((np.array(one) - np.mean(one)) ** 2) for one in scores]
    freedom = sum(len(one) - 1 for one in scores)
    pooled = float(np.sqrt(np.sum(squares) / freedom)) if freedom else 0.0
    return max(LEAST_SPREAD, pooled), max(LEAST_FREEDOM, freedom)


def _curves(n: np.ndarray, errors: np.ndarray, variance: np.ndarray, freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Curves (a, b, c), rows of (m, 3), and the logarithm of how likely each makes the errors.

    The variance is an estimate itself, so the likelihood is Student's. Before the errors are seen, a and the error at
    the first count are taken as uniform, c as log-uniform.
    """
    floors, exponents = np.meshgrid(FLOORS * errors.min(), EXPONENTS, indexing="ij")
    shapes = n[0] ** exponents[..., None] * n ** -exponents[..., None]  # (a, c, n), 1 at the first count
    above = errors - floors[..., None]
    precision = np.sum(shapes**2 / variance, -1)
    best, width = np.sum(shapes * above / variance, -1) / precision, precision**-0.5
    slopes = best[..., None] + STEPS * width[..., None]  # (a, c, s), errors at the first count
    residuals = above[..., None, :] - slopes[..., None] * shapes[..., None, :]
    misfit = np.sum(residuals**2 / variance, -1)
    logs = -0.5 * (len(n) + freedom) * np.log1p(misfit / freedom) + np.log(width)[..., None]
    logs = np.where(slopes >= 0, logs, -np.inf)
    scales = slopes * (n[0] ** exponents)[..., None]
    parts = (np.broadcast_to(part[..., None], slopes.shape) for part in (floors, exponents))
    floor, exponent = (part.ravel() for part in parts)
    return np.stack([floor, scales.ravel(), exponent], 1), logs.ravel()
