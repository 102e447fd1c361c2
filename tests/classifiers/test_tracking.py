"""Epochs are told: metrics.csv always, trackers when asked, each in the one run of its folder."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from bars import CONFIG, interrupted_in_epoch, make_set
from synthset.classifiers import train
from synthset.classifiers.tracking import TRACKERS
from synthset.core.errors import UsageError


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the library, with what it was told: (project, options), then (step, values)."""
    calls: list[Any] = []

    class Run:
        config = SimpleNamespace(update=lambda values, **_: calls.append(("config", values)))

        def log(self, values, step=None, **_):
            calls.append((step, values))

        def finish(self):
            calls.append(("finish", {}))

    def init(**options):
        calls.append(("init", options))
        return Run()

    import_module("accelerate.tracking")  # it looks for the library itself, not for a stand-in

    module = SimpleNamespace(init=init, config=Run.config)
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr("accelerate.tracking._available_trackers", ["wandb"])
    return calls


def metrics(folder):
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def test_every_epoch_is_a_row(tmp_path):
    result = train.train_classifier(make_set(), CONFIG, tmp_path / "model")
    rows = metrics(tmp_path / "model")
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert [float(row["train_loss"]) for row in rows] == [epoch.train_loss for epoch in result.history]
    assert not (tmp_path / "model" / "trackers.json").exists()


def test_a_resumed_training_goes_on_in_its_run(tmp_path, wandb):
    config = replace(CONFIG, tracker=("wandb",))
    with interrupted_in_epoch(3):
        train.train_classifier(make_set(), config, tmp_path / "model")
    assert wandb[-1] == ("finish", {})
    train.train_classifier(make_set(), config, tmp_path / "model")
    begun = [options for name, options in wandb if name == "init"]
    assert len(begun) == 2
    assert begun[0] == begun[1]
    assert begun[0]["resume"] == "allow"
    assert [step for step, _ in wandb if isinstance(step, int)] == [1, 2, 3, 4]
    assert [int(row["epoch"]) for row in metrics(tmp_path / "model")] == [1, 2, 3, 4]


def test_a_kill_before_the_first_checkpoint_leaves_a_folder_to_go_on_in(tmp_path, wandb, monkeypatch):
    config = replace(CONFIG, tracker=("wandb",))
    with monkeypatch.context() as patch:
        patch.setattr(train, "_score_held_back", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train.train_classifier(make_set(), config, tmp_path / "model")
    assert (tmp_path / "model" / "trackers.json").exists()
    assert not train.train_classifier(make_set(), config, tmp_path / "model").was_finished
    assert len({options["id"] for name, options in wandb if name == "init"}) == 1


def test_no_key_is_shown(tmp_path, wandb, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwxyz")
    config = replace(CONFIG, epochs=1, dataset="hf_abcdefghijklmnopqrstuvwxyz", tracker=("wandb",))
    train.train_classifier(make_set(), config, tmp_path / "model")
    assert "hf_abcdefghijklmnopqrstuvwxyz" not in str(wandb)
    assert "small_cnn" in str(wandb)


@pytest.mark.parametrize("name", TRACKERS)
def test_one_that_is_not_installed_is_refused_before_anything(name, tmp_path, monkeypatch):
    monkeypatch.setattr("accelerate.tracking._available_trackers", [])
    with pytest.raises(UsageError, match=f"pip install {name}"):
        train.train_classifier(make_set(), replace(CONFIG, tracker=(name,)), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_tracker_that_does_not_start_is_one_line(tmp_path, wandb, monkeypatch):
    from synthset.core.errors import ModelError

    def refuse(**_):
        raise RuntimeError("api_key not configured (no-tty)\ncall wandb login")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    with pytest.raises(ModelError, match=r"'wandb' does not start \(api_key not configured \(no-tty\)\)"):
        train.train_classifier(make_set(), replace(CONFIG, tracker=("wandb",)), tmp_path / "model")
