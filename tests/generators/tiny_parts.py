"""Parts of small checkpoints: tokenizers, text encoders and autoencoders with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    Qwen2Tokenizer,
    Qwen3Config,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from synthset.core.libraries import quiet
from tiny_models import _safety_checker

WIDTH = 32  # of all texts
MAX_TOKENS = 32
SIZE_PX = 32


def seeded() -> Any:
    forked = torch.random.fork_rng()
    torch.manual_seed(0)
    return forked


def save(pipeline: Any, folder: Path) -> Path:
    with quiet():
        pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def strong(network: Any, last: str = "proj_out.weight", layers: dict[str, float] | None = None) -> Any:
    """With a last layer, or other layers by their factors, that make differences seen."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for layer, factor in (layers or {last: 3.0}).items():
            parameters[layer].mul_(factor)
    return network.eval()


def autoencoder(channels: tuple[int, ...] = (8, 8, 16)) -> Any:
    """Four pixels a latent, or twice as many for each further level."""
    levels = len(channels)
    return strong(
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=channels,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=SIZE_PX,
            shift_factor=0.1,
        ),
        "decoder.conv_out.weight",
    )


def objecting_safety_checker() -> Any:
    checker = _safety_checker()
    with torch.no_grad():
        checker.concept_embeds_weights.fill_(-2.0)  # below any cosine
    return checker


def letters() -> list[str]:
    return sorted(ByteLevel.alphabet())


def clip_tokenizer(max_tokens: int = MAX_TOKENS) -> CLIPTokenizer:
    tokens = [*letters(), *(f"{letter}</w>" for letter in letters()), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[], model_max_length=max_tokens)


def clip_text_encoder(projected: bool = False, max_tokens: int = MAX_TOKENS) -> Any:
    tokenizer = clip_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=max_tokens,
        projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_factor=10.0,  # the default's words are all but equal
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def t5_tokenizer() -> T5Tokenizer:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    plain = [("▁", -2.0), *((letter, -2.0) for letter in letters())]
    return T5Tokenizer(vocab=[*special, *plain], extra_ids=0, model_max_length=MAX_TOKENS)


def t5(width: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=len(t5_tokenizer()),
        d_model=width,
        d_kv=16,
        d_ff=2 * width,
        num_heads=2,
        num_layers=1,
        initializer_factor=3.0,
    )
    return T5EncoderModel(config).eval()


def gemma() -> Gemma2Model:
    config = Gemma2Config(
        vocab_size=len(gemma_tokenizer()),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        initializer_range=0.3,
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    return Gemma2Model(config).eval()


def gemma_tokenizer() -> GemmaTokenizer:
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokens = [*special, "▁", *letters()]
    return GemmaTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[])


def qwen3(num_layers: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=len(qwen_tokenizer()),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=num_layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        initializer_range=0.3,
    )


def qwen_tokenizer() -> Qwen2Tokenizer:
    tokens = [*letters(), "<|endoftext|>"]
    tokenizer = Qwen2Tokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[])
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return tokenizer
