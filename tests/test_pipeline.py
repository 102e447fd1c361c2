"""All stages through the Python interface, on a generator of noise: what one stage writes, the next reads."""

import json

import numpy as np
import pytest

import synthset
from outcomes import contents
from synthset.core.errors import UsageError
from synthset.testing import FakeGenerator

CLASSES = ("cat", "sea_lake")
RECIPE = {"architecture": "small_cnn", "epochs": 2, "batch_size": 8, "image_size_px": 8, "learning_rate": 1e-3}


def run_all(folder, real):
    """Every stage once, into `folder`; gives the evaluation."""
    strategies = ["base", "multi_domain"]
    synthset.create(CLASSES, folder / "data", strategies=strategies, images_per_class=10, generator=FakeGenerator())
    synthset.train(folder / "data", folder / "model", **RECIPE)
    result = synthset.evaluate(folder / "model", real, folder / "model" / "evaluation")
    synthset.export(folder / "data", folder / "files", overwrite=True)
    return result


@pytest.fixture
def real(tmp_path):
    """Other noise of the same classes, and the same with its labels exchanged."""
    made = synthset.create(CLASSES, tmp_path / "real", images_per_class=6, seed=1, generator=FakeGenerator())
    images = made.dataset.images()
    return images, synthset.ImageSet("real", images.class_names, 1 - images.labels, images.read)


def test_every_stage_reads_what_the_one_before_wrote(tmp_path, real):
    result = run_all(tmp_path / "out", real[0])
    assert (result.n, result.class_names) == (12, CLASSES)
    assert 0 <= result.low <= result.accuracy <= result.high <= 1
    assert np.sum(result.confusion) == 12
    exported = synthset.load_real(tmp_path / "out" / "files")
    assert (exported.class_names, len(exported)) == (CLASSES, 40)
    with pytest.raises(UsageError, match="did not learn from, got all of the 40"):
        synthset.evaluate(tmp_path / "out" / "model", exported)
    again = synthset.evaluate(tmp_path / "out" / "model", exported, allow_training_images=True)
    assert again.n == 40


def test_no_choice_depends_on_real_labels(tmp_path, real):
    straight = run_all(tmp_path / "straight", real[0])
    exchanged = run_all(tmp_path / "exchanged", real[1])
    assert straight.correct + exchanged.correct == 12  # the test saw the exchange …
    weights = [contents(tmp_path / name / "model")["model.safetensors"] for name in ("straight", "exchanged")]
    assert weights[0] == weights[1]  # … and the checkpoint did not


def test_running_all_again_changes_nothing(tmp_path, real):
    run_all(tmp_path / "out", real[0])
    before = contents(tmp_path / "out")
    run_all(tmp_path / "out", real[0])
    after = contents(tmp_path / "out")
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= {"data/manifest.json"}
    manifests = [json.loads(files["data/manifest.json"]) for files in (before, after)]
    assert all(manifest.pop("seconds") >= 0 for manifest in manifests)
    assert manifests[0] == manifests[1]


def test_the_order_of_drawing_leaves_the_classifier_alone(tmp_path, real):
    run_all(tmp_path / "a", real[0])
    generator = FakeGenerator(preferred_batch_size=3)
    strategies = ["base", "multi_domain"]
    synthset.create(CLASSES, tmp_path / "b", strategies=strategies, images_per_class=10, generator=generator)
    synthset.train(tmp_path / "b", tmp_path / "model", **RECIPE)
    assert contents(tmp_path / "model")["model.safetensors"] == contents(tmp_path / "a" / "model")["model.safetensors"]
