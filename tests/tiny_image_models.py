"""Checkpoints that are conditioned on images, small enough for tests; as in `tiny_models`, random but not weak."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionImageVariationPipeline,
    StableUnCLIPImg2ImgPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from synthset.miniature import FOLDER as MINIATURE_FOLDER
from tiny_models import _autoencoder, _text_encoder, _tokenizer, build_stable_diffusion

WIDTH = 32  # of embeddings and of texts
SIZE_PX = 32  # drawn
MAX_TOKENS = 32
NOISE_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def build_image_variation(folder: Path) -> Path:
    """Write a StableDiffusionImageVariationPipeline."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline = StableDiffusionImageVariationPipeline(
            vae=_autoencoder((8, 8, 16), SIZE_PX),
            image_encoder=_image_encoder(),
            unet=_unet(),
            scheduler=DDIMScheduler(**NOISE_SCHEDULE, clip_sample=False, set_alpha_to_one=False),
            safety_checker=None,
            feature_extractor=_image_processor(),
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def build_unclip(folder: Path) -> Path:
    """Write a StableUnCLIPImg2ImgPipeline whose normaliser matters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        normalizer = StableUnCLIPImageNormalizer(WIDTH)
        torch.nn.init.normal_(normalizer.mean)
        torch.nn.init.uniform_(normalizer.std, 20.0, 80.0)  # so that the noise of the lowest level is seen
        tokenizer = _tokenizer(MAX_TOKENS)
        pipeline = StableUnCLIPImg2ImgPipeline(
            feature_extractor=_image_processor(),
            image_encoder=_image_encoder(),
            image_normalizer=normalizer,
            image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
            tokenizer=tokenizer,
            text_encoder=_text_encoder(tokenizer, WIDTH, MAX_TOKENS),
            unet=_unet(class_embed_type="projection", projection_class_embeddings_input_dim=2 * WIDTH),
            scheduler=DDIMScheduler(**NOISE_SCHEDULE, clip_sample=False, set_alpha_to_one=False),
            vae=_autoencoder((8, 8, 16), SIZE_PX),
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def build_with_adapter(folder: Path) -> Path:
    """Write a Stable Diffusion with an IP-Adapter beside its parts, for the miniature's CLIP."""
    build_stable_diffusion(folder)
    shutil.copytree(MINIATURE_FOLDER / "clip", folder / "clip")
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int, scale: float) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * scale

    clip_width, text_width = 128, unet.config.cross_attention_dim
    weights = {
        "image_proj.proj.weight": random(4 * text_width, clip_width, scale=1.0),
        "image_proj.proj.bias": random(4 * text_width, scale=0.1),
        "image_proj.norm.weight": torch.ones(text_width),
        "image_proj.norm.bias": random(text_width, scale=0.5),
    }
    cross = [name.removesuffix(".processor") for name in unet.attn_processors if "attn2" in name]
    for place, name in enumerate(cross):
        width = unet.get_submodule(name).to_q.in_features
        for part in ("to_k_ip", "to_v_ip"):
            weights[f"ip_adapter.{2 * place + 1}.{part}.weight"] = random(width, text_width, scale=0.3)
    (folder / "image_adapter").mkdir()
    save_file(weights, folder / "image_adapter" / "ip-adapter.safetensors")
    return folder


def _unet(**options) -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        sample_size=SIZE_PX // 4,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=8,
        cross_attention_dim=WIDTH,
        **options,
    ).eval()
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "attn2.to_out.0.weight" in name or "class_embedding.linear" in name:
                parameter.mul_(6.0)
            if name == "conv_out.weight":
                parameter.mul_(2.0)
    return unet


def _image_encoder() -> CLIPVisionModelWithProjection:
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
            projection_dim=WIDTH,
        )
    ).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.ndim > 1:  # the default's images are all but equal
                torch.nn.init.normal_(parameter, std=0.3)
    return encoder


def _image_processor() -> CLIPImageProcessor:
    return CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
