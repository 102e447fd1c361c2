"""Groups of weights, the optimisers by name, and the learning rate of each step."""

from __future__ import annotations

import math

import pytest
import torch
from timm.optim.muon import _COEFFICIENTS
from torch import nn

from synthset.classifiers.models import ModelConfig, build_model
from synthset.classifiers.optimizers import OPTIMIZERS, group_weights, make_optimizer, rate_at


def test_the_rate_rises_and_falls():
    rates = [rate_at(step, 0.2, 5, 25) for step in range(25)]
    assert rates[:6] == pytest.approx([0.2 * share / 6 for share in range(1, 7)])
    assert rates[5:] == pytest.approx([0.1 * (1 + math.cos(math.pi * step / 20)) for step in range(20)])
    assert rates[-1] > 0


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimiser_takes_a_step_against_the_gradient(kind):
    layer = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    optimizer = make_optimizer(kind, group_weights(layer, 0.0), 0.1)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert (layer.weight < 1).all()


def test_muon_makes_updates_orthogonal_in_float32_on_a_cpu():
    """In bfloat16 the update would be off by a hundredth; the same iterations in float64 are the measure."""
    torch.manual_seed(0)
    layer = nn.Linear(24, 12, bias=False)
    gradient, before = torch.randn(12, 24), layer.weight.detach().clone()
    layer.weight.grad = gradient.clone()
    make_optimizer("muon", group_weights(layer, 0.0), 1.0).step()
    x = gradient.double() / gradient.double().norm()
    for a, b, c in _COEFFICIENTS["quintic"]:
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    update = (before - layer.weight.detach()).double()
    assert torch.allclose(update / update.norm(), x / x.norm(), atol=1e-5)


def test_norms_and_biases_do_not_decay_unless_all_does():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    matrices, vectors = group_weights(model, 0.3)
    assert [tuple(weight.shape) for weight in matrices["params"]] == [(4, 3, 3, 3)]
    assert (matrices["weight_decay"], vectors["weight_decay"], len(vectors["params"])) == (0.3, 0.0, 3)
    (group,) = group_weights(model, 0.3, decay_all=True)
    assert (len(group["params"]), group["weight_decay"]) == (4, 0.3)


def test_frozen_weights_are_left_out():
    model = nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    assert [len(group["params"]) for group in group_weights(model, 0.1)] == [0, 1]


def test_earlier_layers_learn_slower():
    model = build_model(ModelConfig("test_vit", ("a", "b"), 160))
    groups = group_weights(model, 0.1, layer_decay=0.5)
    scales = {id(weight): group["lr_scale"] for group in groups for weight in group["params"]}
    named = dict(model.named_parameters())
    assert scales[id(named["head.weight"])] == 1
    assert scales[id(named["patch_embed.proj.weight"])] < scales[id(named["blocks.0.mlp.fc1.weight"])] < 1
    assert len(scales) == len(named)
