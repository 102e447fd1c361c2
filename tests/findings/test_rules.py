"""Rules of a verdict: each verdict is reached, by intervals alone."""

import pytest

from synthset.findings.rules import Above, Alike, Every, Higher, best, rising, verdict_of


def judge(rule, **figures):
    return verdict_of(rule.judge({label.replace("_", " "): values for label, values in figures.items()}))


def test_higher_reaches_each_verdict_and_goes_by_pairs():
    rule = Higher("a", "b")
    assert judge(rule, a=[0.5, 0.7, 0.9], b=[0.4, 0.61, 0.79]) == "shown"  # the pairs differ little, the seeds much
    assert judge(rule, a=[0.5, 0.7, 0.9], b=[0.79, 0.61, 0.4]) == "not shown"  # the same figures, otherwise paired
    assert judge(rule, a=[0.4, 0.61, 0.79], b=[0.5, 0.7, 0.9]) == "contradicted"


def test_the_interval_is_that_of_student():
    (found,) = Higher("a", "b").judge({"a": [0.90, 0.92, 0.94], "b": [0.0, 0.0, 0.0]})
    assert (found.mean, found.low, found.high) == pytest.approx((0.92, 0.92 - 0.049683, 0.92 + 0.049683), abs=1e-6)
    assert found.label == "a - b"


@pytest.mark.parametrize("rule", [Higher("a", "b"), Above("a", 0.1), Alike("a", "b", 0.02)])
def test_one_seed_shows_and_contradicts_nothing(rule):
    for a, b in ((0.9, 0.1), (0.0, 0.9), (0.5, 0.5)):
        (found,) = rule.judge({"a": [a], "b": [b]})
        assert (found.verdict, found.low, found.high) == ("not shown", None, None)


def test_above_reaches_each_verdict():
    rule = Above("a", 0.1)
    assert judge(rule, a=[0.2, 0.21, 0.19]) == "shown"
    assert judge(rule, a=[0.1, 0.3, 0.0]) == "not shown"
    assert judge(rule, a=[0.02, 0.03, 0.01]) == "contradicted"
    assert rule.text == "a > 0.1"


def test_alike_is_shown_within_the_margin_and_contradicted_beyond_it():
    rule = Alike("a", "b", 0.05)
    assert judge(rule, a=[0.50, 0.51, 0.52], b=[0.49, 0.51, 0.51]) == "shown"
    assert judge(rule, a=[0.50, 0.60, 0.70], b=[0.49, 0.51, 0.51]) == "not shown"  # the interval is too wide to tell
    assert judge(rule, a=[0.60, 0.61, 0.62], b=[0.49, 0.51, 0.51]) == "contradicted"
    assert judge(rule, a=[0.49, 0.51, 0.51], b=[0.60, 0.61, 0.62]) == "contradicted"
    assert judge(rule, a=[0.53, 0.53, 0.53], b=[0.5, 0.5, 0.5]) == "shown"  # apart for sure, and by little


def test_of_several_one_contradiction_decides_and_all_must_be_shown():
    rule = rising("low", "mid", "high")
    low, mid, high = [0.1, 0.11, 0.12], [0.2, 0.21, 0.23], [0.3, 0.32, 0.33]
    assert judge(rule, low=low, mid=mid, high=high) == "shown"
    assert judge(rule, low=low, mid=mid, high=[0.1, 0.3, 0.2]) == "not shown"
    assert judge(rule, low=low, mid=high, high=mid) == "contradicted"
    assert rule.text == "mid > low; high > mid"


def test_the_best_is_above_each_other_one():
    rule = best("a", "b", "c")
    assert list(rule.labels()) == ["a", "b", "c"]
    assert [one.label for one in rule.judge({"a": [3, 3.1], "b": [1, 1], "c": [2, 2]})] == ["a - b", "a - c"]


def test_rules_within_rules_read_each_figure_once():
    rule = Every((rising("a", "b"), Above("b", 0)))
    assert list(rule.labels()) == ["b", "a"]
    assert rule.text == "b > a; b > 0"
