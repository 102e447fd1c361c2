"""Drawing from the embeddings of real images: from requests and files to the input of a UNet.

    files ─▶ embeddings, each once ─▶ mixed by the weights of a request ─▶ as this checkpoint reads it

A mixture is a point in the convex hull of embeddings (Shipard et al. 2023, section 4.2.2): linear, in float32, and not
brought back to the length of its parts. Three kinds of checkpoints read it:

    image variation   in place of a text: it is the one token that cross-attention sees
    unCLIP            beside a text: noised as little as its training did, it is added to the embedding of the timestep
    image adapter     beside a text: cross-attention sees four tokens of it, by keys and values of their own; this
                      is an IP-Adapter

For the unconditional half of guidance the embedding is zeros, as in diffusers' pipelines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers.models.embeddings import get_timestep_embedding
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from synthset.core.errors import ModelError, UsageError, first_line
from synthset.encoders.clip import load_encoder
from synthset.generators.base import ImageRequest
from synthset.generators.families import FAMILIES, ImageReading
from synthset.generators.fast_unet import Remembering
from synthset.generators.names import IMAGE_ADAPTER_FILE, IMAGE_ENCODER_FOLDER
from synthset.generators.real_images import RealImages

MAX_CACHED_EMBEDDINGS = 2**16  # 200 MB for CLIP ViT-L, and more images than real_guidance.MAX_IMAGES


class ImageConditioning(Protocol):
    """How a checkpoint is conditioned on images."""

    is_needed: bool
    """Whether it draws nothing without them."""
    reads_text: bool
    """Whether it reads a prompt beside them."""
    memories: list[Remembering]
    """Projections that are remembered from step to step, to be forgotten with the batch."""

    def embed(self, image: Image.Image) -> Tensor:
        """The embedding that is mixed, float32 (d,), on the CPU."""
        ...

    def prepare(self, embeddings: Tensor, num_unconditional: int, generators: Sequence[torch.Generator]) -> Tensor:
        """The input of the UNet in every step.

        Args:
            embeddings: of the n images to draw, float32 (n, d).
            num_unconditional: further rows without a condition.
            generators: of each image, for noise that it needs before any other.
        Returns:
            (n + num_unconditional, ...)
        """
        ...

    def arguments(self, text: Tensor | None, prepared: Tensor) -> dict[str, Any]:
        """Arguments of the UNet: the text, if it reads one, and the prepared input, of the same rows."""
        ...


def is_conditioned(request: ImageRequest) -> bool:
    """Whether the request names images to be conditioned on."""
    return len(request.condition_images) > 0


def mix(requests: Sequence[ImageRequest], embeddings: RealImages, files: Mapping[str, bytes]) -> Tensor:
    """The mixture of embeddings that each request asks for, float32 (n, d), on the CPU.

    Raises:
        UsageError: weights that are none, or as RealImages.of.
        DataError: as RealImages.of.
    """
    mixtures = []
    for request in requests:
        weights = torch.tensor([float(weight) for weight in request.condition_weights])
        if len(weights) != len(request.condition_images) or not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-3:
            raise UsageError(
                f"Expected a weight of at least 0 for each of {len(request.condition_images)} images, 1 together, got "
                f"{len(weights)} that are {float(weights.sum()):g} together."
            )
        mixtures.append(weights @ torch.stack(embeddings.of(request.condition_images, files)))
    return torch.stack(mixtures)


def conditioning_of(pipeline: Any, name: str, device: torch.device) -> ImageConditioning | None:
    """How a pipeline that draws from images alone is conditioned on them; None for one that does not."""
    kinds: dict[ImageReading, type[ImageToken | NoisedImageLabel]] = {"token": ImageToken, "label": NoisedImageLabel}
    kind = kinds.get(FAMILIES[type(pipeline).__name__].images)
    return kind(pipeline, name, device) if kind else None


class _PipelineEncoder:
    """The CLIP image encoder that a pipeline brings."""

    is_needed = True

    def __init__(self, pipeline: Any, device: torch.device) -> None:
        self.memories: list[Remembering] = []
        self._device = device
        self._encoder = pipeline.image_encoder.to(device)
        self._preprocess = pipeline.feature_extractor
        self._width: int = self._encoder.config.projection_dim

    def embed(self, image: Image.Image) -> Tensor:
        pixels = self._preprocess(images=image, return_tensors="pt").pixel_values
        return self._encoder(pixels.to(self._device, self._encoder.dtype)).image_embeds[0].float().cpu()


class ImageToken(_PipelineEncoder):
    """Of StableDiffusionImageVariationPipeline: the embedding in place of a text."""

    reads_text = False

    def __init__(self, pipeline: Any, name: str, device: torch.device) -> None:
        super().__init__(pipeline, device)
        _expect_width(self._width, pipeline.unet.config.cross_attention_dim, name)

    def prepare(self, embeddings: Tensor, num_unconditional: int, generators: Sequence[torch.Generator]) -> Tensor:
        """(n + num_unconditional, 1, d)"""
        return _with_zeros(embeddings, num_unconditional).unsqueeze(1).to(self._device, self._encoder.dtype)

    def arguments(self, text: Tensor | None, prepared: Tensor) -> dict[str, Any]:
        """The token of images alone."""
        return {"encoder_hidden_states": prepared}


class NoisedImageLabel(_PipelineEncoder):
    """Of StableUnCLIPImg2ImgPipeline: the embedding, noised at the lowest level, and the embedding of that level."""

    reads_text = True

    def __init__(self, pipeline: Any, name: str, device: torch.device) -> None:
        super().__init__(pipeline, device)
        _expect_width(2 * self._width, pipeline.unet.config.projection_class_embeddings_input_dim, name)
        self._mean, self._std = (
            part.float().cpu() for part in (pipeline.image_normalizer.mean, pipeline.image_normalizer.std)
        )
        self._noising = pipeline.image_noising_scheduler

    def prepare(self, embeddings: Tensor, num_unconditional: int, generators: Sequence[torch.Generator]) -> Tensor:
        """(n + num_unconditional, 2 d)"""
        noise = torch.cat([torch.randn(1, embeddings.shape[1], generator=generator) for generator in generators])
        level = torch.zeros(len(embeddings), dtype=torch.long)
        noised = self._noising.add_noise((embeddings - self._mean) / self._std, noise, level) * self._std + self._mean
        time = get_timestep_embedding(level, embeddings.shape[1], flip_sin_to_cos=True, downscale_freq_shift=0)
        labels = torch.cat([noised, time], dim=1)
        return _with_zeros(labels, num_unconditional).to(self._device, self._encoder.dtype)

    def arguments(self, text: Tensor | None, prepared: Tensor) -> dict[str, Any]:
        """The text, and a label for the embedding of the timestep."""
        return {"encoder_hidden_states": text, "class_labels": prepared}


class ImageAdapter:
    """An IP-Adapter beside a checkpoint's parts, with the CLIP whose vectors it reads.

    It adds to the UNet, which computes as before where there are no images.
    """

    is_needed = False
    reads_text = True

    def __init__(self, unet: Any, folder: Path, name: str, device: torch.device) -> None:
        """Add the adapter in `folder`, a checkpoint's, to its `unet`, which has its dtype and device.

        Raises:
            ModelError: an adapter or an encoder that is incomplete, or does not fit the UNet or the other.
        """
        # in float32 wherever it runs: each image passes once
        self._encoder = load_encoder(f"local-dir:{folder / IMAGE_ENCODER_FOLDER}", device=str(device), dtype="float32")
        self._project, attentions = _read_adapter(unet, folder / IMAGE_ADAPTER_FILE, name)
        self._project.to(unet.device, unet.dtype).eval()
        _expect_width(self._encoder.dimension, self._project.image_embeds.in_features, name)
        self.memories = []
        for attention_name, decoupled in attentions.items():
            attention = unet.get_submodule(attention_name)
            decoupled.to(unet.device, unet.dtype)
            for projections in (decoupled.to_k_ip, decoupled.to_v_ip):
                projections[0] = Remembering(projections[0])
                self.memories.append(projections[0])
            attention.set_processor(_AttentionToImages(attention.processor, decoupled))

    def embed(self, image: Image.Image) -> Tensor:
        """A unit vector, float32 (d,), on the CPU."""
        return self._encoder.images([image])[0]

    def prepare(self, embeddings: Tensor, num_unconditional: int, generators: Sequence[torch.Generator]) -> Tensor:
        """(n + num_unconditional, tokens, width of the text's tokens)"""
        weight = self._project.image_embeds.weight
        return self._project(_with_zeros(embeddings, num_unconditional).to(weight.device, weight.dtype))

    def arguments(self, text: Tensor | None, prepared: Tensor) -> dict[str, Any]:
        """Both, as `_AttentionToImages` takes them; a list, for an adapter is one of several to diffusers."""
        return {"encoder_hidden_states": (text, [prepared])}


class _AttentionToImages(nn.Module):
    """Attention to the text alone, as before, or where tokens of images stand beside it, to both."""

    def __init__(self, plain: Any, decoupled: nn.Module) -> None:
        super().__init__()
        self.plain, self.decoupled = plain, decoupled

    def forward(
        self,
        attention: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | tuple[Tensor, list[Tensor]],
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        process = self.decoupled if isinstance(encoder_hidden_states, tuple) else self.plain
        return process(attention, hidden_states, encoder_hidden_states, attention_mask)


def _read_adapter(unet: Any, path: Path, name: str) -> tuple[Any, dict[str, Any]]:
    """The projection of an embedding to tokens, and by the name of each cross-attention, its processor for these."""
    try:
        weights: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
        for key, value in load_file(path).items():
            part, _, rest = key.partition(".")
            weights[part][rest] = value
        if "proj.weight" not in weights["image_proj"]:
            raise ModelError("not one that reads the embedding of the whole image")  # others read patches, or faces
        # diffusers' own reading of the file; its public way would change images without conditions too
        project = unet._convert_ip_adapter_image_proj_to_diffusers(weights["image_proj"], low_cpu_mem_usage=False)
        processors = unet._convert_ip_adapter_attn_to_diffusers([weights], low_cpu_mem_usage=False)
    except Exception as error:  # a file can be broken in any way
        raise ModelError(
            f"Expected an IP-Adapter for the UNet of '{name}' in '{path}', it cannot be used ({first_line(error)})."
        ) from error
    named = {key.removesuffix(".processor"): processor for key, processor in processors.items()}
    return project, {key: processor for key, processor in named.items() if key.endswith("attn2")}


def _with_zeros(rows: Tensor, count: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(count, *rows.shape[1:])])


def _expect_width(of_encoder: int, of_unet: int | None, name: str) -> None:
    if of_encoder != of_unet:
        raise ModelError(
            f"The image encoder of '{name}' gives {of_encoder} numbers where its UNet takes {of_unet}: they "
            "are not of one checkpoint."
        )
