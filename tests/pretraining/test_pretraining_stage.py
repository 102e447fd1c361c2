"""Pre-training as a whole: what is saved, resumed bitwise, refused, shared by processes; and what begins with it."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits

import bars
from synthset.classifiers import launch
from synthset.classifiers.distributed import World
from synthset.classifiers.learned_from import check_unseen
from synthset.classifiers.train import train_classifier
from synthset.core.errors import ConfigChangedError, DataError, UsageError
from synthset.dataset.opening import open_images
from synthset.pretraining import loop, stage
from synthset.pretraining.config import PretrainConfig
from synthset.pretraining.session import Session
from synthset.pretraining.settings import settle
from synthset.pretraining.start import find_weights, new_backbone
from synthset.pretraining.streaming import Batch

COMMON = {"architecture": "small_cnn", "epochs": 2, "batch_size": 16, "device": "cpu", "workers": 1}
# every source of randomness is on
METHODS: dict[str, dict[str, Any]] = {
    "moco": COMMON | {"method": "moco", "queue_size": 48, "norm_groups": 2, "projection_dimension": 8},
    "supervised": COMMON
    | {"method": "supervised", "mixup": 0.2, "cutmix": 1.0, "label_smoothing": 0.1, "randaugment": 9},
}
# rounding is all that is between one process and two: slow steps, in which it does not grow
GENTLE: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-3, "warmup_epochs": 0}
FILES = ["config.json", "metrics.csv", "model.safetensors", "training.json"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Eighty digits of five classes, 16 px, in an image folder."""
    folder = tmp_path_factory.mktemp("digits") / "digits"
    found: Any = load_digits()
    for index in np.flatnonzero(found.target < 5)[:80].tolist():
        file = folder / str(found.target[index]) / f"{index:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((found.images[index] * 15.9).astype(np.uint8)).resize((16, 16)).save(file)
    return folder


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    """An uninterrupted pre-training by each method."""
    folder = tmp_path_factory.mktemp("whole")
    return {name: stage.pretrain(digits, folder / name, **options) for name, options in METHODS.items()}


def assert_same(result, expected, tolerance=0.0):
    losses = [[epoch.train_loss for epoch in one.history] for one in (result, expected)]
    assert losses[0] == pytest.approx(losses[1], abs=tolerance, rel=0)
    weights, others = (load_file(one.folder / "model.safetensors") for one in (result, expected))
    assert list(weights) == list(others)
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], atol=tolerance, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_backbone_is_saved_with_its_history_and_what_it_learned_from(digits, whole, method):
    result = whole[method]
    assert sorted(path.name for path in result.folder.iterdir()) == FILES
    backbone = result.backbone
    assert (backbone.architecture, backbone.method, backbone.num_features) == ("small_cnn", method, 128)
    assert (backbone.num_images, backbone.image_size_px) == (80, 16)
    assert not {name for name in load_file(result.folder / "model.safetensors") if "head" in name or "queue" in name}
    rows = (result.folder / "metrics.csv").read_text().splitlines()
    assert rows[0] == "epoch,train_loss,learning_rate,seconds"
    assert [float(row.split(",")[1]) for row in rows[1:]] == [epoch.train_loss for epoch in result.history]
    again = stage.pretrain(digits, result.folder, **METHODS[method])
    assert again.was_finished
    assert again.history == result.history
    with pytest.raises(UsageError, match="got all of the 80 in"):
        check_unseen(result.folder, open_images(digits))
    check_unseen(result.folder, bars.make_set())


def test_killed_in_the_middle_of_a_pass_it_goes_on_bitwise(digits, whole, tmp_path):
    script = (
        "import json, os, signal, sys; from synthset.pretraining import session, stage\n"
        "save, due = session.Session.save, property(lambda self: self.step == 7)\n"  # of the second pass, the third
        "def killed(self):\n"
        "    save(self); os.kill(os.getpid(), signal.SIGKILL)\n"
        "session.Session.save, session.Session.is_due = killed, due\n"
        "stage.pretrain(sys.argv[1], sys.argv[2], **json.loads(sys.argv[3]))"
    )
    command = [sys.executable, "-c", script, str(digits), str(tmp_path / "out"), json.dumps(METHODS["moco"])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(command, env=env).returncode == -signal.SIGKILL
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metrics.csv", "resume.safetensors"]
    check_refusal_of_another_job(digits, tmp_path / "out", "moco")
    result = stage.pretrain(digits, tmp_path / "out", **METHODS["moco"])
    assert_same(result, whole["moco"])
    assert sorted(path.name for path in result.folder.iterdir()) == FILES


@pytest.mark.parametrize("method", METHODS)
def test_interrupted_after_any_step_it_goes_on_bitwise(digits, whole, tmp_path, monkeypatch, method):
    """With the queue, the optimiser and the losses of the pass so far."""
    seen, save = [], Session.save

    def stop(session):
        save(session)
        seen.append(session)
        raise InterruptedError

    for step in (2, 5):
        with monkeypatch.context() as patch:
            patch.setattr(Session, "save", stop)
            patch.setattr(Session, "is_due", property(lambda self, at=step: self.step == at))
            with pytest.raises(InterruptedError):
                stage.pretrain(digits, tmp_path / "out", **METHODS[method])
    result = stage.pretrain(digits, tmp_path / "out", **METHODS[method])
    assert_same(result, whole[method])
    if method == "moco":
        assert [int(session.network.pointer) for session in seen] == [32, 32]  # of 48: 2 × 16, and 5 × 16 - 48


def check_refusal_of_another_job(data, folder, method):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConfigChangedError, match="seed: 0 there, 1 here"):
        stage.pretrain(data, folder, **METHODS[method], seed=1)
    some = open_images(data).select(np.arange(64))
    with pytest.raises(ConfigChangedError, match="images: other images or labels"):
        stage.pretrain(some, folder, **METHODS[method])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_another_job_is_refused_and_replaces_only_if_it_is_to(digits, whole, tmp_path):
    check_refusal_of_another_job(digits, whole["supervised"].folder, "supervised")
    result = stage.pretrain(digits, tmp_path / "out", PretrainConfig(**METHODS["supervised"]), epochs=1)
    weights = (result.folder / "model.safetensors").read_bytes()
    missing = str(tmp_path / "none.safetensors")
    with pytest.raises(Exception, match=r"none\.safetensors"):  # is found before anything is deleted
        stage.pretrain(digits, result.folder, overwrite=True, **METHODS["supervised"], weights=missing)
    assert (result.folder / "model.safetensors").read_bytes() == weights
    assert_same(stage.pretrain(digits, result.folder, overwrite=True, **METHODS["supervised"]), whole["supervised"])


def both_methods(data, output_dir):
    """What each of two processes does, of plain values."""
    for name, options in METHODS.items():
        config = dataclasses.asdict(PretrainConfig(**options | GENTLE))
        stage.pretrain_as_one_of_several([data], f"{output_dir}/{name}", config, False)
    return False


def test_two_processes_make_what_one_makes(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (tmp_path / "two").mkdir()
    job = {"data": {"path": str(digits), "opening": {}, "prefix": ""}, "output_dir": str(tmp_path / "two")}
    assert launch.run_in_processes(both_methods, job, "cpu", 2) is False
    for name, options in METHODS.items():
        alone = stage.pretrain(digits, tmp_path / "one" / name, **options | GENTLE)
        shared = stage.pretrain(digits, tmp_path / "two" / name, **options | GENTLE)
        assert shared.was_finished  # one process takes it for its own
        assert_same(shared, alone, tolerance=1e-5)


def test_processes_are_given_the_job_and_refuse_what_they_cannot_share(digits, whole, tmp_path, monkeypatch):
    given = []

    def run(work, job, device, processes):
        given.append((device, processes))
        return work(**json.loads(json.dumps(job)))

    monkeypatch.setattr(stage, "run_in_processes", run)
    result = stage.pretrain(digits, tmp_path / "out", **METHODS["moco"], processes=2)
    assert given == [("cpu", 2)]
    assert_same(result, whole["moco"])
    for processes, message in ((0, "at least one process"), (2, "path of the images for 2 processes")):
        with pytest.raises(UsageError, match=message):
            stage.pretrain(open_images(digits), tmp_path / "other", **METHODS["moco"], processes=processes)


def test_a_dry_run_says_how_long_it_takes_and_writes_nothing(digits, own_folder, run):
    sizes = ["--batch-size", 16, "--epochs", 3, "--norm-groups", 2, "--device", "cpu"]
    code, out, told = run("pretrain", digits, "--architecture", "small_cnn", "--method", "moco", *sizes, "--dry-run")
    assert (code, told) == (0, "")
    assert "15 steps in all" in out
    assert "on this machine's cpu. Nothing was written." in out
    assert not list(own_folder.iterdir())


def test_no_global_random_state_is_changed(digits, tmp_path):
    def states():
        return (
            random.getstate(),
            np.random.get_state(legacy=False)["state"]["key"].tolist(),
            torch.get_rng_state().tolist(),
        )

    before = states()
    for name, options in METHODS.items():
        stage.pretrain(digits, tmp_path / name, PretrainConfig(**options), epochs=1)
    assert states() == before


def test_a_classifier_begins_with_a_backbone(whole, tmp_path):
    folder = whole["moco"].folder
    start = find_weights(settle(PretrainConfig(**METHODS["moco"], weights=str(folder)), bars.make_set()), "")
    network, described = new_backbone(settle(PretrainConfig(**METHODS["moco"]), bars.make_set()), start, 1)
    expected = load_file(folder / "model.safetensors")
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    assert "80 synthetic images" in described.seen
    config = dataclasses.replace(bars.CONFIG, epochs=1, image_size_px=None, weights=str(folder))
    result = train_classifier(bars.make_set(), config, tmp_path / "model")
    assert "80 synthetic images" in result.model_config.seen
    assert result.model_config.mean == whole["moco"].backbone.mean
    with pytest.raises(UsageError, match=r"weights of 'resnet18', got those of 'small_cnn'"):
        train_classifier(bars.make_set(), dataclasses.replace(config, architecture="resnet18"), tmp_path / "other")


def test_a_stem_of_convolutions_goes_with_the_weights(digits, tmp_path):
    options = COMMON | {"method": "supervised", "architecture": "test_vit", "conv_stem": True, "epochs": 1}
    backbone = stage.pretrain(digits, tmp_path / "backbone", **options)
    stems = {name for name in load_file(backbone.folder / "model.safetensors") if name.startswith("patch_embed.proj.")}
    assert "patch_embed.proj.0.weight" in stems
    config = dataclasses.replace(bars.CONFIG, architecture="test_vit", recipe="auto", epochs=1, image_size_px=None)
    config = dataclasses.replace(config, weights=str(backbone.folder))
    classifier = train_classifier(bars.make_set(), config, tmp_path / "classifier")
    assert classifier.model_config.conv_stem  # as the weights have it, whatever the recipe would choose
    again = stage.pretrain(digits, tmp_path / "again", **options, weights=str(classifier.folder))
    assert again.backbone.conv_stem
    published = tmp_path / "published.safetensors"
    save_file(timm.create_model("test_vit", num_classes=0, img_size=16).state_dict(), published)
    with pytest.raises(UsageError, match=r"timm's own stem .*conv_stem"):
        stage.pretrain(digits, tmp_path / "other", **options, weights=str(published))


def test_weights_may_be_said_to_be_none(digits, whole):
    again = stage.pretrain(digits, whole["moco"].folder, **METHODS["moco"], weights="none")
    assert again.was_finished  # it is the same job
    settings = settle(
        PretrainConfig(**METHODS["moco"] | {"weights": "none", "architecture": "resnet18"}), bars.make_set()
    )
    with pytest.raises(UsageError, match="Expected weights once, got those of the tag 'a1_in1k' and"):
        find_weights(settings, "a1_in1k")


def test_weights_of_torchvision_s_resnet50_are_taken_but_for_the_head(tmp_path):
    torch.manual_seed(0)
    theirs: Any = torchvision.models.resnet50(weights=None).eval()
    for name, buffer in theirs.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    save_file(theirs.state_dict(), tmp_path / "resnet50.safetensors")
    options = {"architecture": "resnet50", "weights": str(tmp_path / "resnet50.safetensors"), "batch_size": 2}
    settings = settle(PretrainConfig(**options), bars.make_set())
    ours, described = new_backbone(settings, find_weights(settings, ""), 1)
    assert described.num_features == 2048
    theirs.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)  # in float32 processors round each their way
    with torch.no_grad():
        torch.testing.assert_close(ours.double().eval()(images), theirs.double()(images), atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--method", "moco", "--batch-size", "16", "--queue-size", "40"], "multiple of --batch-size 16, got 40", 2),
        (["--method", "moco", "--batch-size", "16", "--queue-size", "8"], "multiple of --batch-size 16, got 8", 2),
        (["--batch-size", "1"], "Expected --batch-size of at least 2, got 1", 2),
        (["--batch-size", "128"], "--batch-size of at most the 80 images", 2),
        (["--method", "moco", "--temperature", "0"], "--temperature above 0, got 0", 2),
        (["--method", "moco", "--key-momentum", "1"], "--key-momentum", 2),
        (["--method", "moco", "--key-momentum", "-0.1"], "--key-momentum", 2),
        (["--method", "moco", "--norm-groups", "3", "--batch-size", "16"], "groups of two images or more, got 3", 2),
        (["--method", "moco", "--mixup", "0.2"], "--method supervised with --mixup", 2),
        (["--batch-size", "16", "--initial-weights", "weights.pt"], "or the folder of a model as weights", 1),
        (["--batch-size", "16", "--initial-weights", "other.safetensors"], "resnet18", 1),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_said_in_one_line_and_nothing_is_written(
    digits, own_folder, refuse, options, message, code
):
    (own_folder / "weights.pt").write_bytes(b"\x80\x04.")
    save_file({"conv1.weight": torch.zeros(1)}, own_folder / "other.safetensors")
    architecture = "resnet18" if "other.safetensors" in options else "small_cnn"
    line = ["pretrain", digits, "--architecture", architecture, "--device", "cpu", "--epochs", "1", *options]
    assert message in refuse(*line, code=code)


def test_a_loss_that_is_no_number_is_said_in_one_line_and_nothing_is_written(digits, own_folder, run):
    sizes = ["--batch-size", 16, "--epochs", 1, "--warmup-epochs", 0, "--learning-rate", "1e30", "--device", "cpu"]
    code, _, told = run("pretrain", digits, "--architecture", "small_cnn", *sizes)
    assert (code, told.count("\n")) == (1, 1)
    assert "Expected a finite loss, got" in told
    assert not (own_folder / "backbone").exists()


def test_an_image_that_cannot_be_read_is_named(digits, tmp_path):
    folder = tmp_path / "digits"
    for file in digits.rglob("*.png"):
        (folder / file.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / file.parent.name / file.name).write_bytes(file.read_bytes())
    broken = next((folder / "3").iterdir())
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DataError, match=broken.name):
        stage.pretrain(folder, tmp_path / "out", **METHODS["moco"])
    assert not (tmp_path / "out").exists()


def test_a_backbone_knows_no_classes_and_says_so(digits, whole, own_folder, refuse):
    folder = whole["moco"].folder
    for line in (
        ["eval", folder, "--real", "digits"],
        ["predict", folder, digits],
        ["export", folder, "--output-dir", "out"],
    ):
        told = refuse(*line, code=1)
        assert "found a backbone, which knows no classes. Run 'synthset transfer'" in told


@pytest.mark.parametrize(
    ("names", "given", "area", "is_mirrored"),
    [
        (("left", "right", "top"), {}, (0.2, 1.0), True),
        (("left", "right", "top"), {"mirror": False, "smallest_crop": 0.5}, (0.5, 1.0), False),
        (("one", "two", "three"), {}, (0.2, 1.0), False),
        (("a", "b", "c"), {"mirror": True}, (0.2, 1.0), True),
    ],
)
def test_views_are_cropped_and_mirrored_as_the_classes_or_the_settings_say(names, given, area, is_mirrored):
    images = bars.make_set(names=names)
    settings = settle(PretrainConfig(**METHODS["moco"], **given), images)
    stream = stage.stream_of(images, settings)
    assert stream.crops.area == area
    _, described = new_backbone(settings, None, len(images))
    black = np.zeros((16, 3, 8, 8), np.uint8)
    black[..., 0] = 255  # a bar on the left stays there, whatever happens to its colours
    places = np.arange(16)
    batch = Batch(0, (black, black), np.zeros(16, np.int64), (places, places), 16)
    [part] = loop.parts(iter([batch]), described, settings, World(torch.device("cpu")))
    is_on_the_left = torch.cat(part.views).mean(1)[:, :, 0].mean(1) > torch.cat(part.views).mean(1)[:, :, -1].mean(1)
    assert bool(is_on_the_left.all()) is not is_mirrored
