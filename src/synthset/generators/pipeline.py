"""Any other text-to-image pipeline of diffusers as a generator; `families` declares each.

A pipeline takes one guidance scale a call, so requests are drawn in groups of one scale:

    requests ─▶ groups of one scale and number of steps ─▶ a call each ─▶ inspect ─▶ images in the requests' order

Where prompts are padded to the longest of a call, a group has one prompt too. Each image draws its noise from its own
random generator on the CPU, so it does not depend on the batch that it is in. A random guidance makes a call for each
image; for Stable Diffusion 1.x and 2.x, `latent_diffusion` does not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from diffusers import DiffusionPipeline

from synthset.core.cpu import tune_for_cpu
from synthset.core.errors import UsageError, setting
from synthset.core.libraries import library_errors, quiet
from synthset.core.progress import tell
from synthset.generators.base import AUTOTUNED, EAGER, GeneratedImage, GenerationConfig, ImageRequest, StoredSize
from synthset.generators.compiled_unet import compile_network, compiler_errors
from synthset.generators.families import FAMILIES, denoiser_of
from synthset.generators.finishing import expect_numbers, finish
from synthset.generators.image_conditioning import is_conditioned
from synthset.generators.memory import MemoryOptions
from synthset.generators.names import SCHEDULERS
from synthset.generators.placing import place_pipeline
from synthset.generators.reading import EmbeddedTokens, reader_of
from synthset.generators.schedulers import FewSteps, make_scheduler, try_scheduler

logger = logging.getLogger("synthset")


@dataclass(frozen=True)
class _Call:
    """The settings that all images of one call of the pipeline share.

    Attributes:
        num_inference_steps, guidance_scale: of each.
        has_negative_prompt: whether any is passed.
        texts: the prompt and the negative prompt, of a family that takes one of each a call.
    """

    num_inference_steps: int
    guidance_scale: float
    has_negative_prompt: bool
    texts: tuple[str, str] | None


class PipelineGenerator:
    """Draws with a pipeline of diffusers that is in `families.FAMILIES`."""

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        config: GenerationConfig,
        device: torch.device,
        stored: StoredSize | None = None,
        memory: MemoryOptions | None = None,
        embedded: EmbeddedTokens | None = None,
    ) -> None:
        """Take over `pipeline`, whose networks already have the dtype of `config`, and its scheduler.

        Images are shrunk to the size `stored`, if one is given; networks lie where `memory` says, and read the tokens
        that were `embedded`.
        """
        self.family = FAMILIES[type(pipeline).__name__]
        self.guidance = self.family.guidance_in(pipeline)
        self._few_steps = FewSteps(self.family.distilled_by(pipeline), config)
        self.config = config
        self.device = device
        self.stored = stored
        self._check_size(pipeline)
        # the class of each family has its own signature of __call__
        self.pipeline: Any = place_pipeline(pipeline, memory or MemoryOptions(), device)
        trained = pipeline.scheduler
        if SCHEDULERS.get(config.scheduler, type(trained).__name__) != type(trained).__name__:
            self.pipeline.scheduler = make_scheduler(trained, config)
        elif self.family.scheduler is not None:  # the pipeline steps as our own loop does, whatever it is that steps
            try_scheduler(trained, trained, config)
        self.pipeline.set_progress_bar_config(disable=True)
        threshold = config.sampling.block_cache if config.sampling else 0.0
        self._has_cache = threshold > 0
        if self._has_cache:
            self._cache_blocks(threshold)
        if config.engine != EAGER:
            # for another number of images it is compiled once more, then for any number
            compile_network(denoiser_of(self.pipeline), autotune=config.engine == AUTOTUNED)
        if device.type == "cpu":
            tune_for_cpu()
        if hasattr(self.pipeline.vae, "enable_slicing"):
            self.pipeline.vae.enable_slicing()  # one image at a time: decoding takes the most memory
        self.embedded = embedded or EmbeddedTokens()
        self.text_reader = reader_of(self.pipeline, self.embedded)
        self._warned: set[str] = set()
        self._is_sound = False

    @property
    def preferred_batch_size(self) -> int:
        """Images a batch: enough to keep the device busy, few enough for its memory."""
        pixels = self.config.height_px * self.config.width_px
        if self.device.type != "cuda":
            return max(1, min(128, 2**19 // pixels))
        free_bytes, _ = torch.cuda.mem_get_info(self.device)
        bytes_per_image = pixels * 2**11  # 2 GiB at 1024 × 1024: two rows of activations and their attention
        return 2 ** int(math.log2(min(64, max(1, free_bytes // bytes_per_image))))

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """Draw all requests, those of one guidance scale together.

        Returns:
            One answer to each request, in order. Images that are blank, not a number, or flagged by the
            checkpoint's safety checker have a status that says so, and no pixels.
        Raises:
            UsageError: a request that begins at a real image, or is conditioned on some.
            ModelError: the pipeline refuses a request, or gives nothing but what is no number.
        """
        self._check(requests)
        self._few_steps.check(requests)
        groups: dict[tuple[_Call, int], list[int]] = {}
        for i, request in enumerate(requests):
            # a block cache goes by the mean of a call, of which no image may depend
            groups.setdefault((self._call_of(request), i if self._has_cache else 0), []).append(i)
        images: dict[int, GeneratedImage] = {}
        for (call, _), rows in groups.items():
            images |= zip(rows, self._draw(call, [requests[i] for i in rows]), strict=True)
        return [images[i] for i in range(len(requests))]

    def _call_of(self, request: ImageRequest) -> _Call:
        scale, negative = request.guidance_scale, request.negative_prompt
        # at 1 and below there is no second prediction, whatever the scale and the negative prompt
        if self.guidance == "none" or (self.guidance == "classifier_free" and scale <= 1):
            scale = 1.0
        if self.guidance != "classifier_free" or not self.family.negative_prompts or scale == 1:
            negative = ""
        return _Call(
            num_inference_steps=request.num_inference_steps or self.config.num_inference_steps,
            guidance_scale=scale,
            has_negative_prompt=bool(negative),
            texts=(request.prompt, negative) if self.family.one_prompt_a_call else None,
        )

    def _draw(self, call: _Call, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """One call of the pipeline."""
        family = self.family
        options = {family.scale_argument: call.guidance_scale - 1 + family.no_guidance, **family.call}
        if call.num_inference_steps != 2:
            options |= family.unless_two_steps
        if call.has_negative_prompt:
            options["negative_prompt"] = [self.embedded.expand(request.negative_prompt) for request in requests]
        elif self.guidance == "classifier_free" and family.unconditional is not None and call.guidance_scale > 1:
            options["negative_prompt"] = [family.unconditional] * len(requests)
        for name in {"callback_on_step_end", "callback"} & signature(self.pipeline).parameters.keys():
            options[name] = _telling(len(requests) / call.num_inference_steps)
        if self._has_cache:
            denoiser_of(self.pipeline)._reset_stateful_cache()
        compiling = compiler_errors() if self.config.engine != EAGER else nullcontext()
        with library_errors(f"The pipeline of '{self.config.model}' cannot draw"), compiling, quiet():
            drawn = self.pipeline(
                prompt=[self.embedded.expand(request.prompt) for request in requests],
                num_inference_steps=call.num_inference_steps,
                height=self.config.height_px,
                width=self.config.width_px,
                generator=[torch.Generator().manual_seed(request.seed) for request in requests],
                output_type="pt",
                **options,
            )
        values = drawn.images.float()  # (n, 3, height_px, width_px) in 0..1
        finite = values.isfinite().flatten(1).all(1)
        self._is_sound = self._is_sound or expect_numbers(finite, self.config)
        pixels = (values.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8)
        flagged = getattr(drawn, "nsfw_content_detected", None) or [False] * len(requests)
        return finish(pixels, finite, flagged, self.stored)

    def _check(self, requests: Sequence[ImageRequest]) -> None:
        """Refuse requests that cannot be drawn, and warn once of those that have no effect."""
        if any(request.initial_image for request in requests):
            raise UsageError(
                f"Expected requests that begin at noise, got one that begins at a real image: '{self.config.model}' "
                "cannot. Leave out the initial images, or use a Stable Diffusion 1.x or 2.x checkpoint."
            )
        if any(is_conditioned(request) for request in requests):
            raise UsageError(
                f"Expected requests without condition_images: '{self.config.model}' cannot be conditioned on images. "
                "Use the miniature, or an image-variation or unCLIP checkpoint."
            )
        if self.guidance == "none" and any(r.guidance_scale > 1 or r.negative_prompt for r in requests):
            self._warn_once("'%s' draws without guidance: scales and negative prompts have no effect.")
        reads_none = self.guidance == "embedded" or (self.guidance != "none" and not self.family.negative_prompts)
        if reads_none and any(request.negative_prompt for request in requests):
            self._warn_once("'%s' reads its guidance scale and no negative prompts: these have no effect.")

    def _cache_blocks(self, threshold: float) -> None:
        """Have the transformer remember what all blocks but the first add; diffusers' FirstBlockCache."""
        from diffusers import FirstBlockCacheConfig

        if self.config.engine != EAGER:
            raise UsageError(
                f"Expected {setting('block_cache')} or the engine '{self.config.engine}', got both: which blocks are "
                "left out is known in each step alone. Drop one."
            )
        with library_errors(
            f"The transformer of '{self.config.model}' has no block cache", f"Leave out {setting('block_cache')}."
        ):
            denoiser_of(self.pipeline).enable_cache(FirstBlockCacheConfig(threshold=threshold))

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            logger.warning(message, self.config.model)

    def _check_size(self, pipeline: Any) -> None:
        # pipelines round other sizes or refuse them; every one wants a multiple of 8
        multiple = math.lcm(8, pipeline.vae_scale_factor * self.family.patch)
        for side, size_px in (("height", self.config.height_px), ("width", self.config.width_px)):
            if size_px < multiple or size_px % multiple:
                raise UsageError(f"Expected a {side} divisible by {multiple} for '{self.config.model}', got {size_px}.")
        trained = self.family.trained_size_px(pipeline)
        if self.family.one_area and self.config.height_px * self.config.width_px != trained[0] * trained[1]:
            raise UsageError(
                f"Expected {setting('height_px')} times {setting('width_px')} as {trained[0]} × {trained[1]} for "
                f"'{self.config.model}', which draws at that area alone, got {self.config.height_px} × "
                f"{self.config.width_px}."
            )


def _telling(images_per_step: float) -> Callable[..., dict[str, Any]]:
    """What a pipeline calls after each step: tells of the progress and changes nothing."""

    def callback(*_: Any) -> dict[str, Any]:
        tell(images_per_step)
        return {}

    return callback
