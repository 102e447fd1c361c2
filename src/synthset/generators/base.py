"""The seam between planning and drawing: what a generator is asked, and what it answers.

Anything with the attributes and the method of `Generator` is one; pass your own object wherever a
generator's name is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Status = Literal["ok", "blank", "flagged", "failed"]


class ImageRequest(Protocol):
    """What one image depends on, as far as the generator is concerned (`plan.Request` has it all)."""

    @property
    def prompt(self) -> str:
        """What to draw."""
        ...

    @property
    def negative_prompt(self) -> str:
        """What to steer away from; the empty text stands for the unconditional model."""
        ...

    @property
    def guidance_scale(self) -> float:
        """Classifier-free guidance, w of Imagen's equation 2: at 1 or below there is none."""
        ...

    @property
    def seed(self) -> int:
        """Decides the image's noise, -2**63 ≤ seed < 2**64."""
        ...


@dataclass(frozen=True)
class GenerationConfig:
    """What all images of a dataset share: with a request, it determines an image.

    Attributes:
        model: 'miniature', a hub id, or the folder as it was given.
        revision: the hub commit that was used, None for a folder.
        weights_hash: SHA-256 over the names and contents of the weight files, in hexadecimal.
        scheduler: one of `generators.SCHEDULERS`.
        num_inference_steps: denoising steps.
        height_px, width_px: size of the images as they are drawn.
        dtype: what the networks compute in: float32, bfloat16 or float16.
    """

    model: str
    revision: str | None
    weights_hash: str
    scheduler: str
    num_inference_steps: int
    height_px: int
    width_px: int
    dtype: str


@dataclass(frozen=True)
class GeneratedImage:
    """The answer to one request.

    Attributes:
        pixels: uint8 (height_px, width_px, 3), or None unless the status is ok.
        status: ok; blank: one colour all over; flagged: by the checkpoint's safety checker; failed:
            no image came out.
        reason: why the status is not ok, in a few words; empty if it is.
    """

    pixels: np.ndarray | None
    status: Status
    reason: str = ""


class Generator(Protocol):
    """Draws images from requests. An image depends on its request and `config`, not on its batch."""

    @property
    def config(self) -> GenerationConfig:
        """What all images of this generator share."""
        ...

    @property
    def preferred_batch_size(self) -> int:
        """How many requests are best passed at once."""
        ...

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """One answer to each request, in the order of the requests. Never raises for a single image."""
        ...
