"""Correlations against scipy's, and their intervals against how often they hold the truth."""

import numpy as np
import pytest
from scipy import stats

from synthset.measures.correlation import correlate


@pytest.mark.parametrize("n", [4, 7, 30])
@pytest.mark.parametrize("ties", [False, True])
def test_pearson_spearman_and_fishers_interval(n, ties):
    random = np.random.default_rng(n)
    x, y = random.normal(size=(2, n))
    y += x
    if ties:
        x, y = np.round(x), np.round(y)
    result, peer = correlate(x, y), stats.pearsonr(x, y)
    assert result.pearson == pytest.approx(peer.statistic, abs=1e-12)
    assert (result.pearson_low, result.pearson_high) == pytest.approx(peer.confidence_interval(0.95), abs=1e-9)
    assert result.spearman == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize(("n", "kind"), [(5, "pearson"), (12, "pearson"), (12, "spearman"), (40, "spearman")])
def test_nineteen_of_twenty_intervals_hold_the_truth(n, kind):
    random, rho, inside = np.random.default_rng(1), 0.6, 0
    truth = rho if kind == "pearson" else 6 / np.pi * np.arcsin(rho / 2)  # of normal pairs
    for _ in range(1000):
        x, noise = random.normal(size=(2, n))
        result = correlate(x, rho * x + (1 - rho**2) ** 0.5 * noise)
        inside += getattr(result, f"{kind}_low") <= truth <= getattr(result, f"{kind}_high")
    assert 0.93 < inside / 1000 < 0.97
