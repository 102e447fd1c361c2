"""Transfer: modes learn, choose on held-out training images alone, are resumed, refused, and open tests at the end."""

import json
from dataclasses import replace

import pytest
import torch

from bars import make_set
from synthset.classifiers.backbones import BackboneConfig, save_backbone
from synthset.classifiers.config import TrainConfig
from synthset.classifiers.models import Classifier, build_model, load_classifier
from synthset.core.errors import ConfigChangedError, UsageError
from synthset.evaluation.stage import evaluate
from synthset.images.sketch import Sketch, hash_files
from synthset.pretraining.start import take_head_off
from synthset.report import build_report
from synthset.transfer import finetune, stage
from synthset.transfer.config import MODES, TransferConfig
from synthset.transfer.features import features_of, linear_head
from synthset.transfer.inputs import training_of
from synthset.transfer.stage import transfer

TRAINING = {"device": "cpu", "image_size_px": 8}
FEW = {"epochs": 2, "batch_size": 16, "optimizer": "adamw"}


def config_of(mode, **options):
    training = TrainConfig(**TRAINING, **(FEW if mode == "finetune" else {}))
    rates = {"learning_rates": (1e-3, 3e-3)} if mode == "finetune" else {}
    return TransferConfig(mode=mode, training=training, **{**rates, **options})


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A random small_cnn without a head, as `pretrain` would leave it, with the hashes of twenty images."""
    folder = tmp_path_factory.mktemp("backbone") / "backbone"
    described = BackboneConfig("backbone", "small_cnn", 8, False, (0.4, 0.4, 0.4), (0.3, 0.3, 0.3), "moco", 256, 20)
    network = build_model(described.as_model(), 1)
    take_head_off(network)
    save_backbone(folder, network, described)
    sketch = Sketch.of(hash_files(make_set((20, 20, 20), seed=9)))
    note = {"job": {"config": {}, "fingerprint": ""}, "learned_from": vars(sketch)}
    (folder / "training.json").write_text(json.dumps(note, default=list))
    return folder


@pytest.fixture(scope="module")
def done(backbone, tmp_path_factory):
    """A finished transfer by each mode, of two seeds but for fine-tuning."""
    folder, results = tmp_path_factory.mktemp("done"), {}
    for mode in MODES:
        options = {"shots": 8, "seeds": 1 if mode == "finetune" else 2}
        results[mode] = transfer(backbone, folder / mode, config_of(mode, **options), real=make_set())
    return results


@pytest.mark.parametrize("mode", MODES)
def test_a_transfer_learns_of_shots_and_is_saved(done, mode):
    result = done[mode]
    saved = json.loads((result.folder / "transfer.json").read_text())
    assert [trial["score"] for trial in saved["trials"]] == [trial.score for trial in result.trials]
    assert {trial.num_training for trial in result.trials} == {24}
    assert {trial.n for trial in result.trials} == {30}  # the half that nothing was learned from
    if mode != "finetune":  # whose two epochs are few
        assert result.score > 0.6
    assert result.low <= result.score <= result.high
    assert "synthetic images" in result.seen


def test_transfers_stand_side_by_side_in_a_report(done):
    folder = done["knn"].folder.parent
    page = build_report(folder).read_text("utf-8")
    assert "3 transfers" in page
    for result in done.values():
        assert f"{result.score:.1%}" in page
        assert all(f'data-value="{trial.score}"' in page for trial in result.trials)


@pytest.mark.parametrize("mode", ["finetune", "linear"])
def test_a_classifier_is_left_whose_test_says_the_same(done, mode):
    home = done[mode].folder / "models" / "seed-0"
    test = stage.open_test_part(make_set(), stage.open_training_part(make_set()), "random")
    assert evaluate(home, test).score == done[mode].trials[0].score
    assert load_classifier(home, "cpu").class_names == ("left", "right", "top")


def test_the_best_attempt_on_held_out_images_is_chosen(done):
    for result in done.values():
        for trial in result.trials:
            best = max(attempt.accuracy for attempt in trial.attempts)
            assert trial.held_out_accuracy == best
            assert trial.chosen in [attempt.settings for attempt in trial.attempts if attempt.accuracy == best]


def test_again_it_is_read_and_seeds_are_added(done, backbone, monkeypatch):
    folder = done["knn"].folder
    worked = []
    original = stage.MODES_OF_WORK["knn"]
    monkeypatch.setitem(stage.MODES_OF_WORK, "knn", lambda work: worked.append(work.settings.seed) or original(work))
    again = transfer(backbone, folder, config_of("knn", shots=8, seeds=3), real=make_set())
    assert worked == [2]
    assert again.trials[:2] == done["knn"].trials
    with pytest.raises(ConfigChangedError, match="shots: 8 there, 4 here"):
        transfer(backbone, folder, config_of("knn", shots=4), real=make_set())
    with pytest.raises(ConfigChangedError, match="weights"):
        transfer("random", folder, config_of("knn", shots=8, architecture="small_cnn"), real=make_set())


def test_an_interrupted_grid_goes_on(backbone, done, tmp_path, monkeypatch):
    folder = tmp_path / "killed"
    original, called = finetune.train_classifier, []

    def stop_at_the_second(images, settings, place):
        called.append(settings.learning_rate)
        if len(called) == 2:
            raise KeyboardInterrupt
        return original(images, settings, place)

    monkeypatch.setattr(finetune, "train_classifier", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        transfer(backbone, folder, config_of("finetune", shots=8), real=make_set())
    result = transfer(backbone, folder, config_of("finetune", shots=8), real=make_set())
    assert called == [1e-3, 3e-3, 1e-3, 3e-3, *[result.trials[0].chosen["learning_rate"]]]
    whole = done["finetune"]
    assert result.trials[0].attempts == whole.trials[0].attempts
    weights = [place / "models" / "seed-0" / "model.safetensors" for place in (folder, whole.folder)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize("mode", MODES)
def test_no_test_image_is_read_before_the_final_test_but_to_be_hashed(backbone, tmp_path, monkeypatch, mode):
    events, original = [], stage.open_test_part

    def watched(*arguments, **options):
        opened = original(*arguments, **options)
        events.append("opened")
        return replace(opened, read=lambda index: events.append("read") or opened.read(index))

    monkeypatch.setattr(stage, "open_test_part", watched)
    last = {"finetune": (stage.finetune, "fit"), "linear": (stage.linear, "fit"), "knn": (stage.knn, "choose")}[mode]
    learn = getattr(*last)

    def learned(*arguments):
        result = learn(*arguments)
        events.append("learned")
        return result

    monkeypatch.setattr(*last, learned)
    (trial,) = transfer(backbone, tmp_path / mode, config_of(mode, shots=4), real=make_set(seed=3)).trials
    end = len(events) - events[::-1].index("learned")
    assert events.count("opened") == 1
    assert events[:end].count("read") == trial.n  # the fingerprint of the test, which hashes each file once
    assert events[end:].count("read") >= trial.n


def test_one_shot_leaves_nothing_to_choose_on(backbone, tmp_path):
    for mode in ("linear", "knn"):
        (trial,) = transfer(backbone, tmp_path / mode, config_of(mode, shots=1), real=make_set()).trials
        assert (trial.held_out_accuracy, trial.attempts) == (None, ())


def test_what_cannot_be_is_refused_and_nothing_written(backbone, tmp_path):
    folder, images = tmp_path / "out", make_set()
    refused = [
        (backbone, {"mode": "linear", "learning_rates": (0.1,)}, images, "mode=finetune with learning_rates"),
        (backbone, {"mode": "knn", "epochs": 3}, images, "mode=finetune with epochs"),
        (backbone, {"mode": "finetune", "neighbours": (3,)}, images, "mode=knn with neighbours"),
        (backbone, {"mode": "none"}, images, "finetune"),
        (backbone, {"mode": "knn", "shots": 11}, images, "at least 11 images"),
        ("random", {"mode": "knn"}, images, "architecture"),
        (backbone, {"mode": "knn", "architecture": "resnet18"}, images, "small_cnn"),
        (backbone, {"mode": "knn"}, make_set((20, 20, 20), seed=9), "did not learn from"),
    ]
    for model, options, real, words in refused:
        own = {"epochs": options.pop("epochs")} if "epochs" in options else {}
        ways = {"training": TrainConfig(**TRAINING, **own), **options}
        with pytest.raises(UsageError, match=words):
            transfer(model, folder, real=real, **ways)
        assert not folder.exists()
    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="something else"):
        transfer(backbone, folder, config_of("knn"), real=images)
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]


def test_features_are_those_that_the_head_sees(backbone):
    images = make_set((3, 3, 3))
    settings = stage.settle(training_of(backbone, config_of("linear"), 0), images)
    network, described = stage.new_model(images, settings)
    head = linear_head(network, described)
    features = features_of(network, described, images)
    expected = Classifier(described, network).predict(images.tensor(8))
    torch.testing.assert_close(features @ head.weight.T + head.bias, expected, rtol=1e-5, atol=1e-5)
