"""A Stable Diffusion checkpoint small enough for tests: random weights, real classes, real files.

The folder is laid out as any Stable Diffusion checkpoint is, so both `StableDiffusionPipeline` and
Synthset load it. The weights are random but not weak: prompts and guidance scales change what it draws.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPTokenizer


def build_stable_diffusion(
    folder: Path,
    *,
    seed: int = 0,
    unet_channels: tuple[int, ...] = (16, 32),
    text_width: int = 32,
    vae_channels: tuple[int, ...] = (8, 8, 16),
    layers_per_block: int = 1,
    max_tokens: int = 32,
    sample_size: int = 8,
    prediction_type: str = "epsilon",
    safety_checker: bool = False,
    time_cond_proj_dim: int | None = None,
) -> Path:
    """Write a random Stable Diffusion checkpoint to `folder` and return it.

    It draws images of sample_size × 2 ** (len(vae_channels) - 1) pixels a side; every text encodes, a
    token a letter.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer = _tokenizer(max_tokens)
        pipeline = StableDiffusionPipeline(
            vae=_autoencoder(vae_channels, sample_size * 2 ** (len(vae_channels) - 1)),
            text_encoder=_text_encoder(tokenizer, text_width, max_tokens),
            tokenizer=tokenizer,
            unet=_unet(unet_channels, text_width, layers_per_block, sample_size, time_cond_proj_dim),
            scheduler=DDIMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                clip_sample=False,
                set_alpha_to_one=False,
                steps_offset=1,
                prediction_type=prediction_type,
            ),
            safety_checker=_safety_checker() if safety_checker else None,
            feature_extractor=_feature_extractor() if safety_checker else None,
            requires_safety_checker=safety_checker,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _tokenizer(max_tokens: int) -> CLIPTokenizer:
    letters = sorted(ByteLevel.alphabet())  # a token for each byte, inside a word and at its end
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)}, merges=[], model_max_length=max_tokens
    )


def _text_encoder(tokenizer: CLIPTokenizer, width: int, max_tokens: int) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=max_tokens,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_factor=10.0,  # the default's words are all but equal
    )
    return CLIPTextModel(config).eval()


def _unet(
    channels: tuple[int, ...], text_width: int, layers_per_block: int, sample_size: int, time_cond_proj_dim: int | None
) -> UNet2DConditionModel:
    """Cross-attention at the lower levels only, as the miniature has it."""
    lower = len(channels) - 1
    unet = UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * lower,
        up_block_types=("CrossAttnUpBlock2D",) * lower + ("UpBlock2D",),
        block_out_channels=channels,
        layers_per_block=layers_per_block,
        attention_head_dim=4,  # diffusers means the number of heads
        norm_num_groups=8,
        cross_attention_dim=text_width,
        time_cond_proj_dim=time_cond_proj_dim,  # what a distilled UNet reads its guidance scale in
    ).eval()
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "attn2.to_out.0.weight" in name:
                parameter.mul_(6.0)  # so that the prompt matters
            if name == "conv_out.weight":
                parameter.mul_(2.0)
    return unet


def _autoencoder(channels: tuple[int, ...], size_px: int) -> AutoencoderKL:
    levels = len(channels)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=channels,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=size_px,
    ).eval()
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(2.5)  # contrast
    return vae


def _safety_checker() -> StableDiffusionSafetyChecker:
    """A checker that flags nothing, until a test lowers its thresholds."""
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**small, "vocab_size": 8},
        vision_config={**small, "image_size": 32, "patch_size": 16, "projection_dim": 16},
        projection_dim=16,
    )
    checker = StableDiffusionSafetyChecker(config).eval()
    with torch.no_grad():
        checker.concept_embeds_weights.fill_(2.0)  # above any cosine
        checker.special_care_embeds_weights.fill_(2.0)
    return checker


def _feature_extractor() -> CLIPImageProcessor:
    return CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
