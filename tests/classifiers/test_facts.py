"""Facts of a classifier: those of its folder, and none of another's."""

import dataclasses

from bars import CONFIG, make_set
from synthset.classifiers.facts import read_facts
from synthset.classifiers.stage import train
from synthset.classifiers.training_set import fingerprint
from synthset.core.files import write_json


def test_facts_are_those_of_the_training(tmp_path):
    config = dataclasses.replace(CONFIG, epochs=1)
    train(make_set(), tmp_path / "first", config)
    facts = read_facts(tmp_path / "first")
    assert (facts.num_training, facts.epoch, facts.seen) == (45, 1, "")
    assert facts.fingerprint == fingerprint(make_set())
    assert (facts.settings["learning_rate"], facts.settings["weights"]) == (3e-3, None)
    train(make_set(seed=1), tmp_path / "second", dataclasses.replace(config, weights=str(tmp_path / "first")))
    facts = read_facts(tmp_path / "second")
    assert facts.seen == f"synthetic images alone, of the weights in '{tmp_path / 'first'}'"
    assert facts.settings["weights"].startswith("sha256:")


def test_where_none_was_trained_there_are_none(tmp_path):
    assert read_facts(tmp_path) is None
    write_json(tmp_path / "config.json", {"kind": "clip"})
    write_json(tmp_path / "training.json", {})
    assert read_facts(tmp_path) is None
