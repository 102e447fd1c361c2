"""Errors: their exit codes, and messages that speak of options in the reader's words."""

import copy
import pickle

import pytest

from synthset.core import errors
from synthset.core.errors import SynthsetError, UnknownNameError, UsageError, setting


def test_every_error_has_its_exit_code():
    codes = {
        name: value.exit_code
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert codes == {
        "SynthsetError": 1,
        "UsageError": 2,
        "UnknownNameError": 2,
        "ConfigChangedError": 2,
        "DataError": 1,
        "ModelError": 1,
        "FailureThresholdError": 3,
    }


def test_an_option_in_a_message_is_the_field_in_python_and_the_readers_word_elsewhere():
    error = UsageError(
        f"Expected {setting('resize_px', 32)} with {setting('Config.overwrite')}, not {setting('x', False)}."
    )
    assert str(error) == "Expected resize_px=32 with overwrite, not x=False."
    assert error.worded(lambda name, value: f"<{name}|{value}>") == (
        "Expected <resize_px|32> with <Config.overwrite|None>, not <x|False>."
    )


def test_an_equals_sign_in_a_value_stays_in_it():
    assert str(SynthsetError(f"Give {setting('words', 'a=b')}.")) == "Give words=a=b."
    assert SynthsetError(setting("words", "a=b")).worded(lambda name, value: str(value)) == "a=b"


def test_an_unknown_name_lists_the_valid_ones_and_the_nearest():
    assert str(UnknownNameError("strategy", "bse", ["base", "le"], "See the docs.")) == (
        "Unknown strategy 'bse'. Did you mean 'base'? Valid: base, le. See the docs."
    )
    assert str(UnknownNameError("strategy", "xyz", iter(["base"]))) == "Unknown strategy 'xyz'. Valid: base."


@pytest.mark.parametrize("error", [UsageError(f"Give {setting('seed')}."), UnknownNameError("set", "x", ["y"])])
def test_an_error_comes_through_a_copy_and_another_process_as_it_is(error):
    for same in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(same) is type(error)
        assert same.worded(lambda name, value: f"--{name}") == error.worded(lambda name, value: f"--{name}")


def test_a_message_is_nothing_that_a_terminal_would_act_on():
    error = UsageError(f"Expected {setting('seed', 3)}, got '\x1b[31mred\x07'.")
    assert str(error) == "Expected seed=3, got 'red'."
    assert error.worded(lambda name, value: f"--{name} {value}") == "Expected --seed 3, got 'red'."
