"""Draws a contact sheet from an assembled miniature through plain diffusers, to look at with one's own eyes.

A column a digit, a row a prompt and guidance scale; each row's settings go to stdout in order.

Run: python -m tools.miniature.sample --output grid.png [--model FOLDER]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion import StableDiffusionPipelineOutput
from PIL import Image

from tools.miniature.settings import DIGITS, IMAGE_SIZE_PX, PACKAGE_FOLDER

PROMPTS = (
    "an image of a {}",
    "{}",
    "the digit {}",
    "a handwritten digit {}",
    "a sketch of a {}",
    "a painting of a {}",
    "a photo of a {}",
    "a poster of a {}",
)


def main() -> None:
    """Draw the grid and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a PNG file")
    parser.add_argument("--model", type=Path, default=PACKAGE_FOLDER)
    parser.add_argument("--prompts", nargs="+", default=PROMPTS, help="with {} where the digit's name goes")
    parser.add_argument("--guidance-scales", nargs="+", type=float, default=(1.0, 2.5, 7.5))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--zoom", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipeline = StableDiffusionPipeline.from_pretrained(args.model)
    pipeline.set_progress_bar_config(disable=True)
    rows = []
    for scale in args.guidance_scales:
        for prompt in args.prompts:
            print(f"row {len(rows)}: guidance scale {scale}, {prompt!r}")
            rows.append(draw_row(pipeline, prompt, scale, args.steps, args.seed))
    sheet = Image.fromarray(np.concatenate(rows))
    sheet.resize((sheet.width * args.zoom, sheet.height * args.zoom), Image.Resampling.NEAREST).save(args.output)


def draw_row(pipeline: StableDiffusionPipeline, prompt: str, scale: float, num_steps: int, seed: int) -> np.ndarray:
    """Two images of each digit beside each other, (32, 640, 3) uint8."""
    texts = [prompt.format(digit) for digit in DIGITS for _ in range(2)]
    generators = [torch.Generator().manual_seed(seed + index) for index in range(len(texts))]
    output = pipeline(
        texts, guidance_scale=scale, num_inference_steps=num_steps, generator=generators, output_type="np"
    )
    assert isinstance(output, StableDiffusionPipelineOutput)
    images = (np.asarray(output.images) * 255).round().astype(np.uint8)  # nhwc 0..1 -> 0..255
    return np.concatenate(list(images), axis=1).reshape(IMAGE_SIZE_PX, -1, 3)


if __name__ == "__main__":
    main()
