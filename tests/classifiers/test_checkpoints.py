"""Interrupted and resumed without a trace; a folder that holds something else is refused and left alone."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from bars import CONFIG, make_set, scores, weights
from outcomes import contents
from synthset.classifiers import checkpoints, train
from synthset.classifiers.stage import train as train_stage
from synthset.classifiers.train import train_classifier
from synthset.core.errors import ConfigChangedError, UsageError
from synthset.core.locks import writing
from synthset.dataset.export import export_imagefolder


def interrupt(monkeypatch, name, call):
    """Let the trainer be interrupted at the given call of one of its functions; gives the count of calls."""
    calls = []
    original = getattr(train, name)

    def interrupted(*args):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(train, name, interrupted)
    return calls


@pytest.mark.parametrize(("name", "call"), [("augment", 8), ("_score_held_back", 3), ("finish", 1)])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, finished, name, call):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SHARE", float("inf"))
    with monkeypatch.context() as patch:
        interrupt(patch, name, call)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(make_set(), CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["resume.safetensors"]

    epochs = interrupt(monkeypatch, "train_epoch", -1)
    resumed = train_classifier(make_set(), CONFIG, tmp_path)
    assert len(epochs) == {"augment": 2, "_score_held_back": 2, "finish": 0}[name]
    assert weights(tmp_path) == weights(finished.folder)
    assert scores(resumed) == scores(finished)
    assert sorted(contents(tmp_path)) == ["config.json", "model.safetensors", "training.json"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "training.json"])
def test_stopped_at_any_file_of_its_end_a_training_without_a_checkpoint_is_finished(
    tmp_path, monkeypatch, finished, name
):
    replace = Path.replace

    def stopped(part, target):
        if target.name == name:
            raise KeyboardInterrupt
        return replace(part, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(make_set(), CONFIG, tmp_path)
    epochs = interrupt(monkeypatch, "train_epoch", -1)
    train_classifier(make_set(), CONFIG, tmp_path)
    assert not epochs
    assert weights(tmp_path) == weights(finished.folder)
    assert sorted(contents(tmp_path)) == ["config.json", "model.safetensors", "training.json"]


def test_a_folder_in_which_another_command_is_at_work_is_refused(tmp_path):
    with writing(tmp_path / "model"):
        with pytest.raises(UsageError, match=r"Another command is at work in .*model'"):
            train_classifier(make_set(), CONFIG, tmp_path / "model")
        assert contents(tmp_path / "model") == {}


def test_images_may_be_written_again_once_they_are_decoded(tmp_path, monkeypatch):
    export_imagefolder(make_set(), tmp_path / "bars")
    held = []

    def epoch(*args):
        with writing(tmp_path / "bars"):
            held.append(len(args))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train, "train_epoch", epoch)
        with pytest.raises(KeyboardInterrupt):
            train_stage(tmp_path / "bars", tmp_path / "model", CONFIG)
    assert held
    with writing(tmp_path / "bars"), pytest.raises(UsageError, match=r"Another command is at work in .*bars'"):
        train_stage(tmp_path / "bars", tmp_path / "model", CONFIG)


def test_a_finished_training_returns_at_once(monkeypatch, finished):
    before = contents(finished.folder)
    epochs = interrupt(monkeypatch, "train_epoch", 1)
    again = train_classifier(make_set(), dataclasses.replace(CONFIG, architecture="Small-CNN"), finished.folder)
    assert again == dataclasses.replace(finished, was_finished=True, seconds=again.seconds)
    assert not epochs
    assert contents(finished.folder) == before


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seed": 7}, "seed: 0 there, 7 here"),
        ({"epochs": 5}, "epochs: 4 there, 5 here"),
        ({"architecture": "resnet10t"}, 'architecture: "small_cnn" there, "resnet10t" here'),
    ],
)
def test_another_config_is_refused_by_name_and_changes_nothing(finished, changes, difference):
    before = contents(finished.folder)
    with pytest.raises(ConfigChangedError, match=difference):
        train_classifier(make_set(), dataclasses.replace(CONFIG, **changes), finished.folder)
    assert contents(finished.folder) == before


def test_a_setting_that_an_older_folder_lacks_had_its_default(tmp_path, finished):
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    note = json.loads((tmp_path / "training.json").read_text())
    del note["job"]["config"]["antialias"]
    (tmp_path / "training.json").write_text(json.dumps(note))
    assert train_classifier(make_set(), CONFIG, tmp_path).was_finished
    with pytest.raises(ConfigChangedError, match="antialias: true there, false here"):
        train_classifier(make_set(), dataclasses.replace(CONFIG, antialias=False), tmp_path)


def test_other_images_are_refused(finished):
    with pytest.raises(ConfigChangedError, match="images: other"):
        train_classifier(make_set(seed=1), CONFIG, finished.folder)


def test_an_unfinished_training_refuses_another_config(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        interrupt(patch, "train_epoch", 2)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(make_set(), CONFIG, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ConfigChangedError, match="batch_size: 16 there, 8 here"):
        train_classifier(make_set(), dataclasses.replace(CONFIG, batch_size=8), tmp_path)
    with pytest.raises(UsageError, match="already holds"):
        train_classifier(make_set(), CONFIG, tmp_path, resume=False)
    assert contents(tmp_path) == before


def test_overwrite_replaces_the_classifier_and_nothing_else(tmp_path, finished):
    config = dataclasses.replace(CONFIG, epochs=1)
    train_classifier(make_set(), config, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    train_classifier(make_set(), CONFIG, tmp_path, overwrite=True)
    assert weights(tmp_path) == weights(finished.folder)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_not_ours_is_left_alone(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="no Synthset classifier"):
        train_classifier(make_set(), CONFIG, tmp_path, overwrite=overwrite)
    (tmp_path / "config.json").write_text('{"format": "another tool"}')
    with pytest.raises(UsageError, match="no Synthset classifier"):
        train_classifier(make_set(), CONFIG, tmp_path, overwrite=overwrite)
    with pytest.raises(UsageError, match="is a file"):
        train_classifier(make_set(), CONFIG, tmp_path / "thesis.tex", overwrite=overwrite)
    assert sorted(contents(tmp_path)) == ["config.json", "thesis.tex"]
