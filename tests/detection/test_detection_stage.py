"""Detection as a whole: what is saved, resumed bitwise, refused; the test set is opened by the test alone."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tools.toy_devkit import write_toy_devkit

from synthset.classifiers.backbones import BackboneConfig, save_backbone
from synthset.classifiers.models import ModelConfig, build_model, save_classifier
from synthset.cli import main
from synthset.core.errors import ConfigChangedError, DataError, ModelError, UsageError
from synthset.detection import detector, scores, stage
from synthset.detection.average_precision import Detections
from synthset.detection.config import DetectConfig
from synthset.detection.start import find_beginning, load_backbone
from synthset.detection.voc import read_voc
from synthset.images.imageset import ImageSet
from synthset.images.sketch import Sketch, hash_files
from synthset.pretraining.start import take_head_off
from synthset.report import build_report

OPTIONS = {
    "architecture": "small_cnn", "iterations": 5, "batch_size": 2, "boxes_per_image": 16, "anchor_sizes_px": (16, 24),
    "train_sides_px": (48, 64), "test_side_px": 64, "longest_side_px": 64, "device": "cpu", "workers": 1,
}  # fmt: skip
FILES = [
    "config.json", "detections.parquet", "detections.png", "metrics.csv", "model.safetensors", "results.json",
    "training.json",
]  # fmt: skip


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return write_toy_devkit(tmp_path_factory.mktemp("kit"), 6, 4, num_classes=3)


@pytest.fixture(scope="module")
def whole(kit, tmp_path_factory):
    """An uninterrupted training and its test."""
    return stage.detect("random", kit, tmp_path_factory.mktemp("whole") / "out", **OPTIONS)


def assert_same(result, expected):
    assert result.scores == expected.scores
    losses = [[(one.epoch, one.train_loss, one.learning_rate) for one in each.history] for each in (result, expected)]
    assert losses[0] == losses[1]
    weights, others = (load_file(each.folder / "model.safetensors") for each in (result, expected))
    assert list(weights) == list(others)
    assert [name for name, value in weights.items() if not torch.equal(value, others[name])] == []
    assert pq.read_table(result.folder / "detections.parquet") == pq.read_table(expected.folder / "detections.parquet")


def test_a_detector_is_saved_with_its_detections_scores_and_a_picture(kit, whole):
    assert sorted(path.name for path in whole.folder.iterdir()) == FILES
    assert (whole.num_images, whole.scores.num_images, whole.scores.name) == (6, 4, "VOC2007 test")
    assert [one.epoch for one in whole.history] == [1, 2]  # three steps, and two of the second pass
    assert whole.scores.coco is not None
    config = json.loads((whole.folder / "config.json").read_text())
    assert (config["kind"], config["form"], config["class_names"]) == ("detector", "c4", ["one", "two", "zero"])
    with Image.open(whole.folder / "detections.png") as picture:
        assert picture.width > 600
    again = stage.detect("random", kit, whole.folder, **OPTIONS)
    assert again.was_finished
    assert again.scores == whole.scores


def test_killed_in_the_middle_it_goes_on_bitwise(kit, whole, tmp_path):
    script = (
        "import json, os, signal, sys; from synthset.detection import stage; from synthset.pretraining import session\n"
        "save, due = session.Session.save, property(lambda self: self.step == 4)\n"  # in the second pass
        "def killed(self):\n"
        "    save(self); os.kill(os.getpid(), signal.SIGKILL)\n"
        "session.Session.save, session.Session.is_due = killed, due\n"
        "stage.detect('random', sys.argv[1], sys.argv[2], **json.loads(sys.argv[3]))"
    )
    command = [sys.executable, "-c", script, str(kit), str(tmp_path / "out"), json.dumps(OPTIONS)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(command, env=env).returncode == -signal.SIGKILL
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metrics.csv", "resume.safetensors"]
    with pytest.raises(ConfigChangedError, match=r"another detector \(learning_rate: 0.0025 there, 0.1 here"):
        stage.detect("random", kit, tmp_path / "out", **OPTIONS, learning_rate=0.1)
    result = stage.detect("random", kit, tmp_path / "out", **OPTIONS)
    assert_same(result, whole)
    assert sorted(path.name for path in result.folder.iterdir()) == FILES


def test_only_the_test_opens_the_test_set_and_a_kill_in_it_costs_the_test_alone(kit, whole, tmp_path, monkeypatch):
    blind = shutil.copytree(kit, tmp_path / "kit")
    kept = [path for folder in ("JPEGImages", "Annotations") for path in (blind / "VOC2007" / folder).glob("test*")]
    assert len(kept) == 8
    for path in kept:
        path.rename(tmp_path / path.name)
    with pytest.raises(DataError, match="Expected the image 'test00000'"):
        stage.detect("random", blind, tmp_path / "out", **OPTIONS)
    for path in kept:
        (tmp_path / path.name).rename(path)
    monkeypatch.setattr(stage, "_step", None)  # no step is left
    assert_same(stage.detect("random", blind, tmp_path / "out", **OPTIONS), whole)


def test_another_photograph_or_another_kind_of_folder_is_refused(kit, whole, tmp_path):
    changed = shutil.copytree(kit, tmp_path / "kit")
    before = {path.name: path.read_bytes() for path in whole.folder.iterdir()}
    Image.new("RGB", (64, 64)).save(changed / "VOC2007/JPEGImages/trainval00003.png")
    with pytest.raises(ConfigChangedError, match="images: other images"):
        stage.detect("random", changed, whole.folder, **OPTIONS)
    assert {path.name: path.read_bytes() for path in whole.folder.iterdir()} == before
    other = shutil.copytree(whole.folder, tmp_path / "other")
    note = json.loads((other / "training.json").read_text()) | {"format": "synthset-pretraining-1"}
    del note["checksum"]
    (other / "training.json").write_text(json.dumps(note))
    with pytest.raises(UsageError, match=r"as 'synthset-detection-1', got 'synthset-pretraining-1'.* nothing was"):
        stage.detect("random", kit, other, **OPTIONS, overwrite=True)


def test_a_report_does_not_outlive_the_detector_that_it_is_of(kit, whole, tmp_path):
    other = shutil.copytree(whole.folder, tmp_path / "other")
    page = build_report(other).read_text("utf-8")
    assert f"{whole.scores.at_eleven:.1%}" in page
    assert "VOC2007 test" in page
    assert stage.detect("random", kit, other, **OPTIONS).was_finished  # a report is no stranger there
    assert (other / "report.html").exists()
    stage.detect("random", kit, other, **OPTIONS | {"iterations": 1}, overwrite=True)
    assert not (other / "report.html").exists()


def test_a_loss_that_is_no_number_ends_the_training_in_words(kit, tmp_path, monkeypatch):
    monkeypatch.setattr(detector, "box_losses", lambda logits, *_: (logits.sum() * torch.nan, logits.sum()))
    with pytest.raises(ModelError, match=r"Expected a finite loss, got nan in step 1 .* Choose a learning rate below"):
        stage.detect("random", kit, tmp_path / "out", **OPTIONS)
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_images_in_both_sets_are_refused(kit, whole, tmp_path):
    both = shutil.copytree(kit, tmp_path / "kit")
    photographs = both / "VOC2007/JPEGImages"
    shutil.copy(photographs / "trainval00001.png", photographs / "test00002.png")
    (both / "VOC2007/Annotations/test00002.xml").write_text("<annotation/>")
    with pytest.raises(DataError, match="'VOC2007/test00002' is 'VOC2007/trainval00001' there"):
        stage.detect("random", both, tmp_path / "out", **OPTIONS | {"iterations": 1})


def backbone_in(folder):
    described = BackboneConfig("backbone", "small_cnn", 32, False, (0.1, 0.2, 0.3), (0.2, 0.2, 0.2), "moco", 128, 9)
    network = build_model(described.as_model(), 3)
    take_head_off(network)
    save_backbone(folder, network, described)
    return network


def test_it_begins_with_a_backbone_a_classifier_or_weights_as_published(tmp_path):
    network = backbone_in(tmp_path / "backbone")
    config = ModelConfig("small_cnn", ("a", "b", "c"), 32)
    classifier = build_model(config, 4)
    save_classifier(tmp_path / "classifier", classifier, config)
    published = build_model(ModelConfig("mobilenetv3_small_050", ("a", "b"), 32), 5)
    save_file({name: value.contiguous() for name, value in published.state_dict().items()}, tmp_path / "p.safetensors")
    for name, expected, architecture in (
        ("backbone", network, None),
        ("classifier", classifier, None),
        ("p.safetensors", published, "mobilenetv3_small_050"),
    ):
        beginning = find_beginning(str(tmp_path / name), DetectConfig(architecture=architecture))
        state, own = expected.state_dict(), load_backbone(beginning, 0).state_dict()
        assert len(own) > 20
        assert [key for key, value in own.items() if not torch.equal(value, state[key])] == []
    assert find_beginning(str(tmp_path / "backbone"), DetectConfig()).model.mean == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        ("nowhere", {}, ModelError, "got 'nowhere'"),
        ("backbone", {"architecture": "resnet50"}, UsageError, "weights of 'resnet50', got those of 'small_cnn'"),
        ("backbone", {"small_images": True}, UsageError, "stem that .* was trained with"),
        ("random", {"architecture": "resnet18.a1_in1k"}, UsageError, "got the tag 'a1_in1k'"),
        ("imagenet", {"small_images": True}, UsageError, "Expected timm's own stem"),
    ],
)  # fmt: skip
def test_models_that_cannot_be_begun_with_are_refused(tmp_path, monkeypatch, model, options, error, message):
    monkeypatch.chdir(tmp_path)
    backbone_in(tmp_path / "backbone")
    with pytest.raises(error, match=message):
        find_beginning(model, DetectConfig(**options))


def test_it_is_not_tested_on_what_its_backbone_learned_from(kit, tmp_path):
    backbone_in(tmp_path / "backbone")
    files = sorted((kit / "VOC2007/JPEGImages").glob("test*"))
    seen = ImageSet("seen", ("x",), np.zeros(4, np.int64), lambda row: files[row].read_bytes())
    note = {"job": {"config": {}, "fingerprint": ""}, "learned_from": dataclasses.asdict(Sketch.of(hash_files(seen)))}
    (tmp_path / "backbone" / "training.json").write_text(json.dumps(note))
    with pytest.raises(UsageError, match=r"VOC2007 test that .*backbone' did not learn from"):
        stage.detect(tmp_path / "backbone", kit, tmp_path / "out", **OPTIONS | {"iterations": 1})


def test_scores_of_coco_are_those_of_its_own_evaluation(kit):
    from faster_coco_eval import COCO, COCOeval_faster

    images = read_voc(kit, [("2007", "trainval")]).images
    rng, found = np.random.default_rng(1), []
    for image in images:
        boxes = np.concatenate([image.boxes + rng.normal(0, 1.5, image.boxes.shape), image.boxes + 7]).astype(
            np.float32
        )
        labels = np.concatenate([image.labels, image.labels])
        found.append(Detections(boxes, labels, rng.random(len(boxes)).astype(np.float32)))
    truth, rows = [], []
    for number, (image, one) in enumerate(zip(images, found, strict=True)):
        for box, label, hard in zip(image.boxes.tolist(), image.labels.tolist(), image.difficult.tolist(), strict=True):
            truth.append(annotation(number, label, box) | {"id": len(truth) + 1, "iscrowd": int(hard)})
        for box, label, sure in zip(one.boxes.tolist(), one.labels.tolist(), one.scores.tolist(), strict=True):
            rows.append(annotation(number, label, box) | {"score": sure})
    sets = {"images": [{"id": number} for number in range(len(images))], "categories": [{"id": i} for i in range(3)]}
    coco = COCO(sets | {"annotations": truth})
    evaluation = COCOeval_faster(coco, coco.loadRes(rows), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ours = scores.coco_scores(found, images)
    assert (ours.ap, ours.ap50, ours.ap75) == pytest.approx(tuple(evaluation.stats[:3]), abs=1e-6)
    assert 0.2 < ours.ap < ours.ap50


def annotation(image, label, box):
    width, height = box[2] - box[0], box[3] - box[1]
    return {"image_id": image, "category_id": label, "bbox": [*box[:2], width, height], "area": width * height}


def test_without_its_libraries_coco_is_left_out(monkeypatch):
    monkeypatch.setattr(scores, "find_spec", lambda name: None if name == "faster_coco_eval" else object())
    assert scores.score("none", ["a"], [], []).coco is None


def test_the_command_prints_the_scores_and_json(kit, whole, capsys):
    flags = []
    for name, value in OPTIONS.items():
        flag = {
            "train_sides_px": "train-sides",
            "test_side_px": "test-side",
            "longest_side_px": "longest-side",
            "anchor_sizes_px": "anchor-sizes",
        }
        values = value if isinstance(value, tuple) else (value,)
        flags += [f"--{flag.get(name, name.replace('_', '-'))}", *map(str, values)]
    command = ["detect", "random", "--real", str(kit), "--output-dir", str(whole.folder), *flags]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "AP50 (VOC 2007)" in printed
    assert "COCO: AP " in printed
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["detect"]["scores"]["at_eleven"] == whole.scores.at_eleven
    assert main(["detect", "random"]) == 2
    assert "Name a devkit with --real" in capsys.readouterr().err
    assert main(["detect"]) == 2
