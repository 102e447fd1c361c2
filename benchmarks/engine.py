"""What compiling the UNet and bfloat16 are worth on a CPU.

    python benchmarks/engine.py [--generator miniature] [--rows 256] [--rounds 11] [--threads 1]

Prints one JSON line for each engine and dtype beside eager float32: `ratio` is the seconds that eager float32 takes
over those of the other, for three steps of the same rows, in turns in one process. No bar: they are chosen, not
defaults. `mean_levels` and `max_levels` are how far the images of a batch are from eager float32's, in grey levels of
255, `first_seconds` what the first batch took, with compiling. With one thread it is the processor's time that counts,
so that other work on the machine matters less.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import cast

import numpy as np
import torch

from generation import make_requests
from synthset.core.errors import SynthsetError
from synthset.generators.latent_diffusion import LatentDiffusionGenerator
from synthset.generators.loading import load_generator
from timing import median_ratio, report_all, time_in_turns

BASE = ("eager", "float32")
OTHERS = (("compiled", "float32"), ("eager", "bfloat16"), ("compiled", "bfloat16"))
GUIDANCE_SCALE = 2.0
IMAGES = 32


def main() -> int:
    """Measure all; 0 if they could be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--generator", default="miniature", help="'miniature' or a checkpoint's folder")
    parser.add_argument("--rows", type=int, default=256, help="of the UNet, in a round")
    parser.add_argument("--steps", type=int, default=20, help="of the images that are compared")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compiler", default="inductor", help="backend of torch.compile")
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        return report_all(compare_engines(arguments), arguments.output)
    except SynthsetError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def compare_engines(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """A line for each of OTHERS."""
    generators, images, first_seconds = {}, {}, {}
    for engine, dtype in (BASE, *OTHERS):
        generator = cast(
            "LatentDiffusionGenerator",
            load_generator(arguments.generator, num_inference_steps=arguments.steps, dtype=dtype, device="cpu"),
        )
        torch.set_num_threads(arguments.threads)
        if engine == "compiled":
            generator.compile_unet(backend=arguments.compiler)
        start = time.perf_counter()
        images[engine, dtype] = draw(generator)
        first_seconds[engine, dtype] = round(time.perf_counter() - start, 1)
        generators[engine, dtype] = generator
    sides = {
        " ".join(key): lambda _round_index, generator=generator: forward(generator, arguments.rows)
        for key, generator in generators.items()
    }
    for side in sides.values():
        side(0)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    seconds = time_in_turns(sides, arguments.rounds, clock)
    base = " ".join(BASE)
    return [
        {
            "name": f"engine_{engine}_{dtype}",
            "ratio": round(median_ratio(seconds[base], seconds[f"{engine} {dtype}"]), 3),
            "bar": "",
            "holds": None,
            "milliseconds_per_row": round(1e3 * statistics.median(seconds[f"{engine} {dtype}"]), 3),
            "eager_float32_milliseconds_per_row": round(1e3 * statistics.median(seconds[base]), 3),
            "mean_levels": round(float(np.abs(images[engine, dtype] - images[BASE]).mean()), 3),
            "max_levels": int(np.abs(images[engine, dtype] - images[BASE]).max()),
            "first_seconds": first_seconds[engine, dtype],
            "rows": arguments.rows,
            "rounds": arguments.rounds,
            "threads": arguments.threads,
            "compiler": arguments.compiler,
        }
        for engine, dtype in OTHERS
    ]


def draw(generator: LatentDiffusionGenerator) -> np.ndarray:
    """The images of one batch (n, h, w, 3); one that is not good is black."""
    black = np.zeros((generator.config.height_px, generator.config.width_px, 3), int)
    drawn = generator.generate(make_requests(IMAGES, lambda: GUIDANCE_SCALE))
    return np.stack([black if image.pixels is None else image.pixels for image in drawn]).astype(int)


@torch.inference_mode()
def forward(generator: LatentDiffusionGenerator, num_rows: int) -> int:
    """Three steps of the UNet through so many rows of a text that it has not seen; the rows that passed."""
    random = torch.Generator().manual_seed(0)
    config = generator.unet.config
    rows = torch.randn(num_rows, config.in_channels, config.sample_size, config.sample_size, generator=random)
    text = torch.randn(num_rows, 32, config.cross_attention_dim, generator=random).to(generator.dtype)
    for timestep in (torch.tensor(900), torch.tensor(500), torch.tensor(100)):
        generator.unet(rows.to(generator.dtype), timestep, encoder_hidden_states=text, return_dict=False)
    return 3 * num_rows


if __name__ == "__main__":
    sys.exit(main())
