"""Evaluation: exact counts, classes in any order, files and picture."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from bars import make_set
from synthset.classifiers.evaluate import evaluate, file_name, write_evaluation
from synthset.classifiers.models import Classifier, ModelConfig, load_classifier
from synthset.classifiers.scoring import count, wilson_interval
from synthset.cli.model_tables import print_evaluation
from synthset.core.errors import DataError, UsageError
from synthset.core.files import with_checksum
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet


class Brightness(nn.Module):
    """Predicts class 0, 1 or 2 for dark, grey and bright images: an evaluation with known answers."""

    def __init__(self):
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([0.0, 0.5, 1.0]))

    def forward(self, images):
        return -((images.mean((1, 2, 3))[:, None] - self.levels) ** 2)


def classifier(names=("dark", "mid_grey", "bright")):
    config = ModelConfig("small_cnn", names, 8, mean=(0.0,) * 3, std=(1.0,) * 3)
    return Classifier(config, Brightness())


def images_of(levels, labels, names):
    files = [encode(np.full((8, 8, 3), level, np.uint8)) for level in levels]
    return ImageSet("greys", names, np.array(labels, np.int64), files.__getitem__)


def test_counts_are_exact():
    real = images_of([0, 10, 120, 250, 255, 0], [0, 0, 1, 2, 1, 1], ("dark", "mid_grey", "bright"))
    result = evaluate(classifier(), real, batch_size=4)
    assert result.confusion == ((2, 0, 0), (1, 1, 1), (0, 0, 1))
    assert (result.n, result.correct, result.accuracy) == (6, 4, 4 / 6)
    assert result.per_class_accuracy == (1.0, 1 / 3, 1.0)
    assert result.mean_class_accuracy == pytest.approx((1 + 1 / 3 + 1) / 3)
    assert (result.low, result.high) == wilson_interval(4, 6)
    assert json.loads(json.dumps(result.to_json()))["confusion"][1] == [1, 1, 1]


def test_the_metric_of_the_set_goes_along():
    real = images_of([0, 10, 120, 250, 255, 0], [0, 0, 1, 2, 1, 1], ("dark", "mid_grey", "bright"))
    result = evaluate(classifier(), real)
    assert (result.metric, result.score) == ("accuracy", result.accuracy)
    by_class = evaluate(classifier(), dataclasses.replace(real, metric="mean_per_class"))
    assert (by_class.metric, by_class.score) == ("mean_per_class", by_class.mean_per_class)
    assert by_class.mean_per_class == by_class.mean_class_accuracy == pytest.approx(7 / 9)
    saved = by_class.to_json()
    assert (saved["metric"], saved["accuracy"]) == ("mean_per_class", 4 / 6)
    assert saved["mean_per_class"] == saved["mean_class_accuracy"] == saved["score"]


def test_the_metric_of_the_field_is_printed_first(capsys, tmp_path):
    result = count(np.array([0, 0, 1]), np.array([0, 0, 0]), ("a", "b"), "pets", "mean_per_class")
    print_evaluation(result, tmp_path)
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("50.0% as the mean over classes; 66.7% on 3 real images of pets (95 % interval ")
    assert line.endswith("), top-1 accuracy, which the papers report")
    print_evaluation(dataclasses.replace(result, metric="accuracy"), tmp_path)
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("66.7% on 3 real images of pets (95 % interval ")
    assert line.endswith("; 50.0% as the mean over classes")


def test_classes_are_matched_by_name_in_any_order():
    real = images_of([0, 120, 255, 255], [2, 0, 1, 1], ("Mid Grey", "BRIGHT", "dark"))
    result = evaluate(classifier(), real)
    assert result.accuracy == 1
    assert result.class_names == ("dark", "mid_grey", "bright")
    assert result.confusion == ((1, 0, 0), (0, 1, 0), (0, 0, 2))


def test_a_class_without_real_images_has_no_accuracy():
    real = images_of([0, 255], [0, 2], ("dark", "mid_grey", "bright"))
    result = evaluate(classifier(), real)
    assert result.per_class_accuracy == (1.0, None, 1.0)
    assert result.mean_class_accuracy == 1


def test_other_classes_are_named(caplog):
    real = images_of([0, 0], [0, 1], ("dark", "pink", "bright"))
    with pytest.raises(UsageError, match="missing: mid_grey, bright; extra: pink"):
        evaluate(classifier(), real, strict=True)
    assert evaluate(classifier(), real).n == 1
    assert "left out 1 image of further classes: pink" in caplog.text
    with pytest.raises(UsageError, match="missing: dark, mid_grey, bright; extra: blue, pink"):
        evaluate(classifier(), images_of([0, 0], [0, 1], ("blue", "pink")))


def test_no_images():
    with pytest.raises(DataError, match="found none"):
        evaluate(classifier(), images_of([], [], ("dark", "mid_grey", "bright")))


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        *(("digits", "digits"), ("data/real_cifar10", "data-real_cifar10"), ("../x", "x")),
        *(("config", "real-config"), ("Model", "real-Model"), ("..", "real"), ("a" * 300, "a" * 80)),
    ],
)
def test_file_names_stay_in_the_folder_and_off_the_model(real, expected):
    assert file_name(real) == expected


def test_blocks_of_images_change_nothing_and_all_that_do_not_decode_are_named(finished, monkeypatch, caplog):
    images = make_set((8, 8, 8), seed=3)
    files = [images.read(i) if i not in (1, 9, 23) else b"junk" for i in range(24)]
    broken = dataclasses.replace(images, read=files.__getitem__)
    classifier = load_classifier(finished.folder, "cpu")
    whole = evaluate(classifier, broken)
    monkeypatch.setattr("synthset.images.imageset.BLOCK_IMAGES", 5)
    caplog.clear()
    assert evaluate(classifier, broken) == whole
    assert (whole.n, whole.unreadable) == (21, 3)
    assert "row 1: 4 bytes of text; row 9: 4 bytes of text; row 23: 4 bytes of text" in caplog.text


def test_writes_the_result_and_its_picture(tmp_path):
    result = count(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2]), ("a", "b", "c"), "data/some set")
    table, picture = write_evaluation(result, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "data-some-set-confusion.png",
        "data-some-set.json",
    ]
    assert json.loads(table.read_text()) == json.loads(json.dumps(with_checksum(result.to_json())))
    assert picture.read_bytes().startswith(b"\x89PNG")
