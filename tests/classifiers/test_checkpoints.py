"""Interrupted and resumed without a trace; a folder that holds something else is refused and left alone."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save

from bars import CONFIG, FILES, interrupted_in_epoch, make_set, scores, weights
from outcomes import contents
from synthset.classifiers import checkpoints, train
from synthset.classifiers.optimizers import OPTIMIZERS
from synthset.classifiers.stage import train as train_stage
from synthset.classifiers.train import train_classifier
from synthset.core.errors import ConfigChangedError, DataError, UsageError
from synthset.core.files import with_checksum, write_json
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
    assert sorted(contents(tmp_path)) == ["metrics.csv", "resume.safetensors"]

    epochs = interrupt(monkeypatch, "train_epoch", -1)
    resumed = train_classifier(make_set(), CONFIG, tmp_path)
    assert len(epochs) == {"augment": 2, "_score_held_back": 2, "finish": 0}[name]
    assert weights(tmp_path) == weights(finished.folder)
    assert scores(resumed) == scores(finished)
    assert sorted(contents(tmp_path)) == FILES


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimiser_goes_on_where_it_was(tmp_path, optimizer):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, epochs=2)
    train_classifier(make_set(), config, tmp_path / "whole")
    with interrupted_in_epoch(2):
        train_classifier(make_set(), config, tmp_path / "resumed")
    train_classifier(make_set(), config, tmp_path / "resumed")
    assert weights(tmp_path / "resumed") == weights(tmp_path / "whole")


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
    assert sorted(contents(tmp_path)) == FILES


def test_a_folder_in_which_another_command_is_at_work_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "PATIENCE_SECONDS", 0)
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
    write_json(tmp_path / "training.json", note)
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
    (tmp_path / "numbers").mkdir()
    (tmp_path / "numbers" / "metrics.csv").write_text("run,score\n1,0.5\n")
    with pytest.raises(UsageError, match="no Synthset classifier"):
        train_classifier(make_set(), CONFIG, tmp_path / "numbers", overwrite=overwrite)
    assert (tmp_path / "numbers" / "metrics.csv").read_text() == "run,score\n1,0.5\n"
    shutil.rmtree(tmp_path / "numbers")
    (tmp_path / "config.json").write_text('{"format": "another tool"}')
    with pytest.raises(UsageError, match="no Synthset classifier"):
        train_classifier(make_set(), CONFIG, tmp_path, overwrite=overwrite)
    with pytest.raises(UsageError, match="is a file"):
        train_classifier(make_set(), CONFIG, tmp_path / "thesis.tex", overwrite=overwrite)
    assert sorted(contents(tmp_path)) == ["config.json", "thesis.tex"]


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """A training that was stopped after its second epoch."""
    folder = tmp_path_factory.mktemp("halfway") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(checkpoints, "CHECKPOINT_SHARE", float("inf"))
        interrupt(patch, "_score_held_back", 3)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(make_set(), CONFIG, folder)
    return folder / "resume.safetensors"


def note_of(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["training"])


def rewrite(path, note):
    path.write_bytes(save(load_file(path), {"training": json.dumps(with_checksum(note))}))


def drop(key):
    return lambda note: note.pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("best"), "Expected 'best' in the notes of '{path}', found none. Delete it to train from the beginning."),
        (lambda note: note.update(best=None), "'best' in the notes of '{path}' as an object, got null."),
        (lambda note: note["history"][1].update(seconds=-1), "'history[1].seconds' in the notes of '{path}'"),
        (lambda note: note["best"].update(epoch=1e9), "'best.epoch' in the notes of '{path}' as an integer"),
        (lambda note: note["job"].update(fingerprint=1), "'job.fingerprint' in the notes of '{path}' as a text"),
        (
            lambda note: note.update(sha256="0" * 64),
            "'{path}', it does not read (its tensors are not those of its 'sha256'). Delete it",
        ),
    ],
)
def test_a_checkpoint_that_was_changed_is_refused_by_its_key(tmp_path, halfway, change, message):
    path = Path(shutil.copy(halfway, tmp_path / halfway.name))
    note = note_of(path)
    change(note)
    rewrite(path, note)
    before = path.read_bytes()
    with pytest.raises(DataError) as caught:
        train_classifier(make_set(), CONFIG, tmp_path)
    assert message.replace("{path}", str(path)) in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("length", [0, 5, 300, -4])
def test_a_cut_checkpoint_is_named(tmp_path, halfway, length):
    path = tmp_path / halfway.name
    path.write_bytes(halfway.read_bytes()[:length])
    with pytest.raises(
        DataError, match=r"in '.*resume\.safetensors', it does not read .* Delete it to train"
    ) as caught:
        train_classifier(make_set(), CONFIG, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_before_hashes_goes_on(tmp_path, halfway, finished):
    path = Path(shutil.copy(halfway, tmp_path / halfway.name))
    note = note_of(path)
    del note["sha256"]
    rewrite(path, note)
    train_classifier(make_set(), CONFIG, tmp_path)
    assert weights(tmp_path) == weights(finished.folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("chosen"), "Expected 'chosen' in '{path}', found none. It is damaged, or no training of Synthset"),
        (
            lambda note: note.update(num_training="x"),
            "'num_training' in '{path}' as an integer of at least 0, got \"x\"",
        ),
        (
            lambda note: note["chosen"].update(held_back_accuracy=2),
            "'chosen.held_back_accuracy' in '{path}' as a finite",
        ),
    ],
)
def test_notes_of_a_finished_training_that_were_changed_are_refused_and_can_be_replaced(
    tmp_path, finished, change, message
):
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "training.json"
    note = json.loads(path.read_text())
    change(note)
    write_json(path, note)
    before = contents(tmp_path)
    with pytest.raises(UsageError) as caught:
        train_classifier(make_set(), CONFIG, tmp_path)
    assert message.replace("{path}", str(path)) in str(caught.value)
    assert contents(tmp_path) == before
    train_classifier(make_set(), CONFIG, tmp_path, overwrite=True)
    assert weights(tmp_path) == weights(finished.folder)
