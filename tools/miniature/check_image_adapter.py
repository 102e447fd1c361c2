"""Does the image adapter draw the digit that it was shown? Vectors of unseen pictures in, drawings out, and a judge.

    python -m tools.miniature.check_image_adapter --output sheet.png

The judge is the demo's classifier, trained on pictures of the world and kept in the build folder; it shares nothing
with the CLIP that the vectors come from. It reads the unseen pictures themselves, what is drawn from the vector of
each, and what is drawn from random mixtures (Dirichlet with 1, 1, 1) of the vectors of three pictures of one digit. On
the sheet a row is a digit: four times a picture and what was drawn from it at each guidance, then four times the three
pictures of a mixture and what was drawn from that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor

import synthset
from synthset.classifiers.config import TrainConfig
from synthset.classifiers.train import train_classifier
from synthset.encoders.clip import load_encoder
from synthset.images.decoding import encode
from tools.miniature.check_world import world_images
from tools.miniature.scenes import DIGIT_NAMES
from tools.miniature.settings import BUILD_FOLDER, LATENT_CHANNELS, LATENT_SIZE_PX, PACKAGE_FOLDER
from tools.miniature.train_autoencoder import decode
from tools.miniature.train_image_adapter import ADAPTER_FILE, conditions
from tools.miniature.train_text_tower import tokenize
from tools.miniature.training import World, log, open_world

TURNS_SHOWN = 4  # of each kind, a digit
BATCH_SIZE = 100
LATENT_SHAPE = (LATENT_CHANNELS, LATENT_SIZE_PX, LATENT_SIZE_PX)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path, default=BUILD_FOLDER / "world")
    parser.add_argument("--model", type=Path, default=PACKAGE_FOLDER)
    parser.add_argument("--judge", type=Path, default=BUILD_FOLDER / "judge", help="folder of the judge, trained once")
    parser.add_argument("--judge-images", type=int, default=60_000)
    parser.add_argument("--judge-epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=500, help="drawings of each kind")
    parser.add_argument("--guidance-scales", nargs="+", type=float, default=(2.5, 5.0))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help="a PNG file to look at")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train_classifier(
        world_images(args.world, args.judge_images),
        TrainConfig(architecture="small_cnn", seed=args.seed, epochs=args.judge_epochs),
        args.judge,
    )

    unseen = open_world(args.world / "validation")
    rng = np.random.default_rng(args.seed)
    vectors = load_encoder(str(args.model / "clip")).images([Image.fromarray(pixels) for pixels in unseen.images])
    single = choose_each_digit(unseen, args.images, 1, rng)
    threes = choose_each_digit(unseen, args.images, 3, rng)
    shares = rng.dirichlet((1, 1, 1), args.images).astype(np.float32)
    mixed = (torch.from_numpy(shares)[:, :, None] * vectors[threes]).sum(dim=1)
    digits = unseen.digits[single[:, 0]]

    judge(args.judge, "the pictures themselves", unseen.images[single[:, 0]], digits)
    pipeline = load_pipeline(args.model)
    shown = []
    for kind, rows, seen in (("one picture", single, vectors[single[:, 0]]), ("three mixed", threes, mixed)):
        columns = [unseen.images[rows]]  # of (n, 1 or 3, 32, 32, 3), then of (n, 1, 32, 32, 3)
        for scale in args.guidance_scales:
            drawn = draw(pipeline, seen, scale, args.steps, args.seed)
            judge(args.judge, f"drawn from {kind}, guidance {scale:g}", drawn, digits)
            columns.append(drawn[:, None])
        shown.append(np.concatenate(columns, axis=1))
    if args.output:
        save_sheet(shown, args.output)


def choose_each_digit(world: World, count: int, together: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of the world, (count, together): each digit in turn, the rows of one all of its digit and different."""
    of_digit = [np.flatnonzero(world.digits == digit) for digit in range(10)]
    return np.stack([rng.choice(of_digit[index % 10], together, replace=False) for index in range(count)])


def judge(folder: Path, what: str, images: np.ndarray, digits: np.ndarray) -> None:
    """Print the share of (n, 32, 32, 3) images in which the judge reads their digit."""
    labelled = synthset.ImageSet(what, DIGIT_NAMES, digits.astype(np.int64), lambda i: encode(images[i]))
    result = synthset.evaluate(folder, labelled)
    each = ", ".join(f"{accuracy:.0%}" for accuracy in result.per_class_accuracy if accuracy is not None)
    print(f"{what}: {result.accuracy:.1%} ({result.low:.1%} to {result.high:.1%}) of {result.n}; by digit {each}")


def load_pipeline(model: Path) -> StableDiffusionPipeline:
    """The miniature with its adapter, in float32."""
    pipeline = StableDiffusionPipeline.from_pretrained(model)
    pipeline.load_ip_adapter(str(model), subfolder="image_adapter", weight_name=ADAPTER_FILE, image_encoder_folder=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def draw(
    pipeline: StableDiffusionPipeline, vectors: Tensor, guidance_scale: float, num_steps: int, seed: int
) -> np.ndarray:
    """One image of each of (n, 128) vectors without a prompt, (n, 32, 32, 3) uint8; noise by the row and the seed.

    A pipeline of diffusers takes one vector a call, and mixes those of a batch without a word; hence a loop of ours.
    """
    tokens = tokenize(pipeline.tokenizer, [""])
    nothing_said = pipeline.text_encoder(tokens).last_hidden_state
    drawn = []
    for start in range(0, len(vectors), BATCH_SIZE):
        batch = vectors[start : start + BATCH_SIZE]
        told = conditions(torch.cat([torch.zeros_like(batch), batch]))
        states = nothing_said.expand(2 * len(batch), -1, -1)
        noise = [torch.Generator().manual_seed(seed + start + row) for row in range(len(batch))]
        latents = torch.stack([torch.randn(LATENT_SHAPE, generator=generator) for generator in noise])
        pipeline.scheduler.set_timesteps(num_steps)
        for timestep in pipeline.scheduler.timesteps:
            without, shown = pipeline.unet(torch.cat([latents, latents]), timestep, states, **told).sample.chunk(2)
            predicted = without + guidance_scale * (shown - without)
            latents = pipeline.scheduler.step(predicted, timestep, latents).prev_sample
        images = decode(pipeline.vae, latents / pipeline.vae.config["scaling_factor"])
        drawn.append((images.clamp(-1, 1) * 127.5 + 127.5).round().byte().permute(0, 2, 3, 1).numpy())
        log(f"drawn {start + len(batch):,} of {len(vectors):,} at guidance {guidance_scale:g}")
    return np.concatenate(drawn)


def save_sheet(shown: list[np.ndarray], path: Path, zoom: int = 2) -> None:
    """Save a row a digit, with some of each kind: (n, columns, 32, 32, 3), where the digits take turns."""
    rows = []
    for digit in range(10):
        cells = [kind[digit + 10 * turn] for kind in shown for turn in range(TURNS_SHOWN)]
        rows.append(np.concatenate(list(np.concatenate(cells)), axis=1))
    sheet = Image.fromarray(np.concatenate(rows))
    sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.Resampling.NEAREST).save(path)


if __name__ == "__main__":
    main()
