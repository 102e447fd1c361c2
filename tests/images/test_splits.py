"""Splits by the words for them in names; which of several is meant, and what is said where none can be."""

import pytest

from synthset.core.errors import UsageError
from synthset.images.splits import FOR_TESTS, FOR_TRAINING, choose_split, is_split_word, split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("TrainImages", "train"), ("training_set", "train"), ("trainval", "train"),
        ("val", "validation"), ("Valid", "validation"), ("dev-0001", "validation"), ("evaluation", "validation"),
        ("test", "test"), ("seg_test", "test"), ("part-00000-of-00002-testing", "test"), ("holdout", "test"),
        ("trains", None), ("latest", None), ("contest", None), ("valley", None), ("", None), ("tester", None),
    ],
)  # fmt: skip
def test_a_word_in_a_name_speaks_of_a_split(name, split):
    assert split_of(name) == split


def test_a_class_that_is_called_like_a_split_and_more_is_none():
    assert is_split_word("TEST")
    assert not is_split_word("test tube")
    assert not is_split_word("train station")


@pytest.mark.parametrize(
    ("names", "wanted", "defaults", "choice"),
    [
        (["all"], None, (), "all"),
        (["train", "val", "test"], None, FOR_TESTS, "test"),
        (["train", "val"], None, FOR_TESTS, "val"),
        (["Training", "Testing"], None, FOR_TRAINING, "Training"),
        (["Training", "Testing"], "test", (), "Testing"),
        (["train", "val"], "val", FOR_TRAINING, "val"),
    ],
)
def test_the_split_that_is_meant(names, wanted, defaults, choice):
    assert choose_split("here", names, wanted, defaults) == choice


@pytest.mark.parametrize(("wanted", "defaults"), [(None, ()), ("test", ()), ("nothing", FOR_TRAINING)])
def test_where_none_can_be_meant_those_that_are_there_are_named(wanted, defaults):
    with pytest.raises(UsageError) as error:
        choose_split("photos", ["train", "val"], wanted, defaults)
    assert "'photos'" in str(error.value)
    assert "train, val" in str(error.value)
    assert "\n" not in str(error.value)
