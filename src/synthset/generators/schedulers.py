"""Schedulers of diffusers by name, set up as its Stable Diffusion pipeline sets them up, and a run of one."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from torch import Tensor

from synthset.core.errors import UsageError, setting
from synthset.core.libraries import library_errors, quiet
from synthset.generators.base import GenerationConfig, ImageRequest
from synthset.generators.families import Family
from synthset.generators.names import AUTO_SCHEDULER, SCHEDULERS

FEW_STEPS, FEW_SCALES = 10, 2.0  # the most that distilled checkpoints are drawn with

logger = logging.getLogger("synthset")


def choose_scheduler(pipeline: Any, family: Family, wanted: str, name: str) -> str:
    """The scheduler's name: one of SCHEDULERS, or the class of the checkpoint's own, if that is none of them.

    'auto' is the family's where that reproduces the noise that the checkpoint was trained with, and it shows no sign
    of having been distilled; else it is the checkpoint's own.

    Raises:
        UsageError: one that does not fit the checkpoint of this name.
    """
    trained = pipeline.scheduler
    own = type(trained).__name__
    own = next((key for key, class_name in SCHEDULERS.items() if class_name == own), own)
    if wanted == AUTO_SCHEDULER:
        is_usual = family.guidance_in(pipeline) == "classifier_free" and not family.distilled_by(pipeline)
        return family.scheduler if is_usual and family.scheduler and _has_noise_of(trained, family.scheduler) else own
    if wanted != own and not _is_discrete(trained):
        raise UsageError(
            f"The scheduler '{wanted}' does not fit '{name}', which takes no other than its own. "
            f"Give {setting('scheduler', AUTO_SCHEDULER)}, which is {own}."
        )
    return wanted


def _is_discrete(scheduler: Any) -> bool:
    """Whether its noise has numbered steps, as that of SCHEDULERS has; not a flow, nor EDM or other levels of noise."""
    config = scheduler.config
    return (
        hasattr(scheduler, "alphas_cumprod")
        and config.get("prediction_type", "epsilon") in ("epsilon", "sample", "v_prediction")
        and config.get("timestep_type", "discrete") == "discrete"
        and not config.get("use_flow_sigmas")
    )


def _has_noise_of(trained: Any, name: str) -> bool:
    """Whether the scheduler of this name, made from the settings that `trained` reads, has its noise in each step."""
    if not _is_discrete(trained):
        return False
    read = inspect.signature(type(trained).__init__).parameters
    try:
        scheduler = _make(trained, name, {key: value for key, value in trained.config.items() if key in read})
    except Exception:  # a noise schedule that it does not know
        return False
    ours, theirs = (torch.as_tensor(each.alphas_cumprod, dtype=torch.float64) for each in (scheduler, trained))
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-6)


def _make(trained: Any, name: str, config: Any) -> Any:
    """A scheduler with the settings of the checkpoint's own."""
    scheduler_class = getattr(diffusers, SCHEDULERS.get(name, type(trained).__name__))
    accepted = inspect.signature(scheduler_class.__init__).parameters
    # diffusers' pipeline enforces these two, whatever the checkpoint says
    enforced = {key: value for key, value in {"steps_offset": 1, "clip_sample": False}.items() if key in accepted}
    with quiet():  # about settings that it does not read
        return scheduler_class.from_config(config, **enforced)


def make_scheduler(trained: Any, config: GenerationConfig) -> Any:
    """The scheduler that the config names, with the noise schedule that the checkpoint was trained with.

    Args:
        trained: the checkpoint's own scheduler.
        config: of the run.
    Raises:
        UsageError: a number of steps that it cannot do, or settings of the checkpoint's own that it cannot take.
    """
    with _refused(trained, config):
        scheduler = _make(trained, config.scheduler, trained.config)
    try_scheduler(scheduler, trained, config)
    return scheduler


def try_scheduler(scheduler: Any, trained: Any, config: GenerationConfig) -> None:
    """Take all steps of a run, of an image of one pixel. Raises UsageError for whatever goes wrong."""
    if config.sampling and config.sampling.anneals and not _is_discrete(scheduler):
        raise UsageError(f"Annealing goes by numbered steps, which the scheduler of '{config.model}' has not. Drop it.")
    state = torch.get_rng_state()
    with _refused(trained, config):
        cpu, zeros = torch.device("cpu"), torch.zeros(1, 1, 1, 1)
        # a copy, for it has a state
        schedule = start(deepcopy(scheduler), config.scheduler, config.num_inference_steps, 0, [torch.Generator()], cpu)
        latents = schedule.begin(zeros)
        for t in schedule.timesteps:
            latents = schedule.step(zeros, t, schedule.scale(latents, t))
        if not torch.equal(state, torch.get_rng_state()):
            raise UsageError(
                f"The scheduler '{config.scheduler}' draws noise that no seed decides. "
                f"Give '{config.model}' another {setting('scheduler')}, e.g. ddim."
            )


def _refused(trained: Any, config: GenerationConfig) -> AbstractContextManager[None]:
    is_own = SCHEDULERS.get(config.scheduler, config.scheduler) == type(trained).__name__
    own = "It is the checkpoint's own: correct scheduler/scheduler_config.json there, or name another checkpoint."
    advice = own if is_own else f"Give {setting('scheduler', AUTO_SCHEDULER)}."
    problem = f"The scheduler '{config.scheduler}' does not go with '{config.model}'"
    return library_errors(problem, advice, UsageError)


def _set_timesteps(scheduler: Any, name: str, num_steps: int, device: torch.device) -> None:
    """Lay out a run of so many steps. Raises UsageError, naming the scheduler, for a number that it cannot do."""
    with library_errors(f"The scheduler '{name}' cannot do {num_steps} steps", kind=UsageError):
        scheduler.set_timesteps(num_steps, device=device)


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


class FewSteps:
    """Says once of a distilled checkpoint that it is drawn as others are.

    Args:
        sign: that it was distilled, see Family.distilled_by; empty for none.
        config: of the run.
    """

    def __init__(self, sign: str, config: GenerationConfig) -> None:
        self._sign, self._config = sign, config

    def check(self, requests: Sequence[ImageRequest]) -> None:
        """Warn of the first request that such a checkpoint draws badly."""
        usual = self._config.num_inference_steps
        if self._sign and any(
            r.guidance_scale > FEW_SCALES or (r.num_inference_steps or usual) > FEW_STEPS for r in requests
        ):
            advice = UsageError(
                f"'{self._config.model}' seems distilled to few steps, for {self._sign}: strong guidance and many "
                f"steps spoil its images. If it is, give {setting('guidance_scale', 1)} and {setting('steps', 4)}."
            )
            logger.warning("%s", advice)
            self._sign = ""
