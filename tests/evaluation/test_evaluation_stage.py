"""Evaluation by path: a classifier, a tuned CLIP, a CLIP as it came; by the command line and in Python."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from bars import NAMES, make_set
from image_files import make_folder
from synthset.core.errors import DataError, ModelError, UsageError
from synthset.encoders.templates import TEMPLATES
from synthset.evaluation.stage import evaluate, open_real
from synthset.real import known_sets, load_real
from tiny_clip import save_clip

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def images():
    """Thirty images of bars."""
    return make_set((10, 10, 10))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Four images of each digit, as an image folder."""
    folder, real = tmp_path_factory.mktemp("digits"), load_real("digits")
    for label, name in enumerate(real.class_names):
        (folder / name).mkdir()
        for i in np.flatnonzero(real.labels == label)[:4]:
            real.image(int(i)).save(folder / name / f"{i}.png")
    return folder


# ---- folders ----------------------------------------------------------------------------------------------


def test_a_classifier_and_its_architecture(finished, images):
    result = evaluate(finished.folder, images, architecture="Small-CNN")
    assert (result.n, result.class_names) == (30, images.class_names)
    assert not Path("evaluation").exists()
    assert evaluate(finished.folder, images, "evaluation") == result
    assert json.loads(Path("evaluation/bars.json").read_text())["correct"] == result.correct
    with pytest.raises(UsageError, match=r"Expected a resnet50 in '.*', found a small_cnn"):
        evaluate(finished.folder, images, architecture="resnet50")
    with pytest.raises(UsageError, match="which takes none"):
        evaluate(finished.folder, images, templates=["a {class}"])


@pytest.mark.parametrize("config", [None, "{", '{"format": "synthset-classifier-1", "kind": "clip"}'])
def test_a_folder_without_a_model_says_so(tmp_path, images, config):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(ModelError, match=r"found none|does not read"):
        evaluate(tmp_path, images)


def test_real_images_of_other_classes_are_refused_before_a_training():
    assert len(open_real("digits", load_real("digits").class_names[::-1])) == 1797
    with pytest.raises(UsageError, match="missing: left, right, top"):
        open_real("digits", ("left", "right", "top"))
    with pytest.raises(DataError, match="found nothing"):
        open_real("./nothing", ("left", "right", "top"))


def test_what_images_are_is_said(run, finished, caplog):
    from small_datasets import make

    make("made", NAMES)
    assert run("export", "made", "--output-dir", "files")[0] == 0
    make_folder(Path("photos"), NAMES)
    for place, kind, n in (("made", "synthetic", 30), ("files", "exported", 30), ("photos", "real", 6)):
        caplog.clear()
        code, out, _ = run("eval", finished.folder, "--real", place, "--output-dir", "e")
        assert code == 0
        assert f" on {n} {kind} images of {place}" in out
        assert (f"'{place}' holds {kind} images where real ones are expected" in caplog.text) is (kind != "real")
        assert json.loads(Path(f"e/{place}.json").read_text())["kind"] == kind


def test_a_tuned_clip_knows_what_it_learned_from(run, refuse, caplog):
    line = ("create", "--dataset", "digits", "--images-per-class", 4, "--steps", 1, "--output-dir", "made")
    assert run(*line)[0] == 0
    assert run("tune", "made", "--clip", "miniature", "--epochs", 1, "--output-dir", "tuned")[0] == 0
    assert "did not learn from, got all of the 40" in refuse("eval", "tuned", "--real", "made")
    code, out, _ = run("eval", "tuned", "--real", "made", "--allow-training-images")
    assert code == 0
    assert "on 40 synthetic images of made" in out
    assert "'tuned' learned from all of the images of 'made'" in caplog.text


def test_names_with_slashes_and_dots_pass_from_drawing_to_real_folders(run):
    from small_datasets import make

    names = ("AC/DC", ".NET", "Speed limit (20km/h)", "a\\b")
    make("made", names)
    assert run("train", "made", "--model", "small_cnn", "--epochs", 1, "--output-dir", "m")[0] == 0
    assert run("export", "made", "--output-dir", "files")[0] == 0
    assert load_real("./files").class_names == names
    make_folder(Path("real"), ("AC_DC", "NET", "Speed limit (20km-h)", "a b"), n=3)
    for place in ("real", "files"):
        code, out, _ = run("eval", "m", "--real", place, "--allow-training-images", "--output-dir", "e")
        assert code == 0
        assert all(name in out for name in names)
        assert tuple(json.loads(Path(f"e/{place}.json").read_text())["class_names"]) == names
    assert {path.name for path in Path().iterdir()} == {"made", "m", "files", "real", "e"}


def test_the_split_is_test_or_else_validation_and_it_is_said(run, finished):
    make_folder(Path("photos") / "Train", NAMES)
    make_folder(Path("photos") / "val", NAMES, n=3)
    line = ("eval", finished.folder, "--real", "photos", "--output-dir", "e")
    assert " on 9 real images of photos, split val (95 %" in run(*line)[1]
    make_folder(Path("photos") / "Testing", NAMES, n=4)
    assert " on 12 real images of photos, split Testing (95 %" in run(*line)[1]
    assert " on 6 real images of photos, split Train (95 %" in run(*line, "--split", "train")[1]


# ---- a CLIP as it came ------------------------------------------------------------------------------------


def test_eval_of_the_miniature(run, digits):
    line = ("eval", "clip:miniature", "--dataset", "digits", "--real", digits)
    code, out, err = run(*line)
    assert (code, err) == (0, "")
    assert "on 40 real images" in out
    assert "details  clip-miniature-evaluation" in out
    (saved,) = Path("clip-miniature-evaluation").glob("*.json")
    (picture,) = Path("clip-miniature-evaluation").glob("*-confusion.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    result = json.loads(saved.read_text())
    assert result["templates"] == list(TEMPLATES["digits"])
    assert result["encoder"]["name"] == "miniature"
    assert result["n"] == 40
    assert result["accuracy"] > 0.2  # chance is 0.1
    assert run(*line) == (code, out, err)  # from the cache, and over the first result

    code, _, _ = run(*line, "--template", "a photo of a {class}.", "imagenet7", "--output-dir", "e")
    (saved,) = Path("e").glob("*.json")
    assert code == 0
    assert json.loads(saved.read_text())["templates"] == ["a photo of a {class}.", *TEMPLATES["imagenet7"]]


def test_a_folder_of_unknown_classes_is_read_with_the_default(run, images):
    for i, label in enumerate(images.labels):
        place = Path("set") / images.class_names[label]
        place.mkdir(parents=True, exist_ok=True)
        images.image(i).save(place / f"{i}.png")
    assert run("eval", "clip:miniature", "--real", "set", "--output-dir", "e")[0] == 0
    (saved,) = Path("e").glob("*.json")
    assert json.loads(saved.read_text())["templates"] == ["a photo of a {class}."]


def test_the_metric_is_that_of_the_named_set():
    few = load_real("digits").select(range(20))
    assert evaluate("clip:miniature", dataclasses.replace(few, metric="mean_per_class")).metric == "mean_per_class"
    other = dataclasses.replace(few, metric="mean_per_class")
    assert evaluate("clip:miniature", other, dataset="digits").metric == known_sets()["digits"].metric == "accuracy"


def test_a_resnet_with_batch_norm_goes_the_same_way(run, digits):
    save_clip(Path("resnet"))
    assert run("eval", "clip:./resnet", "--real", digits)[0] == 0
    (saved,) = Path("clip-resnet-evaluation").glob("*.json")
    assert json.loads(saved.read_text())["n"] == 40


def test_evaluate_in_python(images):
    result = evaluate("clip:miniature", images, templates=["{class}."])
    assert result.n == 30
    assert not Path("clip-miniature-evaluation").exists()
    with pytest.raises(UsageError, match="missing: airplane"):
        evaluate("clip:miniature", images, dataset="cifar10")


def test_lines_that_cannot_be_meant(refuse, digits):
    line = ("eval", "clip:miniature", "--real", digits)
    assert "Unknown encoder 'RN51'" in refuse("eval", "clip:RN51", "--real", digits)
    assert "after 'clip:'" in refuse("eval", "clip:", "--real", digits)
    assert "Did you mean 'eurosat'" in refuse(*line, "--templates", "eurosatt")
    assert "a sentence with {class}" in refuse(*line, "--template", "a photo of a thing.")
    assert "Unknown real set 'cifar11'" in refuse("eval", "clip:miniature", "--real", "cifar11")
    assert "found nothing" in refuse("eval", "clip:miniature", "--real", "./nothing", code=1)
    assert "missing: airplane" in refuse(*line, "--dataset", "cifar10")
    assert "Expected no architecture" in refuse(*line, "--model", "resnet50")
    assert "Expected 'clip:'" in refuse("eval", "m", "--real", digits, "--templates", "eurosat")
    assert "Expected real images" in refuse("eval", "clip:miniature")


def test_weights_that_are_not_at_hand(refuse, digits):
    assert "HF_HUB_OFFLINE" in refuse("eval", "clip:RN50", "--real", digits, code=1)
