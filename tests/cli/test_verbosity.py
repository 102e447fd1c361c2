"""--quiet leaves the result, warnings and errors; --verbose says how it came about; by every command."""

import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from bars import NAMES
from image_files import make_folder
from small_datasets import make
from synthset.cli.commands import NAMES as COMMANDS
from synthset.cli.verbosity import Verbosity, is_quiet, saying
from synthset.core import progress
from synthset.core.errors import UsageError
from synthset.core.progress import track

pytestmark = pytest.mark.usefixtures("own_folder")
TRAIN = ("train", "made", "--model", "small_cnn", "--epochs", 1, "--batch-size", 16, "--device", "cpu")


@pytest.mark.parametrize("command", COMMANDS)
def test_both_at_once_are_refused(refuse, command):
    assert "Expected --quiet or --verbose, got both. Leave one out." in refuse(command, "--quiet", "--verbose")


def test_a_block_says_as_much_as_it_is_to_and_then_it_is_as_before(caplog):
    logger = logging.getLogger("synthset")
    before = (logger.level, progress._enabled)
    with saying(Verbosity.QUIET, "train"):
        assert is_quiet()
        assert not progress._enabled
        logger.info("a chatty line")
        logger.warning("a warning")
    with suppress(ValueError), saying(Verbosity.VERBOSE, "train"):
        assert not is_quiet()
        assert logger.level == logging.DEBUG
        raise ValueError
    assert not is_quiet()
    assert (logger.level, progress._enabled) == before
    assert caplog.messages[0] == "a warning"
    assert "torch " in caplog.messages[1]
    assert "; Python 3." in caplog.messages[1]
    assert caplog.messages[2].startswith("train took ")
    with pytest.raises(UsageError, match="got both"):
        Verbosity.of(quiet=True, verbose=True)
    with saying(Verbosity.NORMAL, "train"), track(3, "drawing"):
        pass
    assert len(caplog.messages) == 3


def test_a_training_its_test_and_a_prediction(run, caplog):
    make("made", NAMES)
    make_folder(Path("photos"), NAMES)
    code, out, err = run("--quiet", *TRAIN, "--real", "photos", "--output-dir", "quiet")
    assert code == 0
    assert "recipe" not in out
    assert "30 images of made" not in out
    assert out.startswith("27 training and 3 held-back synthetic images; ")
    assert "details  quiet/evaluation" in out
    assert err == ""
    assert all(record.levelno >= logging.WARNING for record in caplog.records)

    caplog.clear()
    code, out, _ = run(*TRAIN, "--verbose", "--output-dir", "loud")
    assert code == 0
    assert out.startswith("30 images of made in 3 classes")
    for said in (
        "; Python 3.",
        "given: epochs = 1",
        "reading 'made'",
        "'made': 30 images of 3 classes",
        "device cpu: cpu, ",
        "decoding 30 images into memory took ",
        "epoch 1: train_loss ",
        "wrote 'loud/model.safetensors', ",
        "train small_cnn took ",
        "train took ",
    ):
        assert said in caplog.text, said

    caplog.clear()
    assert run("--verbose", "eval", "loud", "--real", "photos")[0] == 0
    assert "'loud' is a small_cnn" in caplog.text
    assert "'photos': 6 images of 3 classes" in caplog.text
    assert "wrote 'loud/evaluation/photos-predictions.parquet', " in caplog.text
    caplog.clear()
    code, out, _ = run("predict", "loud", "photos", "--quiet")
    assert (code, len(out.splitlines()), caplog.text) == (0, 7, "")
    assert run("predict", "loud", "photos", "--verbose")[1] == out
    assert "'loud' knows 3 classes; 6 images to classify" in caplog.text


def test_a_filter_and_a_clip_name_their_models_and_the_cache(run, caplog):
    make("made", NAMES)
    line = ("filter", "made", "--method", "clip", "--encoder", "miniature")
    assert run(*line, "--quiet")[0] == 0
    assert "miniature" not in caplog.text
    assert run(*line, "--verbose")[0] == 0
    assert "judging 'made' by clip" in caplog.text
    assert "encoder miniature: weights of '" in caplog.text
    assert "miniature: 30 of 30 vectors of images are in the cache" in caplog.text
    caplog.clear()
    make_folder(Path("photos"), NAMES)
    assert run("eval", "clip:miniature", "--real", "photos", "--verbose")[0] == 0
    assert "miniature: 0 of 6 vectors of images are in the cache" in caplog.text
    assert "embedding with miniature took " in caplog.text


def test_lines_go_to_stderr_with_times_and_json_is_as_without(own_folder):
    make("made", NAMES)

    def synthset(*words):
        line = [sys.executable, "-m", "synthset", *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, check=False, env=os.environ)

    line = ("filter", "made", "--method", "duplicates", "--encoder", "miniature", "--json")
    quiet, loud = synthset(*line, "--quiet"), synthset(*line, "--verbose")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert json.loads(quiet.stdout)["filter"] == json.loads(loud.stdout)["filter"]
    lines = loud.stderr.splitlines()
    assert all(line[2] == line[5] == ":" and " DEBUG: " in line for line in lines)
    assert any("wrote 'made/filters/duplicates.parquet'" in line for line in lines)
    wrong = synthset("filter", "nowhere", "--quiet")
    assert (wrong.returncode, wrong.stdout, len(wrong.stderr.splitlines())) == (1, "", 1)
    assert wrong.stderr.startswith("error: ")
