"""Zero-shot CLIP: against numpy, by the command line, and with what cannot be meant."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from synthset.cli import main
from synthset.core import progress
from synthset.core.errors import DataError, UsageError
from synthset.encoders.templates import TEMPLATES
from synthset.evaluation.stage import evaluate
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.real import known_sets, load_real
from synthset.testing import FakeEncoder
from synthset.tuning.zero_shot import zero_shot, zero_shot_logits
from tiny_clip import save_clip

NAMES = ("cat", "tree_frog", "dog")
SENTENCES = ("a photo of a {class}.", "{} texture.")


@pytest.fixture
def images():
    """30 images of noise; two of its classes stand in another order and spelling."""
    rng = np.random.default_rng(0)
    files = [encode(rng.integers(0, 256, (4, 4, 3), np.uint8)) for _ in range(30)]
    names = ("Tree Frog", "dog", "cat")
    return ImageSet("noise", names, rng.integers(0, 3, 30), files.__getitem__, metric="mean_per_class")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(progress, "_enabled", False)
    level = logging.getLogger("synthset").level
    yield
    logging.getLogger("synthset").setLevel(level)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Four images of each digit, as an image folder."""
    folder, real = tmp_path_factory.mktemp("digits"), load_real("digits")
    for label, name in enumerate(real.class_names):
        (folder / name).mkdir()
        for i in np.flatnonzero(real.labels == label)[:4]:
            real.image(int(i)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def run(capsys):
    def run_line(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run_line


@pytest.fixture
def refuse(run):
    """Run a line that must fail: one line on stderr, nothing written."""

    def refuse_line(*words, code=2):
        before = sorted(Path().rglob("*"))
        got, out, err = run(*words)
        assert (got, out) == (code, ""), err
        assert sorted(Path().rglob("*")) == before
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return refuse_line


# ---- the result -------------------------------------------------------------------------------------------


def test_is_the_nearest_class_of_the_mean_sentence(images):
    encoder = FakeEncoder()
    result = zero_shot(encoder, NAMES, SENTENCES, images)

    # again, in float64 and one image at a time
    def vector(rows):
        return rows.double().numpy()[0]

    classes = []
    for name in ("cat", "tree frog", "dog"):
        mean = sum(vector(encoder.texts([text])) for text in (f"a photo of a {name}.", f"{name} texture."))
        classes.append(mean / np.linalg.norm(mean))
    confusion = np.zeros((3, 3), int)
    for i, label in enumerate(images.labels):
        cosines = [vector(encoder.images([images.image(i)])) @ row for row in classes]
        confusion[{0: 1, 1: 2, 2: 0}[int(label)], int(np.argmax(cosines))] += 1
    assert result.confusion == tuple(map(tuple, confusion.tolist()))
    assert result.class_names == NAMES
    assert (result.real, result.n, result.metric) == ("noise", 30, "mean_per_class")
    assert 0 < result.accuracy < 1  # else the comparison says nothing


def test_logits_are_scaled_cosines():
    rng = np.random.default_rng(0)
    vectors, classes = rng.normal(size=(5, 4)), rng.normal(size=(3, 4))
    got = zero_shot_logits(torch.from_numpy(vectors), torch.from_numpy(classes), 100.0)
    np.testing.assert_allclose(got.numpy(), 100 * np.einsum("nd,kd->nk", vectors, classes))


def test_blocks_change_nothing(images, monkeypatch):
    whole = zero_shot(FakeEncoder(), NAMES, SENTENCES, images)
    monkeypatch.setattr("synthset.tuning.zero_shot.BLOCK", 7)
    assert zero_shot(FakeEncoder(), NAMES, SENTENCES, images) == whole


def test_templates_and_encoders_matter(images):
    encoder = FakeEncoder()
    results = {zero_shot(encoder, NAMES, [text], images).confusion for text in ("{class}", "no {class}", "a {class}?")}
    assert len(results) > 1
    assert zero_shot(FakeEncoder(name="other"), NAMES, ["{class}"], images) != zero_shot(
        encoder, NAMES, ["{class}"], images
    )


def test_what_cannot_be_tested(images):
    encoder = FakeEncoder()
    with pytest.raises(UsageError, match="missing: wolf; extra: dog"):
        zero_shot(encoder, ("cat", "tree frog", "wolf"), SENTENCES, images)
    with pytest.raises(UsageError, match="two classes"):
        zero_shot(encoder, ("cat",), SENTENCES, images)
    with pytest.raises(UsageError, match=r"Expected \{class\}"):
        zero_shot(encoder, NAMES, ["a photo"], images)
    with pytest.raises(DataError, match="found none"):
        zero_shot(encoder, NAMES, SENTENCES, images.select([]))
    assert encoder.batches == []  # all of it before the work


# ---- templates --------------------------------------------------------------------------------------------


def test_templates_of_imagenet_are_those_of_open_clip():
    from open_clip import IMAGENET_CLASSNAMES
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    name = IMAGENET_CLASSNAMES[0]
    filled = [sentence.replace("{class}", name) for sentence in TEMPLATES["imagenet80"]]
    assert filled == [template(name) for template in OPENAI_IMAGENET_TEMPLATES]
    assert TEMPLATES["imagenet"] == TEMPLATES["imagenet80"]
    assert len(set(TEMPLATES["imagenet80"])) == 80
    assert len(set(TEMPLATES["imagenet7"])) == 7
    assert set(TEMPLATES["imagenet7"]) < set(TEMPLATES["imagenet80"])
    assert TEMPLATES[known_sets()["imagenet-r"].templates] == TEMPLATES["imagenet80"]


def test_templates_are_a_mapping():
    assert {"default", "eurosat", "imagenet80"} < set(TEMPLATES)
    assert len(dict(TEMPLATES)) == len(TEMPLATES)
    assert "nothing" not in TEMPLATES
    assert TEMPLATES.get("nothing") is None


# ---- by the command line ----------------------------------------------------------------------------------


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
