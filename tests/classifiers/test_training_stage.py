"""The stage of training: what is said before it, and of a model that learned nothing."""

import dataclasses
import logging

import numpy as np
import pytest

from bars import CONFIG, NAMES, make_set
from synthset.classifiers.checkpoints import EpochRecord
from synthset.classifiers.models import ModelConfig
from synthset.classifiers.settings import Settings
from synthset.classifiers.stage import doubt_of, train
from synthset.classifiers.train import TrainResult
from synthset.cli.commands import load_command
from synthset.cli.wording import Wording
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet

PAPER = Settings(recipe="shipard2023", epochs=200, batch_size=128, learning_rate=2e-4, weight_decay=0.9)


def result_of(accuracy, n=100, epochs=1, k=10, chance=0.1, size_px=32):
    """A training that ended so."""
    epoch = EpochRecord(1, 1.0, 1.0, accuracy, 1e-3, 1.0)
    config = ModelConfig("resnet50", tuple(map(str, range(k))), size_px)
    return TrainResult("folder", config, epoch, 9 * n, n, 1.0, (epoch,) * epochs, chance=chance)


def noise(n=120, seed=0):
    """Images that say nothing of their three classes."""
    random = np.random.default_rng(seed)
    files = [encode(random.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(n)]
    return ImageSet("noise", NAMES, random.integers(0, 3, n), files.__getitem__)


def test_a_model_that_learned_nothing_is_told_from_one_that_did(tmp_path, caplog):
    train(noise(), tmp_path / "nothing", CONFIG, epochs=2)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "The model cannot be told from one that guesses" in record.getMessage()
    caplog.clear()
    result = train(make_set(), tmp_path / "bars", CONFIG, epochs=10)
    assert not caplog.records
    assert result.chance == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("accuracy", "more", "doubt"),
    [
        (0.15, {}, True),  # p = 0.073 of the exact test
        (0.16, {}, False),  # p = 0.040
        (0.16, {"epochs": 2}, True),  # the best of two
        (0.50, {"chance": 0.5}, True),  # the largest class is half of all
        (0.50, {"chance": 0.3}, False),
        (0.30, {"chance": None, "k": 4}, True),  # by an earlier version: all classes alike
        (0.40, {"chance": None, "k": 4}, False),
    ],
)
def test_what_is_beyond_chance(accuracy, more, doubt):
    assert bool(doubt_of(result_of(accuracy, **more), PAPER)) is doubt


def test_too_few_images_to_tell_are_called_so():
    assert str(doubt_of(result_of(1.0, n=3, k=2, chance=0.5), PAPER)) == (
        "Too few images to say whether the model learned anything: 3 of 3 held-back images are right. Train on more "
        "images, or give validation_fraction=0.3."
    )


def test_what_to_try_is_what_was_not_tried():
    paper = str(doubt_of(result_of(0.1), PAPER))
    words = (
        "architecture=small_cnn",
        "recipe=auto",
        "learning_rate=0.002",
        "weight_decay=0.05",
        "batch_size=32",
        "more images",
    )
    assert all(word in paper for word in words), paper
    assert "epochs" not in paper
    few = Settings("small_cnn", epochs=3, learning_rate=2e-3, weight_decay=0.05, batch_size=16)
    model = dataclasses.replace(result_of(0.1).model_config, architecture="small_cnn")
    told = str(doubt_of(dataclasses.replace(result_of(0.1), model_config=model), few))
    assert told.endswith("Do not use it. Try epochs=18, or more images.")
    assert "small_cnn" not in str(doubt_of(result_of(0.1, size_px=224), PAPER))


def test_images_and_size_are_told_before_the_training_and_far_sizes_are_named(tmp_path, caplog):
    images, told = make_set(), []
    files = [encode(np.zeros((40, 40, 3), np.uint8)), *map(images.read, range(1, 60))]
    mixed = dataclasses.replace(images, read=files.__getitem__)

    def hear(to_learn, settings):
        told.append((len(to_learn), settings.image_size_px, (tmp_path / "model" / "training.json").exists()))

    for _ in range(2):  # the second time there is nothing to train
        train(mixed, tmp_path / "model", CONFIG, epochs=1, image_size_px=None, when_ready=hear)
    assert told == [(60, 8, False)]
    assert [r.getMessage() for r in caplog.records if "median" in r.getMessage()] == [
        "'bars' has images of 8 px as the median, and others far from it, which the model sees at one size: image 0 "
        "(40×40)"
    ]


def test_the_command_names_classes_first_and_doubts_last(own_folder, run, caplog):
    for index, label in enumerate(noise().labels):
        folder = own_folder / "photos" / NAMES[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.png").write_bytes(noise().read(index))
    line = ("train", "photos", "--model", "small_cnn", "--recipe", "shipard2023", "--epochs", "1")
    code, out, _ = run(*line)
    assert code == 0
    assert out.splitlines()[:2] == [
        "120 images of photos in 3 classes: left, right, top",
        "seen at 8 × 8 px; the median of their longer sides is 8 px",
    ]
    (doubt,) = (record.args[0] for record in caplog.records)
    said = doubt.worded(Wording(load_command("train")).word)
    assert (
        "Do not use it. Try --recipe auto, --learning-rate 0.002, --weight-decay 0.05, --batch-size 32, --epochs "
        in said
    )
