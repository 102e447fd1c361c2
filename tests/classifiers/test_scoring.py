"""From labels to scores: classes matched by name, intervals against known values."""

import numpy as np
import pytest

from synthset.classifiers.scoring import match_classes, seed_interval, wilson_interval
from synthset.core.errors import UsageError
from synthset.images.imageset import ImageSet


def test_numbered_classes_are_matched_by_number(caplog):
    numbered = ImageSet("scans", ("0", "1", "2"), np.array([2, 0]), lambda i: b"")
    np.testing.assert_array_equal(match_classes(("zero", "one", "two"), numbered), [0, 1, 2])
    assert "0 is taken for 'zero'" in caplog.text
    with pytest.raises(UsageError):
        match_classes(("zero", "one"), numbered)


def test_names_that_differ_in_case_alone_match_exactly_or_not_at_all():
    real = ImageSet("states", ("US", "us"), np.array([0]), lambda i: b"")
    assert match_classes(("us", "US"), real).tolist() == [1, 0]
    with pytest.raises(UsageError, match="2 classes"):
        match_classes(("us", "Us"), real)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [  # as statsmodels.stats.proportion.proportion_confint(method="wilson") gives them, z = 1.96
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_against_published_values(correct, n, low, high):
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=6e-5)


def test_wilson_interval_against_scipy():
    from scipy.stats import binomtest

    expected = binomtest(1650, 1797).proportion_ci(0.95, "wilson")
    assert wilson_interval(1650, 1797) == pytest.approx((expected.low, expected.high), abs=1e-5)


@pytest.mark.parametrize(("correct", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_nonsense(correct, n):
    with pytest.raises(ValueError, match="Expected"):
        wilson_interval(correct, n)


def test_seed_interval_is_students():
    from scipy.stats import t

    values = [0.81, 0.84, 0.80, 0.86]
    expected = t.interval(0.95, 3, np.mean(values), np.std(values, ddof=1) / 2)
    assert seed_interval(values) == pytest.approx(tuple(map(float, expected)))
    assert seed_interval([0.5, 0.5]) == (0.5, 0.5)
    with pytest.raises(ValueError, match="two seeds"):
        seed_interval([0.5])
