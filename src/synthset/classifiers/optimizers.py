"""Optimisers by name, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

Optimizer = torch.optim.Optimizer


@dataclass(frozen=True)
class OptimizerKind:
    """A function from groups of weights, learning rate and whether to fuse to an optimiser; and a line about it."""

    build: Callable[[list[dict[str, Any]], float, bool], Optimizer]
    summary: str


OPTIMIZERS = {
    "adamw": OptimizerKind(
        lambda groups, rate, fused: torch.optim.AdamW(groups, rate, fused=fused), "AdamW of Loshchilov and Hutter 2019"
    ),
    "sgd": OptimizerKind(
        lambda groups, rate, fused: torch.optim.SGD(groups, rate, momentum=0.9, nesterov=True, fused=fused),
        "stochastic gradient descent with Nesterov's momentum of 0.9",
    ),
    "momentum": OptimizerKind(
        lambda groups, rate, fused: torch.optim.SGD(groups, rate, momentum=0.9, fused=fused),
        "stochastic gradient descent with plain momentum of 0.9",
    ),
    "muon": OptimizerKind(
        lambda groups, rate, fused: _muon(groups, rate),
        "Muon of Jordan et al. 2024 at rates as AdamW's, which has all but matrices",
    ),
}


def _muon(groups: list[dict[str, Any]], learning_rate: float) -> Optimizer:
    _orthogonalise_in_float32_on_a_cpu()
    from timm.optim import Muon

    return Muon(groups, learning_rate, nesterov=True)


@cache
def _orthogonalise_in_float32_on_a_cpu() -> None:
    """Replace timm's function for it, once for the process; Muon itself takes no number format.

    timm's products are of bfloat16. A processor without instructions for that takes 20 times as long for them as for
    float32, and one that has them wins nothing with matrices as small as those of a network that learns on a CPU.
    """
    from timm.optim import muon

    theirs = muon.zeropower_via_newtonschulz

    def zeropower(matrix: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        if matrix.device.type == "cpu":
            options["dtype"] = torch.float32
        return theirs(matrix, *args, **options)

    muon.zeropower_via_newtonschulz = zeropower


def make_optimizer(kind: str, groups: list[dict[str, Any]], learning_rate: float) -> Optimizer:
    """The optimiser of some groups of weights. `kind` is a key of OPTIMIZERS."""
    device = groups[0]["params"][0].device
    return OPTIMIZERS[kind].build(groups, learning_rate, device.type in ("cpu", "cuda"))


def group_weights(
    model: nn.Module, weight_decay: float, layer_decay: float = 1.0, *, decay_all: bool = False
) -> list[dict[str, Any]]:
    """The weights that learn, in groups for an optimiser.

    Args:
        layer_decay: below 1, each layer has an `lr_scale` that is so much smaller than the next one's.
        decay_all: whether biases and the weights of norms decay too: zero is not where they do nothing.
    """
    if layer_decay < 1:
        from timm.optim import param_groups_layer_decay

        return param_groups_layer_decay(model, weight_decay, layer_decay=layer_decay)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if decay_all:
        return [{"params": weights, "weight_decay": weight_decay}]
    matrices, vectors = ([one for one in weights if (one.ndim > 1) is wanted] for wanted in (True, False))
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def rate_at(step: int, highest: float, warmup_steps: int, num_steps: int) -> float:
    """The learning rate of a step, from 0: up along a line, then down to zero along half a cosine.

    >>> [round(rate_at(step, 1.0, 2, 6), 2) for step in range(6)]
    [0.33, 0.67, 1.0, 0.85, 0.5, 0.15]
    """
    if step < warmup_steps:
        return highest * (step + 1) / (warmup_steps + 1)
    return highest * (1 + math.cos(math.pi * (step - warmup_steps) / (num_steps - warmup_steps))) / 2
