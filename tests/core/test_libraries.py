"""What other libraries raise and log: one line of ours, or nothing."""

import logging
import subprocess
import sys

import diffusers
import pytest
import torch
import transformers

from synthset.core.errors import DataError, ModelError, UsageError
from synthset.core.libraries import library_errors, quiet

LIBRARIES = ("diffusers", "huggingface_hub", "transformers")


@pytest.mark.parametrize(
    "error", [ValueError("odd.\nDetails"), KeyError("odd"), RuntimeError("odd"), OverflowError("odd")]
)
def test_whatever_a_library_raises_is_one_line(error):
    with pytest.raises(ModelError) as caught, library_errors("The model 'm' cannot draw", "Name another."):
        raise error
    assert str(caught.value).replace("'odd'", "odd") == "The model 'm' cannot draw (odd). Name another."
    assert caught.value.__cause__ is error
    with pytest.raises(UsageError, match=r"^No \(odd\)\.$"), library_errors("No", kind=UsageError):
        raise ValueError("odd")


@pytest.mark.parametrize(
    "error", [DataError("ours"), MemoryError(), torch.OutOfMemoryError("full"), KeyboardInterrupt()]
)
def test_our_own_errors_and_those_of_memory_pass(error):
    with pytest.raises(type(error)) as caught, library_errors("The model 'm' cannot draw"):
        raise error
    assert caught.value is error


def test_warnings_are_collected_and_all_is_as_before(capfd, caplog):
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    before = [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    with quiet() as messages:
        for name in LIBRARIES:
            logging.getLogger(f"{name}.some.module").warning("lost %s", name)
            logging.getLogger(f"{name}.some.module").info("not worth a word")
        bars = [library.utils.logging.is_progress_bar_enabled() for library in (diffusers, transformers)]
    assert messages == [f"lost {name}" for name in LIBRARIES]
    assert bars == [False, False]
    assert (capfd.readouterr().err, caplog.messages) == ("", [])
    assert [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers] == before
    assert all(library.utils.logging.is_progress_bar_enabled() for library in (diffusers, transformers))


def test_a_library_that_was_told_to_be_silent_stays_so_and_is_heard_meanwhile(capfd):
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with quiet() as messages:
            logging.getLogger("transformers.some").warning("tensors are missing")
        assert messages == ["tensors are missing"]
        assert logger.level == logging.ERROR
    finally:
        logger.setLevel(level)
    assert capfd.readouterr().err == ""


def test_pandas_is_imported_for_those_who_ask_pyarrow_for_it_alone():
    code = """
import sys
from synthset.core.libraries import spare_pandas
spare_pandas()
import pyarrow as pa
table = pa.table({"a": [1, 2]})
assert "pandas" not in sys.modules
assert table.to_pandas()["a"].sum() == 3
assert pa.array(table.to_pandas()["a"]).to_pylist() == [1, 2]
"""
    ran = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True)
    assert ran.returncode == 0, ran.stderr.decode()
