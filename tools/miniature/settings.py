"""Sizes, paths and configurations that the parts of the miniature share.

Everything here is plain data, so that a reader sees the whole model on one page: a latent diffusion model
of 32-pixel images in 8×8×4 latents, with a CLIP of 128 dimensions whose text tower also conditions the UNet.
"""

from pathlib import Path

BUILD_FOLDER = Path("build/miniature")
PACKAGE_FOLDER = Path("src/synthset/miniature")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

IMAGE_SIZE_PX = 32
LATENT_SIZE_PX = 8
LATENT_CHANNELS = 4
TEXT_WIDTH = 128
CLIP_DIMENSION = 128
CONTEXT_LENGTH = 32
MAX_VOCABULARY = 2000
START_TOKEN = "<|startoftext|>"
END_TOKEN = "<|endoftext|>"  # also the padding; has the highest id, since CLIP pools at the argmax

# In training order; `python -m tools.miniature` runs them one after another.
PARTS = ("world", "tokenizer", "autoencoder", "text_tower", "clip", "unet", "image_adapter", "sentences")

CLIP_PREPROCESSING = {
    "size": IMAGE_SIZE_PX,
    "mode": "RGB",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


CLIP_VISION = {"image_size": IMAGE_SIZE_PX, "layers": [1, 2, 2, 1], "width": 20, "head_width": 40}  # a ResNet
# A ViT on 8-pixel patches, beside which the text tower learns; it is not shipped.
FIRST_VISION = {"image_size": IMAGE_SIZE_PX, "patch_size": 8, "width": 192, "head_width": 48, "layers": 4}


def clip_config(vocab_size: int, vision: dict) -> dict:
    """open_clip's `model_cfg`: an image tower and a causal text transformer."""
    return {
        "embed_dim": CLIP_DIMENSION,
        "quick_gelu": False,
        "vision_cfg": vision,
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": vocab_size,
            "hf_tokenizer_name": "tokenizer",  # any non-empty name: open_clip then reads the same folder
            "width": TEXT_WIDTH,
            "heads": 4,
            "layers": 4,
            "pad_id": vocab_size - 1,
            "eos_id": vocab_size - 1,
            "no_causal_mask": False,
        },
    }


AUTOENCODER_CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": LATENT_CHANNELS,
    "sample_size": IMAGE_SIZE_PX,
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (32, 64, 64),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "mid_block_add_attention": False,
    "force_upcast": False,
}

UNET_CONFIG = {
    "sample_size": LATENT_SIZE_PX,
    "in_channels": LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (64, 160),
    "layers_per_block": 1,
    "norm_num_groups": 16,
    "cross_attention_dim": TEXT_WIDTH,
    "attention_head_dim": 4,  # diffusers reads this as the number of heads, here of 40 channels each
}

SCHEDULER_CONFIG = {  # as Stable Diffusion 1.4
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "epsilon",
}

SENTENCE_MODEL_CONFIG = {  # T5's; the vocabulary and its special tokens are those of the tokenizer
    "d_model": TEXT_WIDTH,
    "d_ff": 4 * TEXT_WIDTH,
    "d_kv": 32,
    "num_heads": 4,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "dropout_rate": 0.0,  # no two batches are the same
}
