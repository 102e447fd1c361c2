import numpy as np
import pytest

from synthset.measures.correlation import Correlation, correlate


def test_a_line_and_a_curve_that_rises():
    x = [1.0, 2.0, 3.0, 4.0, 5.0]
    line = correlate(x, [-2 * value for value in x])
    assert (line.pearson, line.spearman) == pytest.approx((-1, -1))
    assert line.pearson_low is line.pearson_high is line.spearman_low is None  # no width: nothing to go by
    curve = correlate(x, [value**5 for value in x])
    assert curve.spearman == pytest.approx(1)
    assert curve.pearson < 0.95


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_of_fewer_than_four_pairs_nothing_is_said(n):
    assert correlate(list(range(n)), list(range(n))) == Correlation(n)
    assert correlate([0.0, 1.0, 2.0, 3.5], [0.0, 1.0, 2.0, 3.0]).pearson is not None


def test_a_constant_says_nothing_also_where_it_is_one_but_for_rounding():
    assert correlate([0.1] * 6, list(range(6))) == Correlation(6)
    assert correlate(list(range(6)), [0.1 + 0.2, 0.3] * 3) == Correlation(6)


def test_intervals_come_with_enough_pairs_and_narrow():
    random = np.random.default_rng(0)
    x = random.normal(size=400)
    y = x + random.normal(size=400)
    few, more, many = (correlate(x[:n], y[:n]) for n in (4, 10, 400))
    assert few.pearson_low is not None
    assert few.spearman_low is None
    assert more.spearman_low < more.spearman < more.spearman_high
    assert (
        many.pearson_high - many.pearson_low < more.pearson_high - more.pearson_low < few.pearson_high - few.pearson_low
    )
    assert many.pearson_low < 0.5**0.5 < many.pearson_high  # the correlation of x with x + noise


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0, 2.0], [1.0], "as many numbers in x as in y, got 2 and 1"),
        ([1.0, float("nan"), 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], "NaN or infinity"),
    ],
)
def test_what_cannot_be_paired_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        correlate(x, y)
