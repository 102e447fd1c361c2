"""Trains the autoencoder: 32×32×3 images to 8×8×4 latents and back.

The loss is what an eye notices in thin strokes: absolute and squared differences, and differences of edges. There
is no adversary and no perceptual network, so the result is a little soft, which eight-pixel digits forgive.

Run: python -m tools.miniature.train_autoencoder [--steps N | --minutes M] [--threads T]
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor

from tools.miniature.settings import AUTOENCODER_CONFIG
from tools.miniature.training import (
    World,
    autocast,
    finish,
    load_average,
    open_world,
    prepare,
    read_images,
    start,
    steps,
    trainer_arguments,
)

KL_WEIGHT = 1e-6


def main() -> None:
    """Train, then measure and save in diffusers' form with the scaling factor that gives unit latents."""
    args = trainer_arguments(__doc__, steps=2500, batch_size=64).parse_args()
    prepare(args)
    world, validation = open_world(args.world), open_world(args.world / "validation")
    folder = args.build / "autoencoder"
    model = AutoencoderKL(**AUTOENCODER_CONFIG).to(args.device)
    run = start(folder, args, model, peak_rate=1e-3, decay=0.995)
    for learn in steps(run):
        rows = np.random.default_rng((args.seed, run.step)).integers(0, len(world), args.batch_size)
        images = read_images(world, rows, args.device)
        with autocast(args):
            posterior = encode(model, images)
            decoded = decode(model, posterior.sample())
        learn(reconstruction_loss(decoded.float(), images) + KL_WEIGHT * posterior.kl().mean())

    model.cpu().load_state_dict(load_average(folder))
    model.eval()
    error, spread = measure(model, validation)
    model.register_to_config(scaling_factor=round(1 / spread, 4))
    model.save_pretrained(folder)
    finish(folder, seconds=round(run.seconds), steps=run.step, l1=round(error, 4), latent_std=round(spread, 4))


def encode(model: AutoencoderKL, images: Tensor) -> DiagonalGaussianDistribution:
    """The posterior of (b, 3, 32, 32) images in -1..1."""
    output = model.encode(images)
    assert isinstance(output, AutoencoderKLOutput)
    return output.latent_dist


def decode(model: AutoencoderKL, latents: Tensor) -> Tensor:
    """The images of (b, 4, 8, 8) unscaled latents."""
    if model.post_quant_conv is not None:
        latents = model.post_quant_conv(latents)
    return model.decoder(latents)


def reconstruction_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """Absolute, squared and edge differences of (b, 3, h, w) images in -1..1."""
    difference = decoded - images
    across, down = difference.diff(dim=3), difference.diff(dim=2)
    edges = across.abs().mean() + down.abs().mean()
    return difference.abs().mean() + 0.5 * difference.square().mean() + 0.25 * edges


@torch.no_grad()
def measure(model: AutoencoderKL, world: World, num_images: int = 2000) -> tuple[float, float]:
    """Mean absolute error in -1..1, and the standard deviation of the unscaled latents."""
    errors, latents = [], []
    for rows in np.array_split(np.arange(min(num_images, len(world))), max(1, min(num_images, len(world)) // 100)):
        images = read_images(world, rows)
        latents.append(encode(model, images).mean)
        errors.append(F.l1_loss(decode(model, latents[-1]).clamp(-1, 1), images))
    return float(torch.stack(errors).mean()), float(torch.cat(latents).std())


def load_autoencoder(build: Path) -> AutoencoderKL:
    """The finished autoencoder, in float32, ready to encode."""
    folder = build / "autoencoder"
    if not (folder / "finished.json").is_file():
        raise SystemExit(
            f"Expected a finished autoencoder in '{folder}'. Run 'python -m tools.miniature.train_autoencoder'."
        )
    model = AutoencoderKL.from_pretrained(folder).eval()
    return model.requires_grad_(False)


if __name__ == "__main__":
    main()
