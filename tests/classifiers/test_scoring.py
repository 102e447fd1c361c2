"""From images to scores: what cannot be read or is of no class is left out; intervals against known values."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from synthset.classifiers.scoring import (
    Answers,
    SavedEvaluation,
    chance_of,
    count,
    score,
    seed_interval,
    wilson_interval,
)
from synthset.core.errors import DataError, UsageError
from synthset.core.json_records import read_record
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet


def reads(bad=()):
    """Six images of two classes, of which some do not decode."""
    files = [b"junk" if i in bad else encode(np.full((4, 4, 3), 40 * i, np.uint8)) for i in range(6)]
    return ImageSet("greys", ("dark", "bright"), np.array([0, 0, 0, 1, 1, 1]), files.__getitem__, split="test")


def predict(images):
    said = (images.tensor(4)[:, 0, 0, 0].numpy() > 90).astype(int)
    return Answers(said, np.full(len(said), 0.75, np.float32))


def test_what_cannot_be_read_is_left_out_and_named(caplog):
    result = score(reads(bad=(1, 5)), ("dark", "bright"), predict)
    assert (result.n, result.correct, result.unreadable, result.kind, result.split) == (4, 4, 2, "real", "test")
    assert "row 1: 4 bytes of text; row 5: 4 bytes of text" in caplog.text
    for images, strict in ((reads(bad=(1, 5)), True), (reads(bad=range(6)), False)):
        with pytest.raises(DataError, match="of the 6 images of 'greys' cannot be read: row "):
            score(images, ("dark", "bright"), predict, strict=strict)
    assert score(reads(), ("dark", "bright"), predict, strict=True).unreadable == 0


def test_a_missing_class_and_a_further_one_are_left_out_of_the_score():
    result = score(reads(), ("bright", "grey"), lambda images: Answers(np.array([0, 0, 1]), np.ones(3)))
    assert (result.n, result.correct, result.per_class_accuracy) == (3, 2, (2 / 3, None))
    with pytest.raises(UsageError, match="missing: grey; extra: dark"):
        score(reads(), ("bright", "grey"), predict, strict=True)


def saved(path, result, **changes):
    path.write_text(json.dumps(result.to_json() | changes))
    return read_record(SavedEvaluation, path, "Test again.")


@pytest.mark.parametrize("k", [1000, 1001])
def test_thousands_of_classes_are_counted_and_saved_without_a_number_for_each_pair(tmp_path, k):
    random = np.random.default_rng(0)
    true, predicted = random.integers(0, k, 3000), random.integers(0, k, 3000)
    result = count(true, predicted, [f"class {i}" for i in range(k)], "a set")
    again = saved(tmp_path / "e.json", result)
    expected = np.bincount(true * k + predicted, minlength=k * k).reshape(k, k)
    assert np.array_equal(again.counts.toarray(), expected)
    assert result.correct == expected.trace()
    assert (bool(result.confusion), bool(result.cells)) == (k == 1000, k == 1001)
    if k > 1000:
        assert (tmp_path / "e.json").stat().st_size < 200_000
        for wrong in ([[0, k, 3000]], [[0, 0, 3000]], []):
            with pytest.raises(DataError, match=r"confusion matrix"):
                saved(tmp_path / "e.json", result, cells=wrong)
        with pytest.raises(DataError, match="does not fit 1001 classes"):
            saved(tmp_path / "e.json", result, confusion=[[1]])


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


@pytest.mark.parametrize(("correct", "n", "share"), [(0, 5, 0.2), (5, 5, 0.2), (12, 100, 0.1), (300, 1000, 0.25)])
def test_chance_is_the_exact_binomial_test(correct, n, share):
    expected = binomtest(correct, n, share, alternative="greater").pvalue
    assert chance_of(correct, n, share) == pytest.approx(expected)
