"""Learning curves are continued with a band that holds later points as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from synthset.comparison.forecast import forecast

COUNTS, WANTED = (10, 20, 50, 100), (200, 400)


def curve(random):
    """A learning curve as they are met: an error of 30 to 70 % at ten images a class that falls to some floor."""
    floor, exponent, first = random.uniform(0, 0.15), random.uniform(0.2, 1.2), random.uniform(0.3, 0.7)
    return lambda n: 1 - (floor + (first - floor) * (10 / n) ** exponent)


def test_nine_of_ten_later_points_lie_in_the_band():
    random, inside = np.random.default_rng(0), []
    for _ in range(150):
        score, spread = curve(random), random.uniform(0.005, 0.03)

        def draw(n, score=score, spread=spread):
            return [score(n) + random.normal(0, spread) for _ in range(3)]

        forecasts = forecast(COUNTS, [draw(n) for n in COUNTS], WANTED)
        inside += [one.low <= np.mean(draw(one.images_per_class)) <= one.high for one in forecasts]
    assert 0.84 <= np.mean(inside) <= 0.97  # of 300, which come in pairs


def test_a_curve_without_noise_is_followed():
    scores = [[1 - 0.05 - 2 * n**-0.6] * 3 for n in COUNTS]
    (ahead,) = forecast(COUNTS, scores, [200])
    assert ahead.score == pytest.approx(1 - 0.05 - 2 * 200**-0.6, abs=0.02)
    assert ahead.low < ahead.score < ahead.high


def test_further_ahead_less_is_known():
    scores = [[0.5, 0.52], [0.6, 0.63], [0.7, 0.69]]
    near, far = forecast((10, 20, 50), scores, (60, 2_000))
    assert far.high - far.low > near.high - near.low
    assert 0 <= far.low <= far.high <= 1


def test_one_point_is_no_curve():
    with pytest.raises(ValueError, match="two numbers"):
        forecast((10,), [[0.5]], (20,))
