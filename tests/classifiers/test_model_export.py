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
from odd_pictures import ODD_PICTURES
from outcomes import contents
from small_datasets import make, reject_first
from synthset.classifiers.export import checking, export_model, onnx
from synthset.classifiers.export.checking import check_equal
from synthset.classifiers.learned_from import DataPath
from synthset.cli.model_tables import print_export
from synthset.core.errors import DataError, ModelError, UsageError
from synthset.core.files import write_json
from synthset.core.json_records import as_record
from synthset.dataset.export import export_imagefolder
from synthset.images.opening import ImagePath, Opening
from synthset.testing import FakeGenerator


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


def test_with_nothing_held_back_it_is_compared_on_what_was_learned_from_and_says_so(tmp_path, capsys):
    config = replace(CONFIG, epochs=1, validation_fraction=0, normalisation="per_image", small_images=False)
    synthset.train(make_set((4, 4, 4)), tmp_path / "model", config)
    export = export_model(tmp_path / "model", tmp_path / "onnx", trained_on=make_set((4, 4, 4)))
    assert (export.num_images, export.is_held_back) == (12, False)
    card = (tmp_path / "onnx" / "README.md").read_text()
    assert "On 12 synthetic images that were trained on, as none was held back: the accuracy says little;" in card
    assert "12 synthetic images of 'bars', none held back: epoch 1, the last, was kept" in card
    print_export(export)
    assert "12 synthetic images that were learned from, as none was held back." in capsys.readouterr().out


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


@pytest.mark.parametrize("kind", ODD_PICTURES)
def test_the_script_opens_images_as_predict_does(kind, exported, home, tmp_path):
    path = ODD_PICTURES[kind](make_set().image(25), tmp_path)
    expected = synthset.load_classifier(home / "small", "cpu").predict_images(path)
    words = [sys.executable, str(exported.folder / "predict.py"), str(exported.folder / "model.onnx"), str(path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    name, probability = ended.stdout.split()[-2:]
    assert name == expected.names[0]
    assert float(probability) == pytest.approx(expected.confidences[0], abs=2e-3)


def test_the_script_opens_nothing_that_predict_does_not(exported, tmp_path):
    make_set().image(25).convert("F").save(tmp_path / "deep.tiff")
    words = [sys.executable, str(exported.folder / "predict.py"), str(exported.folder / "model.onnx")]
    ended = subprocess.run([*words, str(tmp_path / "deep.tiff")], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "cannot identify image file" in ended.stderr


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


@pytest.mark.parametrize("package", onnx.PACKAGES)
def test_a_package_that_is_not_installed_is_named_and_nothing_is_written(home, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"'{package}' is not installed\. Run: pip install 'synthset\[onnx\]'"):
        export_model(home / "small", tmp_path / "out", trained_on=home / "files")
    assert contents(tmp_path) == {}


def test_rounding_passes_and_nan_does_not():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    check_equal(logits * (1 + 1e-6), logits, "it")
    with pytest.raises(ModelError):
        check_equal(np.full_like(logits, np.nan), logits, "it")


def test_images_are_those_of_the_training(home, tmp_path):
    with checking.checked_on(home / "small", home / "files") as images:
        assert (len(images.trained_on), len(images.held_back)) == (45, 15)
    export_imagefolder(make_set(seed=1), tmp_path / "others")
    with (
        pytest.raises(DataError, match="Expected the images that the model was trained on, got others"),
        checking.checked_on(home / "small", tmp_path / "others"),
    ):
        pass


@pytest.fixture
def learner(tmp_path, monkeypatch):
    """A folder of someone who trained on `bars/train`, named from there, and the model's notes."""
    monkeypatch.chdir(tmp_path)
    export_imagefolder(make_set(), Path("bars", "train"))
    export_imagefolder(make_set(seed=1), Path("bars", "test"))
    source = ImagePath("bars", Opening(split="train"))
    result = synthset.train(source, "model", CONFIG, epochs=1)
    assert not result.was_finished
    return result.folder / "training.json"


def test_a_training_knows_its_images_from_any_folder(learner, tmp_path, monkeypatch):
    known = json.loads(learner.read_text())["data"]
    assert (known["path"], known["opening"]["split"]) == (str(tmp_path / "bars"), "train")
    assert (known["strategies"], known["all_images"]) == ([], False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with checking.checked_on(tmp_path / "model", None) as images:
        assert len(images.held_back) == 15


def test_images_that_moved_are_asked_for_and_the_training_goes_on(learner, tmp_path):
    Path("bars").rename("moved")
    with pytest.raises(DataError) as caught, checking.checked_on(learner.parent, None):
        pass
    assert str(caught.value) == (
        f"Expected the images that 'model' was trained on at '{tmp_path / 'bars'}', to compare the export on, found "
        "nothing there. Say where they are now by trained_on."
    )
    with checking.checked_on(learner.parent, "moved") as images:  # opened as it was opened then
        assert len(images.held_back) == 15
    source = ImagePath("moved", Opening(split="train"))
    assert synthset.train(source, "model", CONFIG, epochs=1).was_finished


def test_a_training_that_does_not_say_where_its_images_are(learner):
    note = json.loads(learner.read_text())
    del note["data"]  # as by an earlier version
    write_json(learner, note)
    with (
        pytest.raises(DataError, match=r"its training does not say where they are\. Say it by trained_on\."),
        checking.checked_on(learner.parent, None),
    ):
        pass
    with checking.checked_on(learner.parent, ImagePath("bars", Opening(split="train"))) as images:
        assert len(images.held_back) == 15
    assert synthset.train(make_set(), "in-memory", CONFIG, epochs=1).folder.is_dir()
    assert json.loads(Path("in-memory", "training.json").read_text())["data"] is None


def test_of_a_dataset_the_strategy_of_the_training_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawing = {"strategies": ["base", "class_prompt"], "images_per_class": 3, "steps": 1, "resize_px": 8}
    synthset.create(["one", "two"], "digits-synthetic", **drawing)
    synthset.train("digits-synthetic", "model", CONFIG, epochs=1, strategy="class_prompt", all_images=True)
    known = json.loads(Path("model", "training.json").read_text())["data"]
    assert (known["strategies"], known["all_images"]) == (["class_prompt"], True)
    for given in (None, "digits-synthetic"):
        with checking.checked_on(Path("model"), given) as images:
            assert len(images.trained_on) + len(images.held_back) == 6
    with (
        pytest.raises(DataError, match="got others in"),
        checking.checked_on(Path("model"), "digits-synthetic", "base"),
    ):
        pass


def test_of_a_dataset_several_strategies_are_taken_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    strategies = ["base", "class_prompt", "multi_domain"]
    drawing = {"strategies": strategies, "images_per_class": 3, "generator": FakeGenerator()}
    synthset.create(["one", "two"], "pets", **drawing)
    synthset.train("pets", "model", CONFIG, epochs=1, strategy=strategies[:2])
    note = json.loads(Path("model", "training.json").read_text())
    assert note["data"]["strategies"] == strategies[:2]
    with checking.checked_on(Path("model"), None) as images:
        both = [*images.trained_on.groups, *images.held_back.groups]
    assert sorted(both) == sorted(strategies[:2] * 6)
    note["data"] = {"path": note["data"]["path"], "strategy": "base"}  # as an earlier version had one
    assert as_record(DataPath, note["data"], "a test", "").strategies == ("base",)
    write_json(Path("model", "training.json"), note)
    with pytest.raises(DataError, match="got others in"), checking.checked_on(Path("model"), None):
        pass
    with checking.checked_on(Path("model"), None, strategies[:2]) as images:
        assert len(images.trained_on) + len(images.held_back) == 12


def test_what_the_training_left_out_is_not_told_again(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    make("pets", ("one", "two"))
    reject_first(Path("pets"))
    synthset.train("pets", "model", CONFIG, epochs=1)
    assert "1 of 20 images are left out: 1 by filters (clip). Give all_images=True for all." in caplog.messages
    caplog.clear()
    with checking.checked_on(Path("model"), None) as images:
        assert len(images.trained_on) + len(images.held_back) == 19
    assert not caplog.messages


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
    ("options", "got", "remedies"),
    [
        ({"normalisation": "per_image"}, "each image normalised by itself", "--normalisation dataset"),
        (
            {"architecture": "test_vit", "image_size_px": 32, "conv_stem": True},
            "a stem of convolutions",
            "--no-conv-stem",
        ),
        (
            {"small_images": True, "normalisation": "per_image"},
            "a finer stem and each image normalised by itself",
            "--no-small-images and --normalisation dataset",
        ),
    ],
)
def test_what_timm_cannot_say_is_refused_with_how_to_train(tmp_path, run, options, got, remedies):
    export_imagefolder(make_set((4, 4, 4)), tmp_path / "files")
    usual = {"architecture": "test_resnet", "small_images": False, "normalisation": "dataset", "epochs": 1}
    config = replace(CONFIG, **usual | options)
    synthset.train(tmp_path / "files", tmp_path / "model", config)
    code, out, err = run("export", tmp_path / "model", "--format", "timm", "--output-dir", tmp_path / "timm")
    assert (code, out) == (2, "")
    assert f"got {got}. Give --format onnx, which holds any classifier. Or train with {remedies}." in err
    assert not (tmp_path / "timm").exists()


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["small", "--format", "imagefolder"], "onnx or timm", 2),
        (["small", "--format", "onn"], "Did you mean 'onnx'?", 2),
        (["small", "--format", "timm", "--int8"], "--int8 with --format onnx", 2),
        (["small", "--format", "timm"], "Expected an architecture of timm, got 'small_cnn'", 2),
        (["small"], "found nothing there. Say where they are now by --trained-on", 1),
        (["small", "--strategy", "base", "--split", "x"], "Expected --trained-on with --strategy and --split.", 2),
        (["small", "--format", "zip"], "Unknown format 'zip'", 2),
        (["files", "--format", "zip"], "Unknown format 'zip'", 2),
        (["files", "--format", "onnx"], "Expected a trained model in", 2),
        (["files", "--int8"], "for --int8, found none", 2),
    ],
)
def test_what_cannot_be_is_one_line(words, message, code, home, own_folder, run):
    name, *rest = words
    images = ["--trained-on", home / "files"] if code == 2 and name == "small" and "base" not in rest else []
    got, out, err = run("export", home / name, *rest, *images, "--output-dir", "out")
    assert (got, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1
    assert not Path("out").exists()
