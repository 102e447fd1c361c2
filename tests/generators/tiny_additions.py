"""LoRAs and embeddings for the tiny checkpoints: random, strong enough to be seen, in the files that others write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
TEXT = ["q_proj", "k_proj", "v_proj", "out_proj"]


def load(folder: Path) -> Any:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_lora(folder: Path, checkpoint: Path, *, seed: int = 0, text: bool = True, rank: int = 2) -> Path:
    """A LoRA as diffusers saves it, of the denoiser and of its text encoders that take one."""
    pipeline, layers = load(checkpoint), {}
    parts = {"unet": ATTENTION, "transformer": ATTENTION}
    if text:
        parts |= {"text_encoder": TEXT, "text_encoder_2": TEXT}
    generator = torch.Generator().manual_seed(seed)
    for part, targets in parts.items():
        network = getattr(pipeline, part, None)
        if network is None or (part.startswith("text") and "CLIP" not in type(network).__name__):
            continue
        network.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), adapter_name="made")
        state = get_peft_model_state_dict(network, adapter_name="made")
        layers[f"{part}_lora_layers"] = {
            name: 0.5 * torch.randn(value.shape, generator=generator) for name, value in state.items()
        }
    pipeline.save_lora_weights(folder, **layers)
    return folder / "pytorch_lora_weights.safetensors"


def as_kohya(lora: Path, alpha: float) -> Path:
    """The same LoRA of a UNet by the names that kohya's scripts give, with its own alpha."""
    tensors = {}
    for name, value in load_file(lora).items():
        part, _, rest = name.partition(".")
        if part != "unet":
            continue
        module, _, kind = rest.rpartition(".lora")
        place = f"lora_unet_{module.replace('.', '_')}"
        down = "down" in kind or kind.startswith("_A")
        tensors[f"{place}.lora_{'down' if down else 'up'}.weight"] = value
        tensors[f"{place}.alpha"] = torch.tensor(alpha)
    path = lora.with_name("kohya.safetensors")
    save_file(tensors, path)
    return path


def write_embedding(path: Path, width: int, *, vectors: int = 1, key: str = "<toy>", seed: int = 0) -> Path:
    """One of textual inversion, as diffusers saves it, or by another key."""
    generator = torch.Generator().manual_seed(seed)
    rows = 10 * torch.randn(vectors, width, generator=generator)
    save_file({key: rows if vectors > 1 else rows[0]}, path)
    return path
