"""Trains the UNet: what noise was added to a latent, given a caption's token states.

Latents and text states are computed once and kept in files, so that a step costs only the UNet. The loss weighs
noise levels by min-SNR (Hang et al. 2023, γ = 5), and an eighth of the rows see the empty caption, for guidance.

Run: python -m tools.miniature.train_unet [--steps N | --minutes M] [--threads T]
A finished run goes on with the same command and a larger --steps; interrupting it loses minutes at most.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from tools.miniature.settings import (
    CONTEXT_LENGTH,
    LATENT_CHANNELS,
    LATENT_SIZE_PX,
    SCHEDULER_CONFIG,
    TEXT_WIDTH,
    UNET_CONFIG,
)
from tools.miniature.train_autoencoder import encode, load_autoencoder
from tools.miniature.train_text_tower import (
    TEXT_TOWER_FILE,
    convert_text_tower,
    load_text_tower,
    number_captions,
    tokenize,
)
from tools.miniature.train_tokenizer import load_tokenizer
from tools.miniature.training import (
    World,
    autocast,
    finish,
    load_average,
    log,
    open_world,
    prepare,
    read_images,
    start,
    steps,
    trainer_arguments,
    write_json,
)

EMPTY_CAPTION_SHARE = 0.12


@dataclass(frozen=True)
class Encoded:
    """The world as the UNet sees it."""

    latents: Tensor  # (n, 4, 8, 8) float16, of unit scale
    states: Tensor  # (m, 32, 128) float16, of the distinct captions; the empty one is first
    caption_of_row: Tensor  # (n,) int64, 0..m-1


def main() -> None:
    """Encode the world, train on it, measure the loss on unseen images."""
    parser = trainer_arguments(__doc__, steps=9000, batch_size=128)
    parser.add_argument("--learning-rate", type=float, default=6e-4)
    parser.add_argument("--min-snr-gamma", type=float, default=5.0, help="0 weighs all noise levels alike")
    args = parser.parse_args()
    prepare(args)
    folder = args.build / "unet"
    encoded = encode_world(open_world(args.world), args.world, folder / "encoded", args)
    scheduler = DDIMScheduler(**SCHEDULER_CONFIG)
    model = UNet2DConditionModel(**UNET_CONFIG).to(args.device)
    run = start(folder, args, model, peak_rate=args.learning_rate)
    for learn in steps(run):
        draws = np.random.default_rng((args.seed, run.step))
        rows = torch.from_numpy(draws.integers(0, len(encoded.latents), args.batch_size))
        captions = encoded.caption_of_row[rows]
        captions[torch.from_numpy(draws.random(args.batch_size) < EMPTY_CAPTION_SHARE)] = 0
        learn(noise_loss(model, scheduler, encoded, rows, captions, draws, args))

    model.load_state_dict(load_average(folder))
    unseen = encode_world(open_world(args.world / "validation"), args.world / "validation", folder / "unseen", args)
    loss = validation_loss(model.eval(), scheduler, unseen, args)
    finish(folder, seconds=round(run.seconds), steps=run.step, validation_loss=round(loss, 4))


def noise_loss(
    model: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    encoded: Encoded,
    rows: Tensor,
    captions: Tensor,
    draws: np.random.Generator,
    args: argparse.Namespace,
    **conditions: Any,
) -> Tensor:
    """Weighted squared error of the predicted noise for some rows, each at its own noise level.

    Args:
        conditions: what the model is told beside the captions, in its own words.
    """
    latents = encoded.latents[rows].to(args.device, torch.float32)
    states = encoded.states[captions].to(args.device, torch.float32)
    noise = torch.from_numpy(draws.standard_normal(latents.shape, dtype=np.float32)).to(args.device)
    # One level from each of b equal intervals: the same distribution as independent draws, a steadier loss.
    levels = draws.permutation((np.arange(len(rows)) + draws.random(len(rows))) / len(rows))
    timesteps = torch.from_numpy((levels * scheduler.config["num_train_timesteps"]).astype(np.int64)).to(args.device)
    signal = scheduler.alphas_cumprod.to(args.device)[timesteps]  # share of the signal's variance, (b,)
    noisy = signal.sqrt()[:, None, None, None] * latents + (1 - signal).sqrt()[:, None, None, None] * noise
    with autocast(args):
        predicted = model(noisy, timesteps, states, **conditions).sample
    errors = (predicted.float() - noise).square().mean(dim=(1, 2, 3))
    snr = signal / (1 - signal)
    weights = snr.clamp(max=args.min_snr_gamma) / snr if args.min_snr_gamma > 0 else torch.ones_like(snr)
    return (weights * errors).mean()


@torch.no_grad()
def validation_loss(
    model: UNet2DConditionModel, scheduler: DDIMScheduler, encoded: Encoded, args: argparse.Namespace
) -> float:
    """The same loss on at most 2,048 rows, always the same ones with the same noise."""
    draws = np.random.default_rng(1)
    losses = [
        noise_loss(model, scheduler, encoded, rows, encoded.caption_of_row[rows], draws, args)
        for rows in torch.arange(min(2048, len(encoded.latents))).split(256)
    ]
    return float(torch.stack(losses).mean())


def load_unet(build: Path) -> UNet2DConditionModel:
    """The UNet of the newest checkpoint, finished or not, with averaged weights."""
    model = UNet2DConditionModel(**UNET_CONFIG)
    model.load_state_dict(load_average(build / "unet"))
    return model.eval()


def encode_world(world: World, source: Path, folder: Path, args: argparse.Namespace) -> Encoded:
    """Latents and text states of a world, each from its file where the same encoder has made it already."""
    distinct, caption_of_row = number_captions(["", *world.captions])
    latents = kept_array(
        folder / "latents.npy",
        [source / "images.npy", args.build / "autoencoder/diffusion_pytorch_model.safetensors"],
        (len(world), LATENT_CHANNELS, LATENT_SIZE_PX, LATENT_SIZE_PX),
        lambda: encode_images(world, args),
    )
    states = kept_array(
        folder / "states.npy",
        [source / "captions.json", args.build / "text_tower" / TEXT_TOWER_FILE],
        (len(distinct), CONTEXT_LENGTH, TEXT_WIDTH),
        lambda: encode_captions(args.build, distinct, args.device),
    )
    return Encoded(latents.to(args.device), states.to(args.device), torch.from_numpy(caption_of_row[1:]))


def encode_images(world: World, args: argparse.Namespace) -> Iterator[Tensor]:
    """Latents of unit scale, batch by batch."""
    autoencoder = load_autoencoder(args.build).to(args.device)
    for rows in np.array_split(np.arange(len(world)), max(1, len(world) // 256)):
        yield encode(autoencoder, read_images(world, rows, args.device)).mean * autoencoder.config["scaling_factor"]


def encode_captions(build: Path, captions: list[str], device: str = "cpu") -> Iterator[Tensor]:
    """What the UNet attends to, batch by batch."""
    encoder = convert_text_tower(load_text_tower(build))
    torch.nn.Module.to(encoder, device)
    for tokens in tokenize(load_tokenizer(build / "tokenizer"), captions).split(256):
        yield encoder(tokens.to(device)).last_hidden_state


@torch.no_grad()
def kept_array(
    path: Path, made_from: list[Path], shape: tuple[int, ...], make: Callable[[], Iterator[Tensor]]
) -> Tensor:
    """A float16 array from its file, made first unless the file was made from the same bytes."""
    key, note = fingerprint(made_from), path.with_suffix(".json")
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != key:
        path.parent.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
        log(f"encoding {shape[0]:,} {path.stem}")
        write_rows(path, shape, make())
        write_json(note, key)
    return torch.from_numpy(np.load(path))


def write_rows(path: Path, shape: tuple[int, ...], batches: Iterable[Tensor]) -> None:
    """Fill a float16 array on disk batch by batch."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    position = 0
    for batch in batches:
        array[position : position + len(batch)] = batch.cpu().numpy()
        position += len(batch)
    array.flush()


def fingerprint(files: list[Path]) -> dict[str, str]:
    """SHA-256 of each file."""
    digests = {}
    for path in files:
        with path.open("rb") as file:
            digests[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


if __name__ == "__main__":
    main()
