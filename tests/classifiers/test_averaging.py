"""The moving average of weights: what it is worth after some steps, and that it goes on as it was saved."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from bars import CONFIG, interrupted_in_epoch, make_set, weights
from synthset.classifiers import train
from synthset.classifiers.averaging import WeightAverage


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def step(model):
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(torch.ones_like(value))


def test_each_step_is_weighed_by_its_age():
    model = make_model()
    average = WeightAverage(model, 0.9)
    expected = model[0].weight.detach().clone()
    for number in range(200):
        step(model)
        average.update()
        decay = min(0.9, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * model[0].weight.detach()
    torch.testing.assert_close(average.state["0.weight"], expected)
    assert average.state["1.num_batches_tracked"] == 200  # counts are no mean
    assert average.steps == 200


def test_the_average_is_in_place_for_a_while():
    model = make_model()
    average = WeightAverage(model, 0.5)
    step(model)
    own = model[0].weight.detach().clone()
    with average.in_place():
        assert torch.equal(model[0].weight, average.state["0.weight"])
    assert torch.equal(model[0].weight, own)
    assert not torch.equal(own, average.state["0.weight"])


def test_the_average_of_another_model_is_refused():
    with pytest.raises(RuntimeError, match=r"0\.weight"):
        WeightAverage(make_model(), 0.5).restore({"0.weight": torch.zeros(1)}, 3)


def test_the_average_is_what_is_kept_and_a_resumed_training_has_the_same(tmp_path):
    config = replace(CONFIG, ema_decay=0.95, warmup_epochs=1.0)
    train.train_classifier(make_set(), config, tmp_path / "whole")
    train.train_classifier(make_set(), replace(config, ema_decay=0.0), tmp_path / "plain")
    assert weights(tmp_path / "whole") != weights(tmp_path / "plain")

    with interrupted_in_epoch(3):
        train.train_classifier(make_set(), config, tmp_path / "halves")
    train.train_classifier(make_set(), config, tmp_path / "halves")
    assert weights(tmp_path / "halves") == weights(tmp_path / "whole")
