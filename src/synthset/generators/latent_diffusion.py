"""Our own sampling loop for the Stable Diffusion family: one batch mixes prompts, scales and seeds.

diffusers' pipeline takes one guidance scale a call, so a random scale for each image would mean a call
for each image. Here the scale is a vector. Each image draws from its own random generator on the CPU, so
it does not depend on the batch it is in. In float32 it draws the images of `StableDiffusionPipeline`.

    requests ─▶ noise, text embeddings ─▶ denoise ─▶ latents ─▶ decode ─▶ inspect ─▶ images with a status
                 ▲ real images, encoded or embedded

A request may begin at a real image (real guidance): its latents are noised to the step that the strength asks
for and take the steps from there on, as in `StableDiffusionImg2ImgPipeline`. With two differences. That draws
the latents of the image from the encoder's posterior, ours are its mode: the noise is then the only thing
that the seed decides, the same with and without an image, and an image is encoded once for all its requests.
And at strength 1 ours is pure noise, the image that the request draws without a real one; diffusers leaves as
much of the real image as the first timestep does.

A request may be conditioned on real images, where the checkpoint can be, see image_conditioning.py.

`SamplingOptions` depart from diffusers' pipeline, for speed or for diversity; without them nothing does. Which steps
have guidance, compute the deep blocks or see the prompt through noise depends on the step alone, never on the batch.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.embeddings import get_timestep_embedding
from PIL import Image
from torch import Tensor

from synthset.core.cpu import tune_for_cpu
from synthset.core.errors import ModelError, UsageError, setting
from synthset.core.libraries import library_errors
from synthset.generators.base import (
    AUTOTUNED,
    EAGER,
    GeneratedImage,
    GenerationConfig,
    ImageConditions,
    ImageRequest,
    StoredSize,
    steps_to_pass,
)
from synthset.generators.compiled_unet import CompiledUNet, choose_rows_per_call
from synthset.generators.condition_annealing import ConditionNoise
from synthset.generators.deep_cache import DeepCache
from synthset.generators.denoising import Conditions, denoise
from synthset.generators.families import FAMILIES
from synthset.generators.fast_unet import Remembering, remember_text_projections, use_convolutions_for_attention
from synthset.generators.finishing import expect_numbers, finish
from synthset.generators.image_conditioning import (
    MAX_CACHED_EMBEDDINGS,
    ImageAdapter,
    conditioning_of,
    is_conditioned,
    mix,
)
from synthset.generators.memory import MemoryOptions
from synthset.generators.placing import place
from synthset.generators.reading import EmbeddedTokens, reader_of
from synthset.generators.real_images import RealImages
from synthset.generators.sampling import SamplingOptions
from synthset.generators.schedulers import FewSteps, make_scheduler, start
from synthset.images.decoding import resize

MAX_CACHED_PROMPTS = 1024  # 120 MB for Stable Diffusion in bfloat16
MAX_CACHED_IMAGES = 1024  # 64 MB of latents for Stable Diffusion


@dataclass(frozen=True, order=True)
class _Path:
    """The way of an image from noise, or from a real image on; images of one path are denoised together.

    Attributes:
        num_steps: that the sampler divides it into.
        first_step: that the image begins at: 0, unless it begins at a real image.
        is_conditioned: on real images.
    """

    num_steps: int
    first_step: int
    is_conditioned: bool


class LatentDiffusionGenerator:
    """Draws with a text encoder, a UNet, a scheduler and a VAE, as Stable Diffusion 1.x and 2.x have them.

    Or from images, by a pipeline that has an image encoder beside, or in place of, the text encoder.
    """

    def __init__(
        self,
        pipeline: Any,
        config: GenerationConfig,
        device: torch.device,
        stored: StoredSize | None = None,
        adapter_folder: Path | None = None,
        memory: MemoryOptions | None = None,
        embedded: EmbeddedTokens | None = None,
    ) -> None:
        """Take over the parts of `pipeline`, whose networks already have the dtype of `config`.

        Args:
            pipeline: of a family with `own_loop`.
            config: of all its images.
            device: to draw on.
            stored: the size that images are shrunk to, if one is given.
            adapter_folder: of a checkpoint that has an image adapter beside its parts, to be conditioned by.
            memory: where the networks lie, and how many images are decoded at once.
            embedded: tokens that embeddings brought.
        """
        self._check_parts(pipeline, config)
        self.config = config
        self.sampling = config.sampling or SamplingOptions()
        self.device = device
        self.stored = stored
        self.memory, self.embedded = memory or MemoryOptions(), embedded or EmbeddedTokens()
        self.dtype: torch.dtype = getattr(torch, config.dtype)
        self.conditioning = conditioning_of(pipeline, config.model, device)
        self.reads_text = self.conditioning is None or self.conditioning.reads_text
        if self.reads_text:
            self.tokenizer = pipeline.tokenizer
            self.text_reader = reader_of(pipeline, self.embedded)
            self.text_encoder = pipeline.text_encoder
        self.unet = pipeline.unet.to(memory_format=torch.channels_last)
        self.vae = pipeline.vae.to(memory_format=torch.channels_last)
        self.safety_checker = getattr(pipeline, "safety_checker", None)
        self.feature_extractor = pipeline.feature_extractor
        self.scheduler = make_scheduler(pipeline.scheduler, config)
        self._memories: list[Remembering | DeepCache | CompiledUNet] = [*remember_text_projections(self.unet)]
        if self.sampling.cache_interval > 1:
            self._memories.append(DeepCache(self.unet, self.sampling.cache_interval))
        if device.type == "cpu":
            tune_for_cpu()
            # MKL, which other dtypes do not go through, is what they are faster than
            if self.dtype == torch.float32 and not self.memory.is_quantised:
                use_convolutions_for_attention(self.unet)
        if adapter_folder is not None:
            self.conditioning = ImageAdapter(self.unet, adapter_folder, config.model, device)
        self._place_networks()
        if self.conditioning is not None:
            self._check_options_for_images()
            self._memories += self.conditioning.memories
            self._image_embeddings = RealImages(self.conditioning.embed, MAX_CACHED_EMBEDDINGS)
        if config.engine != EAGER:
            self.compile_unet(autotune=config.engine == AUTOTUNED)
        self._embeddings: OrderedDict[str, Tensor] = OrderedDict()
        self._image_latents = RealImages(self._encode_image, MAX_CACHED_IMAGES)
        self._few_steps = FewSteps(FAMILIES[type(pipeline).__name__].distilled_by(pipeline), config)
        self._is_sound = False

    def _place_networks(self) -> None:
        """Bring them to the device, in the order in which they compute."""
        networks = (getattr(self, "text_encoder", None), self.unet, self.vae, self.safety_checker)
        place([network for network in networks if network is not None], self.memory, self.device)

    def _check_options_for_images(self) -> None:
        if self.sampling.anneals:
            raise UsageError(
                f"Annealing is of prompts, and '{self.config.model}' is conditioned on images. Leave it out."
            )
        if self.config.engine != EAGER:
            raise UsageError(
                f"Expected the engine '{EAGER}' to draw from images with '{self.config.model}', got "
                f"'{self.config.engine}'. Leave it out."
            )

    @property
    def image_conditions(self) -> ImageConditions:
        """Whether it can be conditioned on real images, or draws nothing else."""
        if self.conditioning is None:
            return "none"
        return "needed" if self.conditioning.is_needed else "possible"

    def compile_unet(
        self,
        rows_per_call: int | None = None,
        backend: str | Callable[..., Any] = "inductor",
        autotune: bool = False,
    ) -> None:
        """Have the UNet compiled in the first batch; see CompiledUNet. What the engines but 'eager' do."""
        _, _, height, width = self._latent_shape
        size = rows_per_call or choose_rows_per_call(height, width, self.device)
        self.unet = CompiledUNet(self.unet, size, backend, autotune)
        self._memories = [self.unet]

    @property
    def preferred_batch_size(self) -> int:
        """Images a batch: enough to keep the device busy, few enough for its memory.

        On a CPU a row of a small UNet costs the same from about 128 rows on, and 128 images make up to 256. A GPU
        draws 64 images of Stable Diffusion together, and more of smaller latents, up to 256.
        """
        _, _, height, width = self._latent_shape
        if self.device.type != "cuda":
            return max(1, min(128, 2**13 // (height * width)))
        most = min(256, max(64, 2**18 // (height * width)))
        free_bytes, _ = torch.cuda.mem_get_info(self.device)
        bytes_per_image = height * width * 2**17  # 0.5 GiB at 64 × 64: two UNet rows and room to decode
        return 2 ** int(math.log2(min(most, max(1, free_bytes // bytes_per_image))))

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """Draw all requests as one batch.

        Returns:
            One answer to each request, in order. Images that are blank, not a number, or flagged by the
            checkpoint's safety checker have a status that says so, and no pixels.
        Raises:
            UsageError: a request that begins at a real image; `generate_from` draws these.
        """
        return self.generate_from(requests, {})

    @torch.inference_mode()
    def generate_from(
        self, requests: Sequence[ImageRequest], initial_images: Mapping[str, bytes]
    ) -> list[GeneratedImage]:
        """Draw all requests as one batch, some of them from real images on, or conditioned on real images.

        Requests of one strength and number of steps take them together, whatever their prompts and scales; those
        that are conditioned on images, and those that are not, apart.

        Args:
            requests: of any strengths, in any order.
            initial_images: the files that they begin at, or are conditioned on, by the SHA-256 of their bytes. To
                begin at they are shrunk or enlarged to the drawn size.
        Returns:
            As `generate`.
        Raises:
            UsageError: an image that is not among `initial_images`, a strength or weights that cannot be, or
                conditions or texts that this checkpoint does not read.
            DataError: an image that does not decode.
            ModelError: a part of the checkpoint fails, or all that it gives is no number.
        """
        if not requests:
            return []
        self._check_conditions(requests)
        self._few_steps.check(requests)
        with library_errors(f"'{self.config.model}' cannot draw"):
            return self._draw(requests, initial_images)

    def _draw(self, requests: Sequence[ImageRequest], initial_images: Mapping[str, bytes]) -> list[GeneratedImage]:
        paths = [self._path(request) for request in requests]
        # in groups that take the same steps; in each the guided rows first, so that the rows with an
        # unconditional pass are a slice
        order = sorted(range(len(requests)), key=lambda i: (paths[i], requests[i].guidance_scale <= 1))
        groups = [(path, list(rows)) for path, rows in groupby(order, key=paths.__getitem__)]
        latents = torch.cat(
            [self._draw_latents([requests[i] for i in rows], path, initial_images) for path, rows in groups]
        )
        pixels, finite = self._decode(latents)
        self._is_sound = self._is_sound or expect_numbers(finite, self.config)
        flagged = self._flag(pixels)
        images = dict(zip(order, finish(pixels, finite, flagged, self.stored), strict=True))
        return [images[i] for i in range(len(requests))]

    def _check_conditions(self, requests: Sequence[ImageRequest]) -> None:
        conditioned, name = [is_conditioned(request) for request in requests], self.config.model
        if any(conditioned) and self.conditioning is None:
            raise UsageError(
                f"Expected requests without images as conditions: '{name}' was not loaded to be conditioned on images. "
                "Give load_generator image_conditions=True."
            )
        if self.conditioning is None:
            return
        if self.conditioning.is_needed and not all(conditioned):
            raise UsageError(
                f"Expected requests with condition_images: '{name}' draws from images alone. Draw with the strategies "
                "interpolate_three and interpolate_all."
            )
        texts = [text for request in requests for text in (request.prompt, request.negative_prompt) if text]
        if texts and not self.reads_text:
            raise UsageError(
                f"Expected requests without a prompt: '{name}' reads images and no text, got '{texts[0]}'. Draw with "
                f"the strategies interpolate_three and interpolate_all, and no {setting('negative_prompt')}."
            )

    def _path(self, request: ImageRequest) -> _Path:
        steps = request.num_inference_steps or self.config.num_inference_steps
        if steps < 1:
            raise UsageError(f"Expected at least 1 inference step for an image, got {steps}.")
        first = steps - steps_to_pass(request.strength, steps) if request.initial_image else 0
        return _Path(steps, first, is_conditioned(request))

    def _draw_latents(self, requests: Sequence[ImageRequest], path: _Path, files: Mapping[str, bytes]) -> Tensor:
        """Latents of requests of one path, float32 (n, c, h, w). Guided requests come first."""
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        # a distilled UNet is given its scale, and needs no second row
        guided = [] if self._embeds_scale else [request for request in requests if request.guidance_scale > 1]
        scales = torch.tensor([request.guidance_scale for request in guided], dtype=torch.float32)
        conditions = self._conditions(requests, guided, generators, files if path.is_conditioned else None)
        schedule = start(
            self.scheduler, self.config.scheduler, path.num_steps, path.first_step, generators, self.device
        )
        noise = torch.cat([torch.randn(self._latent_shape, generator=generator) for generator in generators])
        names = [request.initial_image for request in requests] if path.first_step else []
        known = torch.cat(self._image_latents.of(names, files)) if names else None
        latents = schedule.begin(noise.to(self.device), known)
        try:
            return denoise(
                self._predict,
                latents,
                schedule,
                conditions,
                scales.to(self.device),
                self.sampling.guides,
                self._forget,
            )
        finally:
            self._forget()

    def _conditions(
        self,
        requests: Sequence[ImageRequest],
        guided: Sequence[ImageRequest],
        generators: Sequence[torch.Generator],
        files: Mapping[str, bytes] | None,
    ) -> Conditions:
        """Conditions of the requests, and once more of the guided ones, which come first, without the prompt.

        `files` are of the images that all of them are conditioned on; None where none is on any.
        """
        # a negative prompt a guided row: the rows past n are the unconditional ones
        texts = [request.prompt for request in requests] + [request.negative_prompt for request in guided]
        images = None
        if files is not None and self.conditioning is not None:
            mixtures = mix(requests, self._image_embeddings, files)
            images = self.conditioning.prepare(mixtures, len(guided), generators)
        annealing = self.sampling.annealing if self.sampling.anneals else None
        return Conditions(
            text=self._encode(texts) if self.reads_text else None,
            images=images,
            scales=self._embed_scales([request.guidance_scale for request in requests]) if self._embeds_scale else None,
            text_noise=annealing and ConditionNoise(annealing, [request.seed for request in requests]),
        )

    def _predict(self, latents: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """The UNet as a `denoising.Model`."""
        if self.conditioning is None or conditions.images is None:
            arguments = {"encoder_hidden_states": conditions.text}
        else:
            arguments = self.conditioning.arguments(conditions.text, conditions.images)
        latents = latents.to(self.dtype)
        return self.unet(latents, timestep, **arguments, timestep_cond=conditions.scales, return_dict=False)[0].float()

    def _forget(self) -> None:
        for memory in self._memories:
            memory.forget()

    @property
    def _embeds_scale(self) -> bool:
        """Whether the UNet was distilled to take its guidance scale as an input, as latent consistency models are."""
        return self.unet.config.time_cond_proj_dim is not None

    def _embed_scales(self, scales: Sequence[float]) -> Tensor:
        """Scales as a distilled UNet reads them, (n, d): Luo et al. 2023 count the scale from 0, not from 1."""
        counted = (torch.tensor(scales, dtype=torch.float32) - 1) * 1000
        embedded = get_timestep_embedding(counted, self.unet.config.time_cond_proj_dim)
        return embedded.to(self.device, self.dtype)

    def _encode(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (len(texts), tokens, d); each distinct text passes the encoder once."""
        distinct = dict.fromkeys(texts)
        new = [text for text in distinct if text not in self._embeddings]
        if new:
            self._embeddings.update(zip(new, self._encode_new(new), strict=True))
        embeddings = torch.stack([self._embeddings[text] for text in texts])
        for text in distinct:
            self._embeddings.move_to_end(text)
        while len(self._embeddings) > MAX_CACHED_PROMPTS:
            self._embeddings.popitem(last=False)
        return embeddings

    def _encode_new(self, texts: list[str]) -> Tensor:
        max_tokens = min(self.tokenizer.model_max_length, self.text_encoder.config.max_position_embeddings)
        expanded = [self.embedded.expand(text) for text in texts]
        tokens = self.tokenizer(
            expanded, padding="max_length", max_length=max_tokens, truncation=True, return_tensors="pt"
        )
        mask = None
        if getattr(self.text_encoder.config, "use_attention_mask", False):
            mask = tokens.attention_mask.to(self.device)
        return self.text_encoder(tokens.input_ids.to(self.device), attention_mask=mask)[0].to(self.dtype)

    def _encode_image(self, image: Image.Image) -> Tensor:
        """Latents (1, c, h, w), float32."""
        image = resize(image, (self.config.width_px, self.config.height_px))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]  # HWC -> NCHW
        pixels = (pixels.float() / 127.5 - 1).to(self.device, self.dtype)
        encoded = self.vae.encode(pixels)  # of a tiny VAE the latents, of others their distribution
        latents = encoded.latents if "latents" in encoded else encoded.latent_dist.mode()
        return latents.float() * self.vae.config.scaling_factor

    def _decode(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (n, c, h, w) -> uint8 pixels (n, 3, height_px, width_px), and whether each is finite (n,)."""
        pixels, finite = [], []
        # on a CPU as many as its cache holds: 16 images of 32 × 32
        chunk_px = 2**14 if self.device.type == "cpu" else 2**21
        chunk = 1 if self.memory.vae_slicing else max(1, chunk_px // (self.config.height_px * self.config.width_px))
        for part in (latents / self.vae.config.scaling_factor).to(self.dtype).split(chunk):
            decoded = self.vae.decode(part, return_dict=False)[0].float()  # NCHW, about -1..1
            finite.append(decoded.isfinite().flatten(1).all(1))
            decoded = (decoded * 0.5 + 0.5).clamp(0, 1).mul(255).round().nan_to_num()
            pixels.append(decoded.to(torch.uint8))
        return torch.cat(pixels), torch.cat(finite)

    def _flag(self, pixels: Tensor) -> list[bool]:
        """Whether the checkpoint's safety checker objects to each image; never, if it has none."""
        if self.safety_checker is None or self.feature_extractor is None:
            return [False] * len(pixels)
        inputs = self.feature_extractor(pixels, return_tensors="pt").pixel_values  # on the device, where the pixels are
        # the checker blackens images that it objects to, in this list
        _, flagged = self.safety_checker(images=list(pixels), clip_input=inputs.to(self.device, self.dtype))
        return [bool(flag) for flag in flagged]

    @property
    def _latent_shape(self) -> tuple[int, int, int, int]:
        factor = _vae_scale_factor(self.vae)
        channels = self.unet.config.in_channels
        return 1, channels, self.config.height_px // factor, self.config.width_px // factor

    @staticmethod
    def _check_parts(pipeline: Any, config: GenerationConfig) -> None:
        factor = _vae_scale_factor(pipeline.vae)
        for side, size_px in (("height", config.height_px), ("width", config.width_px)):
            if size_px < factor or size_px % factor:
                raise UsageError(f"Expected a {side} divisible by {factor} for '{config.model}', got {size_px}.")
        if config.engine != EAGER and config.sampling and config.sampling.cache_interval > 1:
            raise UsageError(
                f"Expected a cache interval or the engine '{config.engine}', got both: which blocks the cache leaves "
                "out changes from step to step, and what is compiled does not. Drop one."
            )
        unet = pipeline.unet.config
        if unet.in_channels != pipeline.vae.config.latent_channels:
            raise ModelError(
                f"The UNet of '{config.model}' takes {unet.in_channels} channels, its VAE gives "
                f"{pipeline.vae.config.latent_channels}: it is not a text-to-image checkpoint."
            )
        if unet.addition_embed_type is not None:
            raise ModelError(
                f"The UNet of '{config.model}' takes more than a prompt, which is not supported. "
                "Use a Stable Diffusion 1.x or 2.x checkpoint."
            )
        if unet.time_cond_proj_dim is None:
            return
        if config.scheduler != "lcm":
            raise UsageError(
                f"'{config.model}' is a latent consistency model, expected the scheduler 'lcm' for it, got "
                f"'{config.scheduler}'. Give {setting('scheduler', 'lcm')} and few {setting('steps')}, e.g. 4."
            )
        if config.sampling and config.sampling.limits_guidance:
            raise UsageError(
                f"'{config.model}' is a latent consistency model: its guidance is part of the UNet and costs nothing. "
                "Leave out the guidance interval."
            )


def _vae_scale_factor(vae: Any) -> int:
    return 2 ** (len(vae.config.block_out_channels) - 1)
