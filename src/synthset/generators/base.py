"""The seam between planning and drawing: requests to a generator, and its answers.

Anything with the attributes and the method of `Generator` is one; pass your own object wherever a
generator's name is accepted. One that can begin at real images also has that of `DrawsFromImages`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from synthset.core.errors import UsageError, setting
from synthset.generators.memory import NONE
from synthset.generators.sampling import SamplingOptions

EAGER = "eager"
COMPILED = "compiled"
AUTOTUNED = "compiled_max"

Status = Literal["ok", "blank", "flagged", "failed"]


class ImageRequest(Protocol):
    """All that one image depends on beside its generator; `dataset.records.Request` is one."""

    @property
    def prompt(self) -> str:
        """Text to draw."""
        ...

    @property
    def negative_prompt(self) -> str:
        """Text to steer away from; the empty text stands for the unconditional model."""
        ...

    @property
    def guidance_scale(self) -> float:
        """Classifier-free guidance, w of Imagen's equation 2: at 1 or below there is none."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the image's noise, -2**63 ≤ seed < 2**64."""
        ...

    @property
    def num_inference_steps(self) -> int:
        """Denoising steps; 0 stands for those that all images share."""
        ...

    @property
    def initial_image(self) -> str:
        """SHA-256 of the real image's file that drawing begins at, in hexadecimal; empty for none.

        Real guidance: He et al. 2023, section 3.2.
        """
        ...

    @property
    def strength(self) -> float:
        """Share of the sampler's steps that the noised real image passes, in (0, 1]; at 1 nothing of it is left."""
        ...

    @property
    def condition_images(self) -> Sequence[str]:
        """SHA-256 of the files of the real images to be conditioned on, in hexadecimal; empty for none.

        The image is drawn from a mixture of their embeddings, beside its prompt or in its place (Shipard et al.
        2023, section 4.2.2).
        """
        ...

    @property
    def condition_weights(self) -> Sequence[float]:
        """Share of the embedding of each in the mixture: at least 0, and 1 together."""
        ...


ImageConditions = Literal["none", "possible", "needed"]


@dataclass(frozen=True)
class GenerationConfig:
    """The settings that all images of a dataset share: with a request, they determine an image.

    Attributes:
        model: 'miniature', a hub id, or the folder as it was given.
        revision: the hub commit that was used, None for a folder.
        weights_hash: SHA-256 over the names and contents of the weight files, in hexadecimal.
        scheduler: one of `names.SCHEDULERS`, or the class of a checkpoint's own.
        num_inference_steps: denoising steps.
        height_px, width_px: size of the images as they are drawn.
        dtype: number format of the networks: float32, bfloat16 or float16.
        sampling: how it departs from plain sampling; None for not at all.
        variant: of the weight files, such as fp16, where there are no plain ones; else empty.
        parts: SHA-256 over all but the weights that loading reads, by part of the checkpoint.
        engine: runs the denoiser, one of `names.ENGINES`; images of two engines differ by rounding.
        lora, embedding: names of the files that were put into the checkpoint, embeddings with their tokens.
        lora_scale: of each LoRA.
        lora_hash, embedding_hash: SHA-256 over the contents of these files, and the tokens.
        quantise: one of `memory.QUANTISATIONS`, in which the weights are held.
        vae_tiling: whether large images are decoded by tiles.
    """

    model: str
    revision: str | None
    weights_hash: str
    scheduler: str
    num_inference_steps: int
    height_px: int
    width_px: int
    dtype: str
    sampling: SamplingOptions | None = None
    engine: str = EAGER
    variant: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    lora: tuple[str, ...] = ()
    lora_scale: tuple[float, ...] = ()
    lora_hash: str = ""
    embedding: tuple[str, ...] = ()
    embedding_hash: str = ""
    quantise: str = NONE
    vae_tiling: bool = False

    def describe(self) -> dict[str, Any]:
        """Its entry in a job. Keys that came after the first datasets are left out where nothing departs."""
        absent = {item.name: _default_of(item) for item in fields(self) if _default_of(item) is not MISSING}
        return {key: value for key, value in asdict(self).items() if key not in absent or value != absent[key]}


def _default_of(item: Field[Any]) -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default


@dataclass(frozen=True)
class StoredSize:
    """The squares that images are stored as: a generator may shrink to them where it draws, see `finishing`.

    Attributes:
        side_px: of the squares.
        antialias: how they are shrunk, see `images.resize`.
    """

    side_px: int
    antialias: bool = True


@dataclass(frozen=True)
class GeneratedImage:
    """The answer to one request.

    Attributes:
        pixels: uint8 (height_px, width_px, 3), or already of the stored size where the generator was told it; or
            None unless the status is ok.
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
        """The settings that all images of this generator share."""
        ...

    @property
    def preferred_batch_size(self) -> int:
        """How many requests are best passed at once."""
        ...

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """One answer to each request, in the order of the requests. Never raises for a single image."""
        ...


@runtime_checkable
class DrawsFromImages(Protocol):
    """The further method of a `Generator` that can begin at real images, or be conditioned on them.

    One that can be conditioned says so by an attribute `image_conditions`, see `image_conditions_of`.
    """

    def generate_from(
        self, requests: Sequence[ImageRequest], initial_images: Mapping[str, bytes]
    ) -> list[GeneratedImage]:
        """As `generate`, for requests of which some begin at a real image, or are conditioned on some.

        Args:
            requests: as for `generate`.
            initial_images: the files (PNG, JPEG or WebP) that they name, by the SHA-256 of their bytes.
        """
        ...


def image_conditions_of(generator: Generator) -> ImageConditions:
    """Whether it can be conditioned on real images, or draws nothing else; 'none' where it does not say."""
    return getattr(generator, "image_conditions", "none")


def steps_to_pass(strength: float, num_inference_steps: int) -> int:
    """How many of the sampler's steps a noised image passes: `strength` of them, rounded down as diffusers does.

    Raises:
        UsageError: a strength outside (0, 1], or one so small that no step is left.

    >>> steps_to_pass(0.35, 100), steps_to_pass(0.35, 40), steps_to_pass(1.0, 40)
    (35, 14, 40)
    """
    if not 0 < strength <= 1:
        raise UsageError(f"Expected a strength above 0 and at most 1, got {strength:g}.")
    count = int(num_inference_steps * strength)
    if count == 0:
        raise UsageError(
            f"Expected a strength that leaves a step to draw, got {strength:g} of {num_inference_steps} steps. "
            f"Give more {setting('steps')}, or a {setting('strength')} of at least "
            f"{math.ceil(100 / num_inference_steps) / 100:g}."
        )
    return count
