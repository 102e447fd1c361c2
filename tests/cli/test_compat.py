"""What the script's flags mean in ours: the number of images, and their batches."""

import logging

import pytest

from synthset.cli.compat import ShortForms
from synthset.core.errors import UsageError

EACH, BATCH = ("images_per_class",), ("batch_size",)


def short(line):
    trick, *counts = line.split()
    return ShortForms(
        trick=(trick,) if trick != "-" else (), **dict(zip(("n_samples", "n_iter"), map(int, counts), strict=False))
    )


@pytest.mark.parametrize(
    ("line", "strategies", "expected", "told"),
    [
        ("class_prompt", (), {EACH: 2000}, "2 × 1,000 images of each class."),
        ("random_scale 4", (), {EACH: 4000, BATCH: 4}, "4 × 1,000 images of each class."),
        ("- 3 5", ("base", "class_prompt"), {EACH: 15, BATCH: 3}, "3 × 5 images of each class."),
        ("multidomain", (), {EACH: 20_000}, "2 × 1,000 images of each class and domain, of which there are 10."),
        ("- 2 2", ("multi_domain@1:5",), {EACH: 40, BATCH: 2}, "of which there are 10."),
        ("-", ("multi_domain",), {}, ""),  # our own flags, and our own default
    ],
)
def test_counts_and_batches_are_the_scripts(caplog, line, strategies, expected, told):
    forms = short(line)
    with caplog.at_level(logging.WARNING):
        assert forms.defaults(forms.trick or strategies, {}, has_set=False) == expected
    assert (told in caplog.text, bool(caplog.text)) == (True, bool(told))


def test_domains_are_those_that_are_given():
    forms, domains = short("multidomain 2 3"), {("style", "domains"): ("photo", "sketch", "stamp")}
    assert forms.defaults(forms.trick, domains, has_set=False)[EACH] == 18
    assert forms.defaults(forms.trick, {("style", "satellite"): True}, has_set=False)[EACH] == 30


def test_a_number_that_was_given_wins_over_the_scripts_default():
    forms, given = short("multidomain"), {EACH: 7}
    assert forms.defaults(forms.trick, given, has_set=False) == {}
    assert forms.defaults(forms.trick, given, has_set=True) == {}  # a real set's number
    assert short("class_prompt 2").defaults(("class_prompt",), given, has_set=True)[EACH] == 2000


def test_what_means_two_things_is_refused():
    with pytest.raises(UsageError, match="Expected images_per_class or n_samples with n_iter, got both"):
        short("base 2").defaults(("base",), {EACH: 7}, has_set=False)
    with pytest.raises(UsageError, match=r"Expected multi_domain alone .* got base, multi_domain"):
        short("-  2").defaults(("base", "multidomain"), {}, has_set=False)
    with pytest.raises(UsageError, match="Expected trick or strategies, got both"):
        short("base").strategies({("strategies",): ("base",)})
    assert short("base").strategies({}) == ("base",)
    assert short("-").strategies({("strategies",): ("base",)}) is None
