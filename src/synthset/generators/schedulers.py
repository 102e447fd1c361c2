"""Schedulers of diffusers by name, set up as its Stable Diffusion pipeline sets them up."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import torch

from synthset.core.errors import UsageError
from synthset.generators.base import GenerationConfig
from synthset.generators.names import SCHEDULERS


def make_scheduler(trained: Any, config: GenerationConfig) -> Any:
    """The scheduler that the config names, with the noise schedule that the checkpoint was trained with.

    Args:
        trained: the checkpoint's own scheduler.
        config: of the run.
    Raises:
        UsageError: a number of steps that it cannot do.
    """
    scheduler_class = getattr(diffusers, SCHEDULERS[config.scheduler])
    accepted = inspect.signature(scheduler_class.__init__).parameters
    # diffusers' pipeline enforces these two, whatever the checkpoint says
    enforced = {"steps_offset": 1, "clip_sample": False}
    settings = {key: value for key, value in enforced.items() if key in accepted}
    scheduler = scheduler_class.from_config(trained.config, **settings)
    set_timesteps(scheduler, config.scheduler, config.num_inference_steps)
    return scheduler


def set_timesteps(scheduler: Any, name: str, num_steps: int, device: torch.device | None = None) -> None:
    """Lay out a run of so many steps. Raises UsageError, naming the scheduler, for a number that it cannot do."""
    try:
        scheduler.set_timesteps(num_steps, device=device)
    except ValueError as error:
        raise UsageError(f"The scheduler '{name}' cannot do {num_steps} steps ({error}).") from error
