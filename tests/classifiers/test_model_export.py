"""Classifiers in other tools' forms: the same predictions there, without our package, or a refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

import synthset
from bars import CONFIG, make_set
from outcomes import contents
from synthset.classifiers.export import checking, export_model, onnx
from synthset.classifiers.export.checking import check_equal
from synthset.core.errors import DataError, ModelError, UsageError
from synthset.dataset.export import export_imagefolder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Files of bars, a classifier of each kind that was trained on them."""
    home = tmp_path_factory.mktemp("home")
    export_imagefolder(make_set(), home / "given")
    small = replace(CONFIG, epochs=6, augmentation="none", normalisation="per_image", small_images=False)
    synthset.train(home / "given", home / "small", small)
    plain = replace(CONFIG, epochs=1, normalisation="dataset", image_size_px=32, small_images=False)
    synthset.train(home / "given", home / "plain", replace(plain, architecture="test_resnet"))
    (home / "given").rename(home / "files")
    return home


@pytest.fixture(scope="module")
def exported(home):
    return export_model(home / "small", home / "onnx", int8=True, trained_on=home / "files")


def test_rows_compare_size_accuracy_and_speed(exported):
    rows = {row.form: row for row in exported.rows}
    assert list(rows) == ["PyTorch", "model.onnx", "model-int8.onnx"]
    assert exported.num_images == 15  # a quarter of sixty
    assert rows["model.onnx"].agreement == 1
    assert abs(rows["model-int8.onnx"].accuracy - rows["PyTorch"].accuracy) <= 0.1
    assert rows["model-int8.onnx"].num_bytes < 0.5 * rows["model.onnx"].num_bytes
    assert all(row.images_per_second > 0 for row in exported.rows)


def test_a_batch_of_any_size_gives_the_logits_of_the_classifier(exported, home):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported.folder / "model.onnx"))
    classifier = synthset.load_classifier(home / "small", "cpu")
    for count in (1, 7):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), np.uint8)
        logits, probabilities = session.run(["logits", "probabilities"], {"images": pixels})
        expected = classifier.predict(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
        np.testing.assert_allclose(logits, expected.numpy(), rtol=0, atol=1e-4)
        np.testing.assert_allclose(probabilities, expected.softmax(1).numpy(), rtol=0, atol=1e-5)
    notes = session.get_modelmeta().custom_metadata_map
    assert json.loads(notes["class_names"]) == list(classifier.class_names)


def test_the_script_needs_no_synthset(exported, home):
    images, classifier = make_set(), synthset.load_classifier(home / "small", "cpu")
    photo = home / "photo.png"
    photo.write_bytes(images.read(25))
    blocked = "import runpy, sys; sys.modules.update(synthset=None, torch=None); del sys.argv[0]; "
    blocked += "runpy.run_path(sys.argv[0])"
    words = [sys.executable, "-c", blocked, str(exported.folder / "predict.py")]
    ended = subprocess.run(
        [*words, str(exported.folder / "model.onnx"), str(photo)], capture_output=True, text=True, check=True
    )
    name, probability = ended.stdout.split()[-2:]
    expected = classifier.predict_images(photo)
    assert name == expected.names[0]
    assert float(probability) == pytest.approx(expected.confidences[0], abs=2e-3)


def test_the_card_says_what_there_is(exported):
    card = (exported.folder / "README.md").read_text()
    assert card.startswith("---\ntags:")
    for words in ("left, right, top", "model-int8.onnx", "45 synthetic images", "`epochs`: 6", "## Limits", "Licence"):
        assert words in card


def test_timm_loads_weights_config_and_names(home, tmp_path):
    result = export_model(home / "plain", tmp_path / "timm", format="timm", trained_on=home / "files")
    model = timm.create_model(f"local-dir:{result.folder}", pretrained=True).eval()
    classifier = synthset.load_classifier(home / "plain", "cpu")
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(model.pretrained_cfg[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        logits = model((pixels / 255 - mean) / std)
    torch.testing.assert_close(logits, classifier.predict(pixels), rtol=0, atol=1e-5)
    assert model.pretrained_cfg["label_names"] == list(classifier.class_names)


def test_a_form_that_predicts_otherwise_is_refused_and_nothing_stays(home, tmp_path, monkeypatch):
    class Darker(onnx.FromPixels):
        def forward(self, images):
            return super().forward(images // 2)

    monkeypatch.setattr(onnx, "FromPixels", Darker)
    with pytest.raises(ModelError, match=r"the logits of the classifier from model\.onnx, got others by up to"):
        export_model(home / "small", tmp_path / "onnx", trained_on=home / "files")
    assert list(tmp_path.iterdir()) == []


def test_rounding_passes_and_nan_does_not():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    check_equal(logits * (1 + 1e-6), logits, "it")
    with pytest.raises(ModelError):
        check_equal(np.full_like(logits, np.nan), logits, "it")


def test_images_are_those_of_the_training(home, tmp_path):
    images = checking.open_check_images(home / "small", home / "files")
    assert (len(images.trained_on), len(images.held_back)) == (45, 15)
    export_imagefolder(make_set(seed=1), tmp_path / "others")
    with pytest.raises(DataError, match="Expected the images that the model was trained on, got others"):
        checking.open_check_images(home / "small", tmp_path / "others")


def test_an_export_is_replaced_when_asked_alone(exported, home):
    before = contents(exported.folder)
    with pytest.raises(UsageError, match="already holds an export"):
        export_model(home / "small", exported.folder, trained_on=home / "files")
    (exported.folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"'notes\.txt', which would be lost"):
        export_model(home / "small", exported.folder, trained_on=home / "files", overwrite=True)
    (exported.folder / "notes.txt").unlink()
    assert contents(exported.folder) == before


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["small", "--format", "imagefolder"], "onnx or timm", 2),
        (["small", "--format", "onn"], "onnx", 2),
        (["small", "--format", "timm", "--int8"], "--int8 with --format onnx", 2),
        (["small", "--format", "timm"], "Expected an architecture of timm, got 'small_cnn'", 2),
        (["small"], "--trained-on", 1),
        (["files", "--format", "onnx"], "Expected a trained model in", 2),
        (["files", "--int8"], "Expected a trained model in", 2),
    ],
)
def test_what_cannot_be_is_one_line(words, message, code, home, own_folder, run):
    name, *rest = words
    images = ["--trained-on", home / "files"] if code == 2 and name == "small" else []
    got, out, err = run("export", home / name, *rest, *images, "--output-dir", "out")
    assert (got, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1
    assert not Path("out").exists()
