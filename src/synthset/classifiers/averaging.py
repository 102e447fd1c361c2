"""Moving averages of weights, which are often better than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a model's weights and buffers, beside the model.

    Those of torch and timm copy the module, which one that belongs to several processes cannot be.

    Attributes:
        decay: how much of the average stays at each step, in [0, 1); it begins at a tenth and grows towards that, so
            that the random weights of the start are soon forgotten.
        state: the average by name, as `state_dict` names it.
        steps: how many were averaged.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model as it is after a step."""
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        current = self.model.state_dict()
        floats = [name for name, value in current.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[name] for name in floats], [current[name] for name in floats], share)
        for name in current.keys() - floats:  # counts
            self.state[name].copy_(current[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the average for its weights, for the time of the block."""
        own = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.state)
        try:
            yield
        finally:
            self.model.load_state_dict(own)

    def restore(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Go on from an average that was saved. Raises RuntimeError where it is another model's."""
        for name, value in self.state.items():
            if name not in state or state[name].shape != value.shape:
                raise RuntimeError(f"its average has no '{name}' of shape {tuple(value.shape)}")
            value.copy_(state[name])
        self.steps = steps
