"""Trains the image adapter: what the UNet must be told to draw what a CLIP vector of an image shows.

An IP-Adapter (Ye et al. 2023) in diffusers' own form: a vector becomes four tokens, and each cross-attention looks at
them beside the text with keys and values of its own. The UNet stays as it is. Most rows come without a caption, so that
the vector must say it all, and a few without a vector, which is then zero: the unconditional side of guidance.

Run: python -m tools.miniature.train_image_adapter [--steps N | --minutes M] [--threads T]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from diffusers.models.embeddings import ImageProjection, MultiIPAdapterImageProjection
from safetensors.torch import save_file
from torch import Tensor, nn

from tools.miniature.settings import CLIP_DIMENSION, SCHEDULER_CONFIG, TEXT_WIDTH
from tools.miniature.train_clip import load_clip
from tools.miniature.train_unet import Encoded, encode_world, kept_array, load_unet, noise_loss
from tools.miniature.training import (
    World,
    finish,
    load_average,
    open_world,
    prepare,
    read_images,
    start,
    steps,
    trainer_arguments,
)

NUM_TOKENS = 4  # all that diffusers reads of an adapter of this kind
EMPTY_CAPTION_SHARE = 0.75
NO_VECTOR_SHARE = 0.1
ADAPTER_FILE = "ip-adapter.safetensors"


def main() -> None:
    """Train on the encoded world, measure the loss on unseen images with their vectors and without, save."""
    parser = trainer_arguments(__doc__, steps=1250, batch_size=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--min-snr-gamma", type=float, default=5.0, help="0 weighs all noise levels alike")
    args = parser.parse_args()
    prepare(args)
    folder, unseen = args.build / "image_adapter", args.world / "validation"
    encoded = encode_world(open_world(args.world), args.world, args.build / "unet/encoded", args)
    vectors = encode_vectors(open_world(args.world), args.world, folder / "encoded", args)
    scheduler = DDIMScheduler(**SCHEDULER_CONFIG)
    unet = load_unet(args.build).requires_grad_(False)
    torch.nn.Module.to(unet, args.device)
    adapter = add_adapter(unet, untrained_adapter(unet))
    run = start(folder, args, adapter, peak_rate=args.learning_rate)
    for learn in steps(run):
        draws = np.random.default_rng((args.seed, run.step))
        rows = torch.from_numpy(draws.integers(0, len(vectors), args.batch_size))
        captions, shown = encoded.caption_of_row[rows], vectors[rows].float()
        captions[torch.from_numpy(draws.random(args.batch_size) < EMPTY_CAPTION_SHARE)] = 0
        shown[torch.from_numpy(draws.random(args.batch_size) < NO_VECTOR_SHARE)] = 0
        learn(noise_loss(unet, scheduler, encoded, rows, captions, draws, args, **conditions(shown)))

    adapter.load_state_dict(load_average(folder))
    save_adapter(folder, published(load_average(folder)))
    encoded = encode_world(open_world(unseen), unseen, args.build / "unet/unseen", args)
    vectors = encode_vectors(open_world(unseen), unseen, folder / "unseen", args)
    losses = {
        "validation_loss": validation_loss(unet, scheduler, encoded, vectors.float(), args),
        "validation_loss_without": validation_loss(unet, scheduler, encoded, torch.zeros_like(vectors).float(), args),
    }
    finish(folder, seconds=round(run.seconds), steps=run.step, **losses)


def conditions(vectors: Tensor) -> dict[str, dict[str, list[Tensor]]]:
    """How a UNet of diffusers takes (b, 128) vectors: for its one adapter, one image a row."""
    return {"added_cond_kwargs": {"image_embeds": [vectors[:, None]]}}


@torch.no_grad()
def validation_loss(
    unet: UNet2DConditionModel, scheduler: DDIMScheduler, encoded: Encoded, vectors: Tensor, args: argparse.Namespace
) -> float:
    """The loss on at most 2,048 rows without a caption, always the same ones with the same noise."""
    draws = np.random.default_rng(1)
    parts = torch.arange(min(2048, len(vectors))).split(256)
    losses = [
        noise_loss(unet, scheduler, encoded, rows, torch.zeros_like(rows), draws, args, **conditions(vectors[rows]))
        for rows in parts
    ]
    return round(float(torch.stack(losses).mean()), 4)


def encode_vectors(world: World, source: Path, folder: Path, args: argparse.Namespace) -> Tensor:
    """Unit vectors of a world's images, (n, 128) float16, from their file where the same CLIP has made it already."""
    clip = args.build / "clip/open_clip_model.safetensors"
    shape = (len(world), CLIP_DIMENSION)
    made_from = [source / "images.npy", clip]
    return kept_array(folder / "vectors.npy", made_from, shape, lambda: encode_images(world, args)).to(args.device)


def encode_images(world: World, args: argparse.Namespace) -> Iterator[Tensor]:
    """What the CLIP sees, batch by batch."""
    clip = load_clip(args.build).to(args.device)
    for rows in np.array_split(np.arange(len(world)), max(1, len(world) // 256)):
        yield clip.encode_image(read_images(world, rows, args.device), normalize=True)


# ---- the adapter's two forms: published, flat, as diffusers reads it; and the modules that it becomes --------


def untrained_adapter(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """An adapter that changes nothing yet: keys are those of the text, values are zero."""
    projection = ImageProjection(CLIP_DIMENSION, TEXT_WIDTH, NUM_TOKENS)
    state = {f"image_proj.{name.replace('image_embeds', 'proj')}": w for name, w in projection.state_dict().items()}
    weights = unet.state_dict()
    for number, name in numbered_attentions(unet).items():
        keys = weights[f"{name}.to_k.weight"]
        state[f"ip_adapter.{number}.to_k_ip.weight"] = keys.clone()
        state[f"ip_adapter.{number}.to_v_ip.weight"] = torch.zeros_like(keys)
    return state


def numbered_attentions(unet: UNet2DConditionModel) -> dict[int, str]:
    """The cross-attentions by their number among all attentions, by which published adapters name them: all odd."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    return {number: name for number, name in enumerate(names) if name.endswith("attn2")}


def add_adapter(unet: UNet2DConditionModel, state: dict[str, Tensor]) -> nn.ModuleDict:
    """Give the UNet an adapter in its published form; return its modules, which are then the UNet's, to train them."""
    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, weights in state.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = weights
    unet._load_ip_adapter_weights(parts)
    projections = cast("MultiIPAdapterImageProjection", unet.encoder_hid_proj).image_projection_layers
    processors = [p for p in unet.attn_processors.values() if isinstance(p, IPAdapterAttnProcessor2_0)]
    numbered = zip(numbered_attentions(unet), processors, strict=True)
    modules = {str(number): cast("nn.Module", processor) for number, processor in numbered}
    return nn.ModuleDict({"image_proj": projections[0], "ip_adapter": nn.ModuleDict(modules)})


def published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published form of what `add_adapter` returned: other names."""
    renamed = {}
    for name, weights in state.items():
        name = name.replace("image_proj.image_embeds.", "image_proj.proj.")
        renamed[name.replace("_ip.0.weight", "_ip.weight")] = weights
    return renamed


def save_adapter(folder: Path, state: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> None:
    """Write the one file that `load_ip_adapter` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "ip-adapter.part"
    save_file({name: weights.to(dtype).contiguous() for name, weights in state.items()}, partial)
    partial.chmod(0o644)
    partial.replace(folder / ADAPTER_FILE)


if __name__ == "__main__":
    main()
