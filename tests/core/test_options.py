from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import pytest

from synthset.core.errors import UnknownNameError, UsageError, setting
from synthset.core.options import (
    Nested,
    Option,
    check_options,
    declared_options,
    expect,
    is_of_type,
    job_of,
    with_options,
)


@dataclass(frozen=True)
class Inner:
    level: Annotated[float, Option(at_least=0, at_most=1)] = 0.5
    """Level of it."""
    note: str = ""
    """Note on it."""

    def __post_init__(self):
        check_options(self)


@dataclass(frozen=True)
class Config:
    """A config with a field of each kind."""

    size_px: Annotated[int | None, Option(flag="size", at_least=4, group="Stored", job="images.size_px")] = None
    """Side of the images
    in pixels."""
    share: Annotated[float, Option(above=0, below=1, job=False)] = 0.5
    span: Annotated[tuple[float, float], Option(flag=("min-span", "max-span"), at_least=0)] = (1.0, 5.0)
    kind: Annotated[str, Option(choices=("a", "b"))] = "a"
    """Kind, one of {choices}."""
    names: tuple[str, ...] | None = None
    switch: bool = False
    words: Mapping[str, str] = field(default_factory=dict)
    inner: Annotated[
        Inner | None, Nested(group="Inner", flags={"note": "inner-note"}, switch="level", job="within")
    ] = None

    def __post_init__(self):
        check_options(self)


OPTIONS = {".".join(option.path): option for option in declared_options(Config)}


def test_everything_about_an_option_follows_from_its_field():
    size = OPTIONS["size_px"]
    assert (size.name, size.flags, size.default, size.text) == (
        "size_px",
        ("size",),
        None,
        "Side of the images in pixels.",
    )
    assert OPTIONS["span"].flags == ("min-span", "max-span")
    assert OPTIONS["switch"].flags == ("switch",)
    assert OPTIONS["kind"].help == "Kind, one of a, b."
    assert OPTIONS["words"].default == {}


def test_the_options_of_a_nested_config_stand_in_its_place():
    assert list(OPTIONS)[-2:] == ["inner.level", "inner.note"]
    note = OPTIONS["inner.note"]
    assert (note.config, note.flags, note.option.group, note.text) == ("Inner", ("inner-note",), "Inner", "Note on it.")
    assert note.switch == ("inner", "level")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_px": 3}, "Expected size_px of at least 4, got 3."),
        ({"size_px": "3"}, "Expected size_px as an integer or nothing, got '3'."),
        ({"size_px": True}, "Expected size_px as an integer or nothing, got True."),
        ({"share": 1}, "Expected share above 0 and below 1, got 1."),
        ({"share": float("nan")}, "Expected share as a finite number, got nan."),
        ({"span": (1.0,)}, "Expected span as 2 numbers, got (1.0,)."),
        ({"span": (-1.0, 2.0)}, "Expected span of at least 0, got -1."),
        ({"names": ["a", 1]}, "Expected names as texts or nothing, got ['a', 1]."),
        ({"switch": 1}, "Expected switch as true or false, got 1."),
        ({"inner": 1}, "Expected inner as Inner or nothing, got 1."),
    ],
)
def test_values_that_cannot_be_name_the_field(options, message):
    with pytest.raises(UsageError) as caught:
        Config(**options)
    assert str(caught.value) == message


def test_a_name_that_is_not_among_the_valid_ones():
    with pytest.raises(UnknownNameError, match=r"Unknown kind 'c'\. Valid: a, b\."):
        Config(kind="c")


def test_an_unknown_option_in_python_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown option 'size'\. Did you mean 'size_px'\?"):
        with_options(Config(), {"size": 3})


def test_a_list_is_as_good_as_a_tuple():
    assert Config(names=["a"], span=[1, 2]) == Config(names=("a",), span=(1.0, 2.0))


def test_integers_are_numbers_and_numpy_counts():
    import numpy as np

    assert is_of_type(np.int64(3), int)
    assert is_of_type(np.float32(3), float)
    assert not is_of_type(np.float64("inf"), float)


def test_the_job_is_derived():
    assert job_of(Config(size_px=8, inner=Inner(note="x"))) == {
        "images": {"size_px": 8},
        "span": (1.0, 5.0),
        "kind": "a",
        "names": None,
        "switch": False,
        "words": {},
        "within": {"level": 0.5, "note": "x"},
    }
    assert job_of(Config())["within"] == {"level": None, "note": None}


def test_what_is_expected_is_refused_in_one_sentence():
    expect(True, "nothing")
    with pytest.raises(UsageError) as caught:
        expect(False, f"{setting('size_px', 8)} with {setting('Config.share')}")
    assert str(caught.value) == "Expected size_px=8 with share."
