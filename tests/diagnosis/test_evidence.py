"""Findings by simulation: how often sound classes are taken for low, and how often low ones are found.

Run it for a table of both: python tests/diagnosis/test_evidence.py
"""

import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control, fisher_exact

from synthset.classifiers.scoring import wilson_interval
from synthset.diagnosis.evidence import MARGIN, Counts, adjust, images_needed, weigh
from synthset.measures.centroids import centroid_accuracy, cross_fitted_accuracy
from synthset.measures.points import fold_each_class

TESTS = ("real", "drawn", "transfer")


def draw(rng, shares, n):
    """Counts of three tests of classes with these true shares, of n images each."""
    totals = np.full(len(shares), n)
    return {name: Counts(rng.binomial(n, shares), totals, totals) for name in TESTS}


def low(findings):
    """Whether each class is low in any of the tests, bool (k,)."""
    return np.any([[finding.state == "low" for finding in row] for row in findings.values()], axis=0)


@pytest.mark.parametrize("k", [10, 100])
@pytest.mark.parametrize("n", [5, 13, 25, 50, 200])
def test_at_most_one_equal_class_of_twenty_is_flagged_and_rarely_any(n, k):
    """Classes that are alike: a flag is a false discovery, whichever it is. Of whole sets, at most 5 % may have any."""
    rng, rounds = np.random.default_rng(n + k), 400 // k + 6
    flagged = np.array(
        [low(weigh(draw(rng, np.full(k, share), n))) for share in (0.3, 0.5, 0.8, 0.95) for _ in range(rounds)]
    )
    assert flagged.mean() <= 0.05 / 4
    assert flagged.any(1).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(flagged))


@pytest.mark.parametrize("n", [5, 25, 50, 200])
def test_classes_that_differ_a_little_are_not_flagged(n):
    """Of classes whose true share lies within the margin below the others' mean, at most 5 %."""
    rng, flagged, sound = np.random.default_rng(n), 0, 0
    for _ in range(60):
        shares = np.clip(rng.normal(0.75, 0.06, 20), 0, 1)
        is_sound = shares >= (shares.sum() - shares) / 19 - MARGIN
        flagged += int(low(weigh(draw(rng, shares, n)))[is_sound].sum())
        sound += int(is_sound.sum())
    assert flagged / sound <= 0.05


@pytest.mark.parametrize("k", [10, 100])
@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_a_class_thirty_points_lower_is_found_among_fifty_images(k, share):
    """In one test of three alone, so that the others cannot help."""
    rng, found = np.random.default_rng(k), []
    for _ in range(40):
        counts = draw(rng, np.full(k, share), 50)
        counts["drawn"].correct[3] = rng.binomial(50, share - 0.3)
        found.append(low(weigh(counts))[3])
    assert np.mean(found) >= 0.7
    rng, many = np.random.default_rng(k), np.full(k, share)
    many[3] -= 0.3
    assert low(weigh(draw(rng, many, 200)))[3]


@pytest.mark.parametrize(("num_references", "num_queries"), [(5, 200), (13, 200), (50, 50)])
def test_centroids_of_few_images_make_no_class_low(num_references, num_queries):
    """Equal classes around equal centres: a centroid of few images misleads all images of its class together."""
    rng, k, rounds, seed = np.random.default_rng(num_references), 10, 40, iter(range(1000))
    import torch

    flagged = []
    for _ in range(rounds):
        centres = np.eye(k, 24) * 2 + 3 * np.eye(24)[-1]
        labels, real_labels = (np.repeat(np.arange(k), n) for n in (num_references, num_queries))
        images, real = (torch.from_numpy(centres[of] + rng.normal(size=(len(of), 24))) for of in (labels, real_labels))
        own, of_real = torch.from_numpy(labels), torch.from_numpy(real_labels)
        transfer = centroid_accuracy(real, of_real, images, own).per_class_accuracy.numpy()
        folded = cross_fitted_accuracy(images, own, fold_each_class(own, 5, next(seed))).per_class_accuracy.numpy()
        counts = {
            "transfer": Counts.of(transfer, real_labels, labels),
            "own": Counts.of(folded, labels, labels),
        }
        flagged.append(low(weigh(counts)))
    assert np.mean(flagged) <= 0.01
    assert np.mean(np.any(flagged, 1)) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / rounds)


def test_the_numbers_are_those_of_scipy_and_of_wilson():
    rng = np.random.default_rng(0)
    totals = np.full(6, 40)
    counts = {name: Counts(rng.binomial(40, 0.7, 6), totals, totals) for name in ("one", "two")}
    findings = weigh(counts)
    chances = []
    for name, own in counts.items():
        for c, finding in enumerate(findings[name]):
            x, others = int(own.correct[c]), int(own.correct.sum() - own.correct[c])
            chances.append(fisher_exact([[x, 40 - x], [others, 200 - others]], alternative="less")[1])
            assert (finding.low, finding.high) == wilson_interval(x, 40)
            assert (finding.share, finding.others) == (x / 40, pytest.approx(others / 200))
            class_, rest = (binomtest(a, b).proportion_ci(0.9, "exact") for a, b in ((x, 40), (others, 200)))
            gap = others / 200 - x / 40
            least = gap - np.hypot(class_.high - x / 40, others / 200 - rest.low)
            most = gap + np.hypot(x / 40 - class_.low, rest.high - others / 200)
            assert (finding.below_low, finding.below_high) == (pytest.approx(least), pytest.approx(most))
    adjusted = false_discovery_control(chances)
    assert [finding.p_value for row in findings.values() for finding in row] == pytest.approx(list(adjusted))


def test_adjusted_p_values_are_scipys():
    p_values = np.random.default_rng(1).random(30) ** 3
    assert adjust(p_values) == pytest.approx(false_discovery_control(p_values))


def test_of_few_images_nothing_is_said_either_way():
    """Of five images, one that is right does not prove much, and four do not exclude it."""
    totals = np.full(100, 5)
    correct = np.full(100, 4)
    correct[0], correct[1] = 1, 5
    states = [finding.state for finding in weigh({"one": Counts(correct, totals, totals)})["one"]]
    assert states[0] == "unresolved"
    assert set(states[2:]) == {"unresolved"}
    sound = Counts(np.full(100, 45), np.full(100, 50), np.full(100, 50))
    assert {finding.state for finding in weigh({"one": sound})["one"]} == {"as others"}


def test_images_count_no_more_than_those_that_they_are_compared_with():
    accuracy, labels = np.array([0.5, 1.0]), np.repeat([0, 1], [40, 60])
    by_images = Counts.of(accuracy, labels, np.repeat([0, 1], [8, 100]))
    assert by_images.correct.tolist() == [20, 60]
    assert by_images.trials.tolist() == [8, 60]
    assert Counts.of(accuracy, labels).trials.tolist() == [40, 60]


def test_the_number_of_images_that_is_called_for_is_enough_and_one_fewer_is_not():
    for share, k in ((1.0, 10), (0.9, 5), (0.5, 100)):
        n = images_needed(share, k)
        for number, state in ((n, "as others"), (n - 1, "unresolved")):
            totals = np.full(k, number * 10)  # tenfold, so that shares are exact
            counts = Counts((totals * share).astype(int), totals, np.full(k, number))
            assert {finding.state for finding in weigh({"one": counts})["one"]} == {state}


def test_a_single_class_is_as_the_others_and_many_classes_are_weighed_fast():
    one = np.array([20])
    (alone,) = weigh({"one": Counts(one // 2, one, one)})["one"]
    assert alone.state == "as others"
    empty = np.zeros(3, int)
    hopeless = weigh({"one": Counts(empty, empty + 30, empty + 30)})["one"]
    assert {finding.state for finding in hopeless} == {"unresolved"}


def _print_rates():
    """Of equal classes those ten points lower, low ones, sets with any, unresolved ones; of low ones those found."""
    for k in (10, 100):
        for n in (5, 13, 25, 50, 200):
            rng, equal, found = np.random.default_rng(n + k), [], []
            for share in (0.3, 0.5, 0.8, 0.95):
                for _ in range(1000 // k):
                    counts = draw(rng, np.full(k, share), n)
                    shares = np.array([own.correct / n for own in counts.values()])
                    findings = weigh(counts)
                    is_low = low(findings)
                    is_open = np.array([[f.state == "unresolved" for f in row] for row in findings.values()]).any(0)
                    plain = (shares < shares.mean(1, keepdims=True) - MARGIN).any(0)
                    equal.append((plain.mean(), is_low.mean(), is_low.any(), (is_open & ~is_low).mean()))
            for share in (0.6, 0.8, 0.95):
                for _ in range(40):
                    counts = draw(rng, np.full(k, share), n)
                    counts["drawn"].correct[3] = rng.binomial(n, share - 0.3)
                    found.append(low(weigh(counts))[3])
            print(f"| {n} | {k} |", " | ".join(f"{rate:.1%}" for rate in (*np.mean(equal, 0), np.mean(found))), "|")


if __name__ == "__main__":
    _print_rates()
