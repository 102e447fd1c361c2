"""Optimisers by name, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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
}


def make_optimizer(
    kind: str, model: nn.Module, learning_rate: float, weight_decay: float, *, decay_all: bool
) -> Optimizer:
    """The optimiser of all weights of a model.

    Args:
        kind: a key of OPTIMIZERS.
        decay_all: whether biases and the weights of norms decay too.
    """
    weights = list(model.parameters())
    groups = [{"params": weights, "weight_decay": weight_decay}]
    if not decay_all:  # what is a vector scales or shifts: zero is not where it does nothing
        matrices, vectors = ([one for one in weights if (one.ndim > 1) is wanted] for wanted in (True, False))
        groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return OPTIMIZERS[kind].build(groups, learning_rate, weights[0].device.type in ("cpu", "cuda"))


def rate_at(step: int, highest: float, warmup_steps: int, num_steps: int) -> float:
    """The learning rate of a step, from 0: up along a line, then down to zero along half a cosine.

    >>> [round(rate_at(step, 1.0, 2, 6), 2) for step in range(6)]
    [0.33, 0.67, 1.0, 0.85, 0.5, 0.15]
    """
    if step < warmup_steps:
        return highest * (step + 1) / (warmup_steps + 1)
    return highest * (1 + math.cos(math.pi * (step - warmup_steps) / (num_steps - warmup_steps))) / 2
