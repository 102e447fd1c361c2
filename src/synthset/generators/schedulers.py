"""Schedulers of diffusers by name, set up as its Stable Diffusion pipeline sets them up, and a run of one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from torch import Tensor

from synthset.core.errors import UsageError, setting
from synthset.generators.base import GenerationConfig
from synthset.generators.families import Family
from synthset.generators.names import AUTO_SCHEDULER, SCHEDULERS


def choose_scheduler(pipeline: Any, family: Family, wanted: str, name: str) -> str:
    """The scheduler's name: one of SCHEDULERS, or the class of the checkpoint's own, if that is none of them.

    Raises:
        UsageError: one that does not fit the checkpoint of this name.
    """
    if family.own_loop and family.scheduler is not None:
        return family.scheduler if wanted == AUTO_SCHEDULER else wanted
    own = type(pipeline.scheduler).__name__
    own = next((key for key, class_name in SCHEDULERS.items() if class_name == own), own)
    if wanted == AUTO_SCHEDULER:
        distilled = family.guidance_in(pipeline) != "classifier_free"
        wanted = own if distilled or family.scheduler is None else family.scheduler
    flows = pipeline.scheduler.config.get("prediction_type") == "flow_prediction"
    if wanted != own and (own not in SCHEDULERS or flows):
        raise UsageError(
            f"The scheduler '{wanted}' does not fit '{name}', which takes no other than its own. "
            f"Give {setting('scheduler', AUTO_SCHEDULER)}, which is {own}."
        )
    return wanted


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
    _set_timesteps(scheduler, config.scheduler, config.num_inference_steps)
    return scheduler


def _set_timesteps(scheduler: Any, name: str, num_steps: int, device: torch.device | None = None) -> None:
    """Lay out a run of so many steps. Raises UsageError, naming the scheduler, for a number that it cannot do."""
    try:
        scheduler.set_timesteps(num_steps, device=device)
    except ValueError as error:
        raise UsageError(f"The scheduler '{name}' cannot do {num_steps} steps ({error}).") from error


@dataclass(frozen=True)
class Schedule:
    """One run of a scheduler, from noise or from a later step on; the scheduler holds its state.

    Attributes:
        scheduler: of diffusers, its timesteps set.
        first: index of the first timestep that is taken.
        options: further arguments of each step.
    """

    scheduler: Any
    first: int
    options: dict[str, Any]

    @property
    def timesteps(self) -> Tensor:
        """All timesteps (k,) of the run, also those before the first that is taken."""
        return self.scheduler.timesteps

    def begin(self, noise: Tensor, images: Tensor | None = None) -> Tensor:
        """Latents to begin with, from noise and, where some timesteps are skipped, the latents of images; (n, ...)."""
        if images is None:
            return noise * self.scheduler.init_noise_sigma
        timesteps = self.timesteps[self.first : self.first + 1].repeat(len(noise))
        return self.scheduler.add_noise(images, noise, timesteps)

    def scale(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """Latents as the model is shown them."""
        return self.scheduler.scale_model_input(latents, timestep)

    def step(self, prediction: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        """Latents of the next timestep, (n, ...) like the prediction."""
        return self.scheduler.step(prediction, timestep, latents, **self.options, return_dict=False)[0]

    def time(self, timestep: Tensor) -> float:
        """From 1, where an image is pure noise, to 0."""
        return float(timestep) / self.scheduler.config.num_train_timesteps


def start(
    scheduler: Any,
    name: str,
    num_steps: int,
    first_step: int,
    generators: Sequence[torch.Generator],
    device: torch.device,
) -> Schedule:
    """A run of a scheduler of this name in so many steps, of which those before `first_step` are skipped.

    Schedulers that draw noise draw it from the generators, one an image, as in diffusers' pipeline.

    Raises:
        UsageError: a number of steps that the scheduler cannot do.
    """
    _set_timesteps(scheduler, name, num_steps, device)
    skipped = first_step * scheduler.order  # some have two timesteps a step
    if skipped and hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped)
    accepted = inspect.signature(scheduler.step).parameters
    options = {"generator": list(generators), "eta": 0.0}
    return Schedule(scheduler, skipped, {key: value for key, value in options.items() if key in accepted})
