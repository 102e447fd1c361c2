"""Denoising: latents from noise to images, by any model and any schedule. All that decides a step is an argument.

    latents ─▶ scaled ─▶ model, of guided images with and without the prompt ─▶ guide ─▶ the scheduler's step ─▶ latents

Which steps have guidance depends on the step alone, never on the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor

from synthset.core.progress import tell
from synthset.generators.condition_annealing import ConditionNoise
from synthset.generators.schedulers import Schedule


@dataclass(frozen=True)
class Conditions:
    """Conditions of each row of a model, beside its latents.

    The first n rows are of the images; the rows past n, of the first of them once more without the prompt.

    Attributes:
        text: embeddings (rows, tokens, d); None for a model that reads none.
        images: made of real images, (rows, ...); None for none.
        scales: guidance scales (n, d) as a distilled model reads them; None for others.
        text_noise: noise that the text of the images is seen through; None for none.
    """

    text: Tensor | None
    images: Tensor | None = None
    scales: Tensor | None = None
    text_noise: ConditionNoise | None = None

    def of(self, num_rows: int) -> Conditions:
        """Those of the first rows."""
        text, images = (part if part is None else part[:num_rows] for part in (self.text, self.images))
        return replace(self, text=text, images=images)

    def at(self, time: float) -> Conditions:
        """As they are seen at a time, 1 for pure noise to 0 for the image."""
        if self.text_noise is None or self.text is None:
            return self
        return replace(self, text=self.text_noise.add(self.text, time))


Model = Callable[[Tensor, Tensor, Conditions], Tensor]
"""Latents (rows, c, h, w), a timestep, and conditions of the rows -> a prediction like the latents, float32."""


def denoise(
    model: Model,
    latents: Tensor,
    schedule: Schedule,
    conditions: Conditions,
    scales: Tensor,
    is_guided: Callable[[int, int], bool] = lambda step, num_steps: True,
    restart: Callable[[], None] = lambda: None,
) -> Tensor:
    """Take the steps of a schedule, with classifier-free guidance.

    Args:
        model: predicts the noise in latents, or the velocity, as the scheduler takes it.
        latents: of n images, float32 (n, c, h, w), as noisy as the schedule's first timestep.
        schedule: the timesteps, and how one is taken.
        conditions: of n + g rows, see Conditions.
        scales: guidance scales (g,) of the first g images, w of Imagen's equation 2; the others have no guidance.
        is_guided: whether step i of k has guidance; outside, a step costs n rows.
        restart: called wherever the rows change, so that a model that remembers begins anew.
    Returns:
        Latents without noise, float32 (n, c, h, w).
    Reference: Ho & Salimans 2022, Classifier-Free Diffusion Guidance, algorithm 2.
    """
    n, num_steps = len(latents), len(schedule.timesteps)
    for guided, steps in groupby(range(schedule.first, num_steps), key=lambda step: is_guided(step, num_steps)):
        of_steps = scales if guided else scales[:0]
        seen = conditions.of(n + len(of_steps))
        restart()  # even if no image here is guided: none depends on its batch
        for t in schedule.timesteps[list(steps)]:
            rows = schedule.scale(latents, t)
            if len(of_steps):
                rows = torch.cat([rows, rows[: len(of_steps)]])
            predicted = model(rows, t, seen.at(schedule.time(t)))
            latents = schedule.step(guide(predicted, of_steps), t, latents)
            tell(n / (num_steps - schedule.first))
    return latents


def guide(predicted: Tensor, scales: Tensor) -> Tensor:
    """Predictions with guidance: ε(z) + w (ε(z, c) - ε(z)), Imagen's equation 2.

    Args:
        predicted: (n + g, c, h, w), with the prompt, then of the first g without; overwritten.
        scales: w of these, (g,).
    Returns:
        (n, c, h, w); rows past g are as they were.
    """
    n, g = len(predicted) - len(scales), len(scales)
    unconditional = predicted[n:]
    predicted[:g].sub_(unconditional).mul_(scales.view(-1, 1, 1, 1)).add_(unconditional)
    return predicted[:n]
