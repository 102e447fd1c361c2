"""What a whole job costs on a CPU beside its UNet.

    python benchmarks/job.py [--generator miniature] [--images 400] [--steps 20]

Prints one JSON line. `job_unet_share`: `synthset.create`, from class names to a finished folder, takes at most
1.10 × as long as the UNet's forwards in it. These are replayed bare: as many calls, each with as many rows, the same
timesteps and the same texts. Each job has a generator of its own that knows no text yet, loaded before the clock runs;
`ratio_with_loading` has that too, which is once a process, however large the job. `parts` says where the time goes, in
shares of one more job with a clock at each part; encoding runs in threads of its own while the next batch is drawn, so
its time is not part of the sum.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import torch
from torch import Tensor

import synthset
from synthset.core.errors import SynthsetError
from synthset.core.progress import set_progress
from synthset.create.shards import encode_image
from synthset.create.stage import CreateResult
from synthset.dataset.card import write_card
from synthset.dataset.writer import DatasetWriter
from synthset.generators.latent_diffusion import LatentDiffusionGenerator
from synthset.generators.loading import load_generator
from synthset.images.pictures import draw_contact_sheet
from timing import median_ratio, report_all, time_in_turns

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class UnetCall:
    """One forward: the shape of the rows (n, c, h, w), the timestep, and the texts (n, tokens, d)."""

    shape: torch.Size
    timestep: Tensor
    texts: Tensor


def main() -> int:
    """Measure it; 0 if it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--generator", default="miniature", help="'miniature' or a checkpoint's folder")
    parser.add_argument("--images", type=int, default=400, help="of a job")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a file to add the JSON line to")
    arguments = parser.parse_args()
    set_progress(False)

    def load() -> LatentDiffusionGenerator:
        generator = load_generator(arguments.generator, num_inference_steps=arguments.steps, device="cpu")
        return cast("LatentDiffusionGenerator", generator)

    try:
        load()
    except SynthsetError as error:
        print(f"{error}\n--generator takes a checkpoint's folder.", file=sys.stderr)
        return error.exit_code
    images_per_class = max(1, arguments.images // len(CLASS_NAMES))
    return report_all([compare_with_unet(load, images_per_class, arguments.rounds)], arguments.output)


def compare_with_unet(
    load: Callable[[], LatentDiffusionGenerator], images_per_class: int, rounds: int
) -> dict[str, object]:
    """Seconds an image: the whole job over its bare UNet forwards."""
    num_images = images_per_class * len(CLASS_NAMES)
    start = time.perf_counter()
    generators = [load() for _ in range(rounds)]
    loading_seconds = (time.perf_counter() - start) / rounds
    generator = load()
    with record_unet(generator) as calls:
        run_job(generator, images_per_class)

    def run_whole(round_index: int) -> int:
        return run_job(generators[round_index], images_per_class).drawn

    def run_unet(_round_index: int) -> int:
        replay(generator, calls)
        return num_images

    replay(generator, calls)
    seconds = time_in_turns({"unet": run_unet, "job": run_whole}, rounds)
    ratio = median_ratio(seconds["job"], seconds["unet"])
    loading_ratio = loading_seconds / num_images / statistics.median(seconds["unet"])
    return {
        "name": "job_unet_share",
        "ratio": round(ratio, 3),
        "bar": "<= 1.1",
        "holds": ratio <= 1.1,
        "ratio_with_loading": round(ratio + loading_ratio, 3),
        "ratios": [round(job / unet, 3) for job, unet in zip(seconds["job"], seconds["unet"], strict=True)],
        "seconds_per_image": round(statistics.median(seconds["job"]), 5),
        "parts": measure_parts(load(), images_per_class),
        "images": num_images,
        "unet_calls": len(calls),
        "model": generator.config.model,
        "steps": generator.config.num_inference_steps,
        "batch_size": generator.preferred_batch_size,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
    }


def run_job(generator: LatentDiffusionGenerator, images_per_class: int) -> CreateResult:
    """Draw a whole dataset with a scale of its own for each image, into a folder that is then removed."""
    folder = Path(tempfile.mkdtemp(prefix="synthset-job-"))
    try:
        return synthset.create(
            CLASS_NAMES,
            folder / "set",
            generator=generator,
            strategies=["random_guidance"],
            images_per_class=images_per_class,
            max_failures=1.0,
        )
    finally:
        shutil.rmtree(folder)


@contextmanager
def record_unet(generator: LatentDiffusionGenerator) -> Iterator[list[UnetCall]]:
    """The UNet's calls of all that is done inside."""
    calls: list[UnetCall] = []

    def record(_unet: Any, arguments: tuple[Tensor, Tensor], options: dict[str, Any]) -> None:
        rows, timestep = arguments
        calls.append(UnetCall(rows.shape, timestep, options["encoder_hidden_states"]))

    hook = generator.unet.register_forward_pre_hook(record, with_kwargs=True)
    try:
        yield calls
    finally:
        hook.remove()


@torch.inference_mode()
def replay(generator: LatentDiffusionGenerator, calls: list[UnetCall]) -> None:
    """The same forwards and nothing else."""
    noise = torch.Generator().manual_seed(0)
    rows = torch.empty(0)
    for call in calls:
        if rows.shape != call.shape:  # so once a batch, not once a step
            rows = torch.randn(call.shape, generator=noise).to(generator.device, generator.dtype)
        generator.unet(rows, call.timestep, encoder_hidden_states=call.texts, return_dict=False)


def measure_parts(generator: LatentDiffusionGenerator, images_per_class: int) -> dict[str, float]:
    """Shares of one job's wall that each of its parts takes."""
    parts: dict[str, float] = defaultdict(float)
    places: list[tuple[Any, str, str, Callable[..., Any]]] = [
        (generator.unet, "forward", "unet", generator.unet.forward),
        (generator.text_encoder, "forward", "text_encoder", generator.text_encoder.forward),
        (generator.scheduler, "step", "scheduler", generator.scheduler.step),
        (generator.vae, "decode", "vae", generator.vae.decode),
        (sys.modules["synthset.create.shards"], "encode_image", "encoding_behind", encode_image),
        (DatasetWriter, "write_shard", "writing", DatasetWriter.write_shard),
        (sys.modules["synthset.images.pictures"], "draw_contact_sheet", "contact_sheet", draw_contact_sheet),
        (sys.modules["synthset.create.stage"], "write_card", "card", write_card),
    ]
    with ExitStack() as stack:
        for owner, name, part, function in places:
            stack.enter_context(patch.object(owner, name, timed(function, part, parts)))
        start = time.perf_counter()
        run_job(generator, images_per_class)
        whole = time.perf_counter() - start
    parts["rest"] = whole - sum(seconds for part, seconds in parts.items() if part != "encoding_behind")
    return {part: round(seconds / whole, 4) for part, seconds in parts.items()}


def timed(function: Callable[..., Any], part: str, parts: dict[str, float]) -> Callable[..., Any]:
    """The function, its seconds added to its part."""

    def call(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            parts[part] += time.perf_counter() - start

    return call


if __name__ == "__main__":
    sys.exit(main())
