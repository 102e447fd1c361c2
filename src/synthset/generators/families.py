"""What is known of each text-to-image pipeline of diffusers that Synthset runs. Importing this loads no torch.

A pipeline that is not in `FAMILIES` is refused: an allow-list keeps code that came with a checkpoint from running,
and what a scale or a negative prompt does differs too much between pipelines to be guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Guidance = Literal["classifier_free", "embedded", "none"]

# the size that is recorded is the size that is drawn; and no text is cleaned, which would depend on what is installed
_AS_ASKED = {"use_resolution_binning": False, "clean_caption": False}


@dataclass(frozen=True)
class Family:
    """One pipeline class of diffusers.

    Attributes:
        module: of diffusers.pipelines; components may come from it, from diffusers and from transformers.
        guidance: classifier_free: two predictions, of which only scales above 1 make use; embedded: the network
            reads the scale; none: there is no scale. A checkpoint may depart from its class, see
            `pipeline.guidance_of`.
        sample_size: side of the latents that it was trained for: where the pipeline has it, or a number.
        patch: latents of a side that the denoiser reads as one token.
        scale_argument: what the pipeline calls the scale.
        no_guidance: the value of that argument that stands for none. It is w - 1 + no_guidance that is passed for
            w of Imagen's equation 2: most pipelines mean w, Z-Image means w - 1.
        unconditional: what is passed for the empty negative prompt. SDXL was trained with zeros there, which its
            pipeline takes for None; Qwen-Image's takes None for no guidance at all.
        scheduler: what 'auto' stands for; None for the checkpoint's own.
        call: further arguments of each call.
        unless_two_steps: further arguments of a call that takes another number of steps than two.
        init: further arguments of loading.
    """

    module: str
    guidance: Guidance = "classifier_free"
    sample_size: str | int = "default_sample_size"
    patch: int = 2
    scale_argument: str = "guidance_scale"
    no_guidance: float = 1.0
    unconditional: str | None = ""
    scheduler: str | None = None
    call: Mapping[str, Any] = field(default_factory=dict)
    unless_two_steps: Mapping[str, Any] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)


FAMILIES: dict[str, Family] = {
    "AuraFlowPipeline": Family("aura_flow", sample_size="transformer.config.sample_size"),
    "ChromaPipeline": Family("chroma"),
    "FluxPipeline": Family("flux", guidance="embedded"),
    "LatentConsistencyModelPipeline": Family(
        "latent_consistency_models", guidance="embedded", sample_size="unet.config.sample_size", patch=1
    ),
    "Lumina2Pipeline": Family("lumina2"),
    "PixArtAlphaPipeline": Family("pixart_alpha", sample_size="transformer.config.sample_size", call=_AS_ASKED),
    "PixArtSigmaPipeline": Family("pixart_alpha", sample_size="transformer.config.sample_size", call=_AS_ASKED),
    "QwenImagePipeline": Family("qwenimage", scale_argument="true_cfg_scale"),
    "SanaPipeline": Family("sana", sample_size="transformer.config.sample_size", patch=1, call=_AS_ASKED),
    "SanaSprintPipeline": Family(
        "sana",
        guidance="embedded",
        sample_size="transformer.config.sample_size",
        patch=1,
        call=_AS_ASKED,
        unless_two_steps={"intermediate_timesteps": None},  # the one between the two
    ),
    "StableDiffusion3Pipeline": Family("stable_diffusion_3"),
    "StableDiffusionXLPipeline": Family(
        "stable_diffusion_xl",
        patch=1,
        unconditional=None,
        scheduler="ddim",  # as for Stable Diffusion and in the paper
        init={"add_watermarker": False},  # drawn into the pixels, where a library is installed
    ),
    "ZImagePipeline": Family("z_image", sample_size=128, no_guidance=0.0),
}
