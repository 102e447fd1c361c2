"""How fast the sampling loop is on a CPU, against diffusers' pipeline and against itself.

    python benchmarks/generation.py [--generator miniature] [--images 1000] [--steps 20]

Prints one JSON line a ratio. `generation_mixed_batches`: a loop that calls the pipeline once an image,
each with its own scale in [1, 5], takes at least 3 × as long as our mixed batches, for the same images.
`generation_integer_scales`: with scales from 1, 2, 3, 4, 5, leaving out the unconditional pass at 1
takes at most 0.92 × the time with that pass for all. Beside the first stands a pipeline that is given lists of 16
prompts, as datadreamer gives them: fast, but of one scale for a whole list, so not of the same images; without a bar.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from synthset.core.errors import SynthsetError
from synthset.dataset.records import Request
from synthset.generators.base import GeneratedImage, Generator
from synthset.generators.loading import load_generator
from synthset.miniature import FOLDER as MINIATURE_FOLDER
from timing import median_ratio, report, time_in_turns

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LIST_SIZE = 16  # prompts that the pipeline gets at once, where it gets a list
LIST_SCALE = 3.0  # of all of them: the middle of the range
Images = dict[int, np.ndarray]  # by the request's id


def main() -> int:
    """Measure both ratios; 0 if both hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--generator", default="miniature", help="'miniature' or a checkpoint's folder")
    parser.add_argument("--images", type=int, default=1000, help="images that our side draws for a ratio")
    parser.add_argument("--peer-images", type=int, default=100, help="images of these that the peer draws")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    arguments = parser.parse_args()
    try:
        generator = load_generator(
            arguments.generator, num_inference_steps=arguments.steps, dtype="float32", device="cpu"
        )
    except SynthsetError as error:
        print(f"{error}\n--generator takes a checkpoint's folder.", file=sys.stderr)
        return error.exit_code
    peer = load_peer(arguments.generator)
    results = [
        compare_with_pipeline(generator, peer, arguments.images, arguments.peer_images, arguments.rounds),
        compare_integer_scales(generator, arguments.images, arguments.rounds),
    ]
    for result in results:
        report(result, arguments.output)
    return 0 if all(result["holds"] for result in results) else 1


def compare_with_pipeline(
    generator: Generator, pipeline: StableDiffusionPipeline, num_images: int, num_peer: int, rounds: int
) -> dict[str, object]:
    """Seconds an image: diffusers' pipeline once an image, over our mixed batches."""
    rng = random.Random(0)
    parts = split(make_requests(num_images, lambda: rng.uniform(1, 5)), rounds)
    each = max(1, num_peer // rounds)
    ours: Images = {}
    theirs: Images = {}

    def draw_batches(round_index: int) -> int:
        return draw(generator, parts[round_index], ours)

    def draw_singly(round_index: int) -> int:
        chosen = parts[round_index][:each]
        for request in chosen:
            theirs[request.id] = draw_with_pipeline(pipeline, request, generator)
        return len(chosen)

    def draw_lists(round_index: int) -> int:
        return draw_list_with_pipeline(pipeline, parts[round_index][:LIST_SIZE], generator)

    draw(generator, parts[0][: generator.preferred_batch_size], {})
    draw_with_pipeline(pipeline, parts[0][0], generator)
    draw_lists(0)
    sides = {"pipeline": draw_singly, "lists": draw_lists, "batches": draw_batches}
    seconds = time_in_turns(sides, rounds)
    ratio = median_ratio(seconds["pipeline"], seconds["batches"])
    difference = largest_difference(ours, theirs)
    return {
        "name": "generation_mixed_batches",
        "ratio": round(ratio, 3),
        "bar": ">= 3",
        "holds": ratio >= 3 and difference <= 1,
        "largest_difference_levels": difference,
        "seconds_per_image": round(statistics.median(seconds["batches"]), 5),
        "pipeline_seconds_per_image": round(statistics.median(seconds["pipeline"]), 5),
        "prompt_list_seconds_per_image": round(statistics.median(seconds["lists"]), 5),
        "prompt_list_ratio": round(median_ratio(seconds["lists"], seconds["batches"]), 3),
        "images": len(ours),
        "pipeline_images": len(theirs),
        **conditions(generator, rounds),
    }


def compare_integer_scales(generator: Generator, num_images: int, rounds: int) -> dict[str, object]:
    """Seconds an image with scales of 1 to 5: no unconditional pass at 1, over that pass for all."""
    rng = random.Random(1)
    requests = make_requests(num_images, lambda: float(rng.randint(1, 5)))
    parts = split(requests, rounds)
    # above 1, so guided, but 1 in float32: the same image by the longer way
    guided_parts = [[replace(r, guidance_scale=max(r.guidance_scale, 1 + 1e-9)) for r in part] for part in parts]
    ours: Images = {}
    guided: Images = {}
    draw(generator, parts[0][: generator.preferred_batch_size], {})
    seconds = time_in_turns(
        {
            "guided": lambda round_index: draw(generator, guided_parts[round_index], guided),
            "ours": lambda round_index: draw(generator, parts[round_index], ours),
        },
        rounds,
    )
    ratio = median_ratio(seconds["ours"], seconds["guided"])
    difference = largest_difference(ours, guided)
    return {
        "name": "generation_integer_scales",
        "ratio": round(ratio, 3),
        "bar": "<= 0.92",
        "holds": ratio <= 0.92 and difference <= 1,
        "largest_difference_levels": difference,
        "unguided_share": round(sum(r.guidance_scale == 1 for r in requests) / len(requests), 3),
        "seconds_per_image": round(statistics.median(seconds["ours"]), 5),
        "images": len(ours),
        **conditions(generator, rounds),
    }


def make_requests(num_images: int, draw_scale: Callable[[], float]) -> list[Request]:
    """Ten classes in turn with the base prompt, each image with a scale and a seed of its own."""
    return [
        Request(
            id=i,
            class_name=(name := CLASS_NAMES[i % len(CLASS_NAMES)]),
            class_index=i % len(CLASS_NAMES),
            strategy="random_guidance",
            index=i // len(CLASS_NAMES),
            prompt=f"an image of {'an' if name == 'eight' else 'a'} {name}",
            negative_prompt="",
            guidance_scale=draw_scale(),
            seed=i,
        )
        for i in range(num_images)
    ]


def split(requests: Sequence[Request], rounds: int) -> list[Sequence[Request]]:
    """Consecutive parts of nearly equal size, one a round."""
    bounds = [len(requests) * i // rounds for i in range(rounds + 1)]
    return [requests[start:end] for start, end in pairwise(bounds)]


def draw(generator: Generator, requests: Sequence[Request], images: Images) -> int:
    """Draw `requests` in batches into `images`; how many there were."""
    size = generator.preferred_batch_size
    for start in range(0, len(requests), size):
        batch = requests[start : start + size]
        for request, image in zip(batch, generator.generate(batch), strict=True):
            images[request.id] = pixels_or_nothing(image, generator)
    return len(requests)


def pixels_or_nothing(image: GeneratedImage, generator: Generator) -> np.ndarray:
    """An image that is not good counts as black, so that the comparison sees it."""
    black = np.zeros((generator.config.height_px, generator.config.width_px, 3), np.uint8)
    return black if image.pixels is None else image.pixels


def load_peer(name: str) -> StableDiffusionPipeline:
    """diffusers' own pipeline on the same checkpoint, with the same scheduler."""
    folder = MINIATURE_FOLDER if name == "miniature" else name
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw_with_pipeline(pipeline: StableDiffusionPipeline, request: Request, generator: Generator) -> np.ndarray:
    """One image by one call: uint8 (h, w, 3)."""
    images, _ = pipeline(
        request.prompt,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator().manual_seed(request.seed),
        num_inference_steps=generator.config.num_inference_steps,
        output_type="np",
        return_dict=False,
    )
    return (np.asarray(images)[0] * 255).round().astype(np.uint8)


def draw_list_with_pipeline(
    pipeline: StableDiffusionPipeline, requests: Sequence[Request], generator: Generator
) -> int:
    """A list of prompts by one call at one scale; how many there were."""
    pipeline(
        [request.prompt for request in requests],
        guidance_scale=LIST_SCALE,
        generator=[torch.Generator().manual_seed(request.seed) for request in requests],
        num_inference_steps=generator.config.num_inference_steps,
        output_type="np",
        return_dict=False,
    )
    return len(requests)


def largest_difference(one: Images, other: Images) -> int:
    """In grey levels, over the images that both drew."""
    return max(int(np.abs(one[key].astype(int) - other[key].astype(int)).max()) for key in one.keys() & other.keys())


def conditions(generator: Generator, rounds: int) -> dict[str, object]:
    """What a reader needs to judge a figure."""
    return {
        "model": generator.config.model,
        "steps": generator.config.num_inference_steps,
        "batch_size": generator.preferred_batch_size,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    sys.exit(main())
