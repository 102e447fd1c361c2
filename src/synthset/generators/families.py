"""Each text-to-image pipeline of diffusers that Synthset runs, declared once. Importing this loads no torch.

A pipeline that is not in `FAMILIES` is refused: an allow-list keeps code that came with a checkpoint from running,
and the effect of a scale or a negative prompt differs too much between pipelines to be guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

Guidance = Literal["classifier_free", "embedded", "none"]
ImageReading = Literal["none", "adapter", "token", "label"]

DDIM = "ddim"  # the sampler of the paper
# the size that is recorded is the size that is drawn; and no text is cleaned, which would depend on installed packages
_AS_ASKED = {"use_resolution_binning": False, "clean_caption": False}
_TRANSFORMER_SIZE, _UNET_SIZE = "transformer.config.sample_size", "unet.config.sample_size"


@dataclass(frozen=True)
class Family:
    """One pipeline class of diffusers: all that its checkpoints may do otherwise than those of others.

    Attributes:
        title: as people name it.
        module: of diffusers.pipelines; components may come from it, from diffusers and from transformers.
        guidance: classifier_free: two predictions, of which only scales above 1 make use, and of which the second
            reads the negative prompt; embedded: the network reads the scale; none: there is no scale. A checkpoint
            may depart from its class, see `guidance_in`.
        one_prompt_a_call: its prompts are padded to the longest of a call, and the padding is seen: all images of a
            call then have one prompt and one negative prompt, so that no image depends on its batch.
        sample_size: side of the latents that it was trained for: where the pipeline has it, or a number.
        patch: latents of a side that the denoiser reads as one token.
        one_area: its pipeline draws any size at the area of the trained one.
        negative_prompts: whether its pipeline takes any; some steer away from the empty text alone.
        scale_argument: the pipeline's name of the scale.
        no_guidance: the value of that argument that stands for none. It is w - 1 + no_guidance that is passed for
            w of Imagen's equation 2: most pipelines mean w, Z-Image means w - 1.
        unconditional: passed for the empty negative prompt. SDXL was trained with zeros there, which its
            pipeline takes for None; Qwen-Image's takes None for no guidance at all.
        scheduler: that 'auto' stands for; None for the checkpoint's own.
        distilled_for: scheduler class whose trailing timesteps tell a checkpoint that was distilled, which draws
            without guidance, and by that scheduler.
        own_loop: drawn by our own loop, see latent_diffusion, not by the pipeline.
        reads_text: whether it has a tokenizer; only own loops do without.
        images: how own loops are conditioned on images, see image_conditioning: by an adapter beside the checkpoint's
            parts, or always, by a token in place of the text or by a label beside it.
        block_cache: whether diffusers' FirstBlockCache knows its transformer.
        call: further arguments of each call.
        unless_two_steps: further arguments of a call that takes another number of steps than two.
        init: further arguments of loading.
        may_lack: parts that a checkpoint may have as null, beside those that its pipeline says so of.
    """

    title: str
    module: str
    guidance: Guidance = "classifier_free"
    one_prompt_a_call: bool = False
    sample_size: str | int = "default_sample_size"
    patch: int = 2
    one_area: bool = False
    negative_prompts: bool = True
    scale_argument: str = "guidance_scale"
    no_guidance: float = 1.0
    unconditional: str | None = ""
    scheduler: str | None = None
    distilled_for: str | None = None
    own_loop: bool = False
    reads_text: bool = True
    images: ImageReading = "none"
    block_cache: bool = False
    call: Mapping[str, Any] = field(default_factory=dict)
    unless_two_steps: Mapping[str, Any] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    may_lack: tuple[str, ...] = ()

    def guidance_in(self, pipeline: Any) -> Guidance:
        """The effect of a guidance scale in a checkpoint, which may be distilled where its class is not."""
        denoiser, scheduler = denoiser_of(pipeline).config, pipeline.scheduler
        if pipeline.config.get("is_distilled"):
            return "none"  # FLUX.2 Klein
        if denoiser.get("time_cond_proj_dim") is not None:
            return "embedded"  # latent consistency models
        if self.guidance == "embedded" and denoiser.get("guidance_embeds") is False:
            return "none"  # Flux schnell
        if type(scheduler).__name__ == self.distilled_for and scheduler.config.timestep_spacing == "trailing":
            return "none"
        return self.guidance

    def distilled_by(self, pipeline: Any) -> str:
        """The sign that a checkpoint whose guidance is usual was distilled to draw in few steps; empty for none."""
        name, config = type(pipeline.scheduler).__name__, pipeline.scheduler.config
        if self.guidance_in(pipeline) != "classifier_free":
            return ""
        if name in ("LCMScheduler", "TCDScheduler"):
            return f"its scheduler is {name}"
        # SD-Turbo, SDXL-Lightning; not those that are trained down to pure noise, which need it, too (Lin et al. 2023)
        trailing = config.get("timestep_spacing") == "trailing" and not config.get("rescale_betas_zero_snr")
        return "its timesteps are trailing" if trailing and config.prediction_type in ("epsilon", "sample") else ""

    def trained_size_px(self, pipeline: Any) -> tuple[int, int]:
        """Height and width of the images that a checkpoint was trained for."""
        size = self.sample_size
        if isinstance(size, str):
            size = attrgetter(size)(pipeline)
        height, width = (size, size) if isinstance(size, int) else size
        return height * pipeline.vae_scale_factor, width * pipeline.vae_scale_factor


def denoiser_of(pipeline: Any) -> Any:
    """The network of a pipeline that is called in every step."""
    return getattr(pipeline, "unet", None) or pipeline.transformer


_OWN_LOOP: dict[str, Any] = {
    "module": "stable_diffusion",
    "sample_size": _UNET_SIZE,
    "scheduler": DDIM,
    "own_loop": True,
}
FAMILIES: dict[str, Family] = {
    "StableDiffusionPipeline": Family("Stable Diffusion 1.x and 2.x", **_OWN_LOOP, images="adapter"),
    "StableDiffusionImageVariationPipeline": Family(
        "Stable Diffusion image variations", **_OWN_LOOP, images="token", reads_text=False
    ),
    "StableUnCLIPImg2ImgPipeline": Family("Stable unCLIP", **_OWN_LOOP, images="label"),
    "AuraFlowPipeline": Family("AuraFlow", "aura_flow", sample_size=_TRANSFORMER_SIZE),
    "ChromaPipeline": Family("Chroma", "chroma"),
    "CogView3PlusPipeline": Family("CogView3-Plus", "cogview3", sample_size=_TRANSFORMER_SIZE),
    "CogView4Pipeline": Family(
        "CogView4", "cogview4", one_prompt_a_call=True, sample_size=_TRANSFORMER_SIZE, block_cache=True
    ),
    "Flux2KleinPipeline": Family("FLUX.2 Klein", "flux2", unconditional=None, negative_prompts=False),
    "FluxPipeline": Family("Flux", "flux", guidance="embedded", block_cache=True),
    "HiDreamImagePipeline": Family("HiDream-I1", "hidream_image", one_area=True),
    "LatentConsistencyModelPipeline": Family(
        "latent consistency models",
        "latent_consistency_models",
        guidance="embedded",
        sample_size=_UNET_SIZE,
        patch=1,
    ),
    "Lumina2Pipeline": Family("Lumina 2", "lumina2"),
    "OvisImagePipeline": Family("Ovis-Image", "ovis_image"),
    "PixArtAlphaPipeline": Family("PixArt-α", "pixart_alpha", sample_size=_TRANSFORMER_SIZE, call=_AS_ASKED),
    "PixArtSigmaPipeline": Family("PixArt-Σ", "pixart_alpha", sample_size=_TRANSFORMER_SIZE, call=_AS_ASKED),
    "QwenImagePipeline": Family("Qwen-Image", "qwenimage", scale_argument="true_cfg_scale", block_cache=True),
    "SanaPipeline": Family("Sana", "sana", sample_size=_TRANSFORMER_SIZE, patch=1, call=_AS_ASKED),
    "SanaSprintPipeline": Family(
        "Sana-Sprint",
        "sana",
        guidance="embedded",
        sample_size=_TRANSFORMER_SIZE,
        patch=1,
        call=_AS_ASKED,
        unless_two_steps={"intermediate_timesteps": None},  # the one between the two
    ),
    "StableDiffusion3Pipeline": Family(
        "Stable Diffusion 3", "stable_diffusion_3", may_lack=("text_encoder_3", "tokenizer_3")
    ),
    "StableDiffusionXLPipeline": Family(
        "SDXL",
        "stable_diffusion_xl",
        patch=1,
        unconditional=None,
        scheduler=DDIM,
        # SDXL-Turbo is laid out as SDXL is (Sauer et al. 2023)
        distilled_for="EulerAncestralDiscreteScheduler",
        init={"add_watermarker": False},  # drawn into the pixels, where a library is installed
    ),
    "ZImagePipeline": Family("Z-Image", "z_image", sample_size=128, no_guidance=0.0),
}


def family_titles() -> tuple[str, ...]:
    """The families as people name them, for the help of --generator.

    >>> family_titles()[:3]
    ('Stable Diffusion 1.x and 2.x', 'Stable Diffusion image variations', 'Stable unCLIP')
    """
    return tuple(family.title for family in FAMILIES.values())


def describe_auto_scheduler() -> str:
    """The scheduler that 'auto' stands for, for the help of --scheduler.

    >>> describe_auto_scheduler().partition(",")[0], describe_auto_scheduler().partition("; ")[2]
    ('ddim for Stable Diffusion 1.x and 2.x', "the checkpoint's own for others, and where that does not fit")
    """
    titles: dict[str, list[str]] = {}
    for family in FAMILIES.values():
        if family.scheduler:
            titles.setdefault(family.scheduler, []).append(family.title)
    parts = [f"{scheduler} for {', '.join(names)}" for scheduler, names in titles.items()]
    return "; ".join([*parts, "the checkpoint's own for others, and where that does not fit"])


FAMILY_COLUMNS = ("model", "pipeline of diffusers", "guidance", "negative prompt", "scheduler auto")


def family_rows() -> list[tuple[str, ...]]:
    """A row of FAMILY_COLUMNS for each family, for docs.

    >>> family_rows()[8]
    ('Flux', 'FluxPipeline', 'read by the network', 'no', "the checkpoint's own")
    """
    guidance = {"classifier_free": "classifier-free", "embedded": "read by the network", "none": "none"}
    return [
        (
            family.title,
            class_name,
            guidance[family.guidance],
            "yes" if family.guidance == "classifier_free" and family.reads_text and family.negative_prompts else "no",
            family.scheduler or "the checkpoint's own",
        )
        for class_name, family in FAMILIES.items()
    ]
