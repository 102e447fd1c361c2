"""How fast the sampling loop is on a GPU, with the UNet compiled.

    python benchmarks/gpu_generation.py [--images 64] [--steps 20] [--batch-size 16]
    python benchmarks/gpu_generation.py --tiny --device cpu --compiler eager   # runs the script, measures nothing

Prints one JSON line a ratio, each as soon as it is there. The networks have Stable Diffusion 1.5's sizes and random
weights, in bfloat16, so nothing is downloaded. `gpu_generation_compile_seconds`: what the first batch takes beyond the
second is at most two minutes, with nothing in the compiler's cache. `gpu_generation_speed`: diffusers' eager pipeline
takes at least 1.3 × as long as ours an image, in batches of the same size; `gpu_generation_eager`, without a bar: as
ours does that compiles nothing. `gpu_generation_matmul_share`: the UNet does at least 0.40 of the arithmetic a second
of a bfloat16 matrix product, timed in turns with it. `gpu_generation_recompiles`: batches of other sizes, the ragged
last one of a job and ones with unguided rows, compile nothing. `gpu_job_unet_share`: a whole `synthset.create` takes at
most 1.12 × its UNet's forwards, replayed bare. `gpu_generation_kernels`: the share of the three kernels that take most
of a batch, with their names; `gpu_generation_bfloat16`: how far the images of bfloat16 are from those of float32, in
grey levels of 255; both without a bar. On a machine without a GPU nothing is measured, and the lines say so.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor
from torch._dynamo.utils import counters
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from generation import make_requests
from job import CLASS_NAMES, record_unet, replay, run_job
from synthset.core.errors import SynthsetError
from synthset.core.progress import set_progress
from synthset.generators.base import GenerationConfig
from synthset.generators.compiled_unet import choose_rows_per_call
from synthset.generators.latent_diffusion import LatentDiffusionGenerator
from timing import median_ratio, not_measured, report_all, time_in_turns

BARS = {
    "gpu_generation_compile_seconds": "<= 120",
    "gpu_generation_speed": ">= 1.3",
    "gpu_generation_eager": "",
    "gpu_generation_matmul_share": ">= 0.40",
    "gpu_generation_recompiles": "<= 0",
    "gpu_job_unet_share": "<= 1.12",
    "gpu_generation_kernels": "",
    "gpu_generation_bfloat16": "",
}
GUIDANCE_SCALE = 2.0  # diffusers' pipeline takes one a call


@dataclass(frozen=True)
class Sizes:
    """Of the networks, and the matrix product's side."""

    unet_channels: tuple[int, ...]
    layers_per_block: int
    heads: int
    groups: int
    text_width: int
    text_layers: int
    text_heads: int
    vae_channels: tuple[int, ...]
    latent_size: int
    matmul_size: int


STABLE_DIFFUSION_1 = Sizes((320, 640, 1280, 1280), 2, 8, 32, 768, 12, 12, (128, 256, 512, 512), 64, 8192)
TINY = Sizes((16, 32), 1, 4, 8, 32, 2, 2, (8, 16), 8, 512)


@dataclass(frozen=True)
class Setting:
    """What all ratios are measured with."""

    sizes: Sizes
    device: torch.device
    compiler: str
    rows_per_call: int
    batch_size: int
    steps: int
    images: int
    rounds: int
    counts: bool  # whether the bars are meant for this machine and these sizes


def main() -> int:
    """Measure all; 0 if all that was measured hold."""
    arguments = parse_arguments()
    set_progress(False)
    if not arguments.tiny and not (arguments.device.startswith("cuda") and torch.cuda.is_available()):
        print("Expected a GPU, found none: the GPU's ratios are not measured.", file=sys.stderr)
        return report_all((not_measured(name, bar, "no GPU") for name, bar in BARS.items()), arguments.output)
    device = torch.device(arguments.device)
    sizes = TINY if arguments.tiny else STABLE_DIFFUSION_1
    setting = Setting(
        sizes=sizes,
        device=device,
        compiler=arguments.compiler,
        rows_per_call=arguments.rows_per_call or choose_rows_per_call(sizes.latent_size, sizes.latent_size, device),
        batch_size=arguments.batch_size,
        steps=arguments.steps,
        images=arguments.images,
        rounds=arguments.rounds,
        counts=device.type == "cuda" and not arguments.tiny,
    )
    try:
        return report_all(measure(setting), arguments.output)
    except SynthsetError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=64, help="images of the whole job")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rows-per-call", type=int, help="of the compiled UNet; by default as Synthset chooses it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compiler", default="inductor", help="backend of torch.compile")
    parser.add_argument("--tiny", action="store_true", help="small networks, to run the script; no bar holds or fails")
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    return parser.parse_args()


def measure(setting: Setting) -> Iterator[dict[str, object]]:
    """One result after the other."""
    generator = load_generator(setting)
    flop_per_row = count_flop_per_row(generator)
    generator.compile_unet(setting.rows_per_call, setting.compiler)
    yield time_compilation(generator, setting)
    compiled_before = count_compilations()
    yield from compare_with_pipeline(generator, setting)
    yield compare_with_matmul(generator, flop_per_row, setting)
    yield count_recompilations(generator, compiled_before, setting)
    yield compare_job_with_unet(generator, setting)
    yield name_kernels(generator, setting)
    yield compare_with_float32(setting)


def time_compilation(generator: LatentDiffusionGenerator, setting: Setting) -> dict[str, object]:
    """Seconds of the first batch beyond those of the second."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        draw(generator, setting.batch_size)
        seconds.append(time.perf_counter() - start)
    compiling = seconds[0] - seconds[1]
    name = "gpu_generation_compile_seconds"
    return result(name, compiling, compiling <= 120, setting, graphs=count_compilations())


def compare_with_pipeline(generator: LatentDiffusionGenerator, setting: Setting) -> Iterator[dict[str, object]]:
    """Seconds an image: diffusers' eager pipeline over ours, in batches of one size and with one scale."""
    pipeline = build_pipeline(setting).to(setting.device)
    pipeline.set_progress_bar_config(disable=True)
    eager = load_generator(setting)

    def draw_with_pipeline(_round_index: int) -> int:
        requests = make_requests(setting.batch_size, lambda: GUIDANCE_SCALE)
        pipeline(
            [request.prompt for request in requests],
            guidance_scale=GUIDANCE_SCALE,
            num_inference_steps=setting.steps,
            generator=[torch.Generator().manual_seed(request.seed) for request in requests],
            output_type="np",
        )
        return len(requests)  # the images are on the CPU, so the GPU is done

    def draw_ours(_round_index: int) -> int:
        return draw(generator, setting.batch_size)

    def draw_eagerly(_round_index: int) -> int:
        return draw(eager, setting.batch_size)

    sides = {"pipeline": draw_with_pipeline, "speed": draw_ours, "eager": draw_eagerly}
    for work in sides.values():
        work(0)
    seconds = time_in_turns(sides, setting.rounds)
    for name in ("speed", "eager"):
        ratio = median_ratio(seconds["pipeline"], seconds[name])
        yield result(
            f"gpu_generation_{name}",
            ratio,
            ratio >= 1.3,
            setting,
            images_per_second=round(1 / statistics.median(seconds[name]), 3),
            pipeline_images_per_second=round(1 / statistics.median(seconds["pipeline"]), 3),
        )


@torch.inference_mode()
def compare_with_matmul(generator: LatentDiffusionGenerator, flop_per_row: int, setting: Setting) -> dict[str, object]:
    """Arithmetic a second: the UNet's over that of a bfloat16 matrix product."""
    size, num_rows = setting.sizes.matmul_size, 2 * setting.batch_size
    random = torch.Generator().manual_seed(0)
    left, right = (torch.randn(size, size, generator=random).to(setting.device, torch.bfloat16) for _ in range(2))
    rows, timestep, text = unet_inputs(generator, num_rows)

    def multiply(_round_index: int) -> int:
        repetitions = 20
        for _ in range(repetitions):
            torch.mm(left, right)
        wait(setting.device)
        return repetitions * 2 * size**3

    def predict(_round_index: int) -> int:
        repetitions = 4
        for _ in range(repetitions):
            generator.unet(rows, timestep, encoder_hidden_states=text, return_dict=False)
        wait(setting.device)
        return repetitions * num_rows * flop_per_row

    multiply(0)
    predict(0)
    seconds = time_in_turns({"matmul": multiply, "unet": predict}, setting.rounds)
    ratio = median_ratio(seconds["matmul"], seconds["unet"])
    return result(
        "gpu_generation_matmul_share",
        ratio,
        ratio >= 0.4,
        setting,
        unet_tflop_per_second=round(1e-12 / statistics.median(seconds["unet"]), 3),
        matmul_tflop_per_second=round(1e-12 / statistics.median(seconds["matmul"]), 3),
        gflop_per_row=round(flop_per_row / 1e9, 3),
    )


def count_recompilations(
    generator: LatentDiffusionGenerator, compiled_before: int, setting: Setting
) -> dict[str, object]:
    """How often the UNet was compiled after its first batch, with ragged batches of several sizes among the rest."""
    sizes = sorted({1, setting.batch_size // 3 + 1, setting.batch_size - 1} - {0})
    for size in sizes:
        requests = make_requests(size, lambda: GUIDANCE_SCALE)
        generator.generate(requests)
        generator.generate([*requests, *make_requests(1, lambda: 1.0)])  # guided rows are fewer than the images
    compilations = count_compilations() - compiled_before
    return result(
        "gpu_generation_recompiles",
        compilations,
        compiled_before > 0 and compilations == 0,
        setting,
        compiled_before=compiled_before,
        ragged_batches=sizes,
    )


def compare_job_with_unet(generator: LatentDiffusionGenerator, setting: Setting) -> dict[str, object]:
    """Seconds an image: the whole job over its bare UNet forwards."""
    images_per_class = max(1, setting.images // len(CLASS_NAMES))
    with record_unet(generator) as calls:
        num_images = run_job(generator, images_per_class).drawn

    def run_whole(_round_index: int) -> int:
        generator._embeddings.clear()  # a new process knows no text
        return run_job(generator, images_per_class).drawn

    def run_unet(_round_index: int) -> int:
        replay(generator, calls)
        wait(setting.device)
        return num_images

    run_unet(0)
    seconds = time_in_turns({"unet": run_unet, "job": run_whole}, setting.rounds)
    ratio = median_ratio(seconds["job"], seconds["unet"])
    return result(
        "gpu_job_unet_share",
        ratio,
        ratio <= 1.12,
        setting,
        images_per_second=round(1 / statistics.median(seconds["job"]), 3),
        unet_calls=len(calls),
        job_images=num_images,
        job_batch_size=generator.preferred_batch_size,
    )


def name_kernels(generator: LatentDiffusionGenerator, setting: Setting) -> dict[str, object]:
    """The three kernels that take most of a batch; on a CPU operators."""
    on_gpu = setting.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiler:
        draw(generator, setting.batch_size)
    counted = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    times = {event.key: getattr(event, counted) for event in profiler.key_averages()}
    hottest = sorted(times, key=times.__getitem__, reverse=True)[:3]
    shares = {name[:80]: round(times[name] / sum(times.values()), 3) for name in hottest}
    return result("gpu_generation_kernels", sum(shares.values()), True, setting, kernels=shares)


def compare_with_float32(setting: Setting) -> dict[str, object]:
    """Mean distance of bfloat16's images from float32's, eager, of those that are good in both."""
    requests = make_requests(4, lambda: GUIDANCE_SCALE)
    one, other = (load_generator(setting, dtype).generate(requests) for dtype in ("float32", "bfloat16"))
    pairs = [(a.pixels, b.pixels) for a, b in zip(one, other, strict=True)]
    levels = [np.abs(a.astype(int) - b) for a, b in pairs if a is not None and b is not None]
    mean = float(np.mean(levels)) if levels else math.nan
    largest = max((int(difference.max()) for difference in levels), default=0)
    return result("gpu_generation_bfloat16", mean, True, setting, max_levels=largest, images=len(levels))


def result(name: str, ratio: float, holds: bool, setting: Setting, **details: object) -> dict[str, object]:
    """One line, with what a reader needs to judge it."""
    device = torch.cuda.get_device_name(setting.device) if setting.device.type == "cuda" else setting.device.type
    return {
        "name": name,
        "ratio": round(ratio, 3),
        "bar": BARS[name],
        "holds": holds if setting.counts and BARS[name] else None,
        **details,
        "batch_size": setting.batch_size,
        "rows_per_call": setting.rows_per_call,
        "steps": setting.steps,
        "rounds": setting.rounds,
        "compiler": setting.compiler,
        "device": device,
    }


def load_generator(setting: Setting, dtype: str = "bfloat16") -> LatentDiffusionGenerator:
    """Ours, not yet compiled."""
    size_px = setting.sizes.latent_size * 2 ** (len(setting.sizes.vae_channels) - 1)
    config = GenerationConfig(
        model="random weights",
        revision=None,
        weights_hash="",
        scheduler="ddim",
        num_inference_steps=setting.steps,
        height_px=size_px,
        width_px=size_px,
        dtype=dtype,
    )
    return LatentDiffusionGenerator(build_pipeline(setting, getattr(torch, dtype)), config, setting.device)


def build_pipeline(setting: Setting, dtype: torch.dtype = torch.bfloat16) -> StableDiffusionPipeline:
    """Stable Diffusion with random weights; the same at each call."""
    tokenizer = build_tokenizer()
    with torch.random.fork_rng(), setting.device:
        torch.manual_seed(0)
        parts: dict[str, Any] = {
            "unet": build_unet(setting.sizes),
            "vae": build_vae(setting.sizes),
            "text_encoder": build_text_encoder(setting.sizes, len(tokenizer)),
        }
    parts = {name: network.eval().to(dtype) for name, network in parts.items()}
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    parts |= {"tokenizer": tokenizer, "scheduler": scheduler, "safety_checker": None, "feature_extractor": None}
    return StableDiffusionPipeline(**parts, requires_safety_checker=False)


def build_unet(sizes: Sizes) -> UNet2DConditionModel:
    """Random weights."""
    lower = len(sizes.unet_channels) - 1
    return UNet2DConditionModel(
        sample_size=sizes.latent_size,
        down_block_types=("CrossAttnDownBlock2D",) * lower + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * lower,
        block_out_channels=sizes.unet_channels,
        layers_per_block=sizes.layers_per_block,
        attention_head_dim=sizes.heads,  # diffusers means the number of heads
        norm_num_groups=sizes.groups,
        cross_attention_dim=sizes.text_width,
    )


def build_vae(sizes: Sizes) -> AutoencoderKL:
    """Random weights."""
    blocks = len(sizes.vae_channels)
    config: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * blocks,
        "up_block_types": ("UpDecoderBlock2D",) * blocks,
        "block_out_channels": sizes.vae_channels,
        "layers_per_block": sizes.layers_per_block,
        "norm_num_groups": sizes.groups,
        "latent_channels": 4,
    }
    return AutoencoderKL(**config)


def build_text_encoder(sizes: Sizes, vocabulary_size: int) -> CLIPTextModel:
    """Random weights; the last two tokens of the vocabulary are a text's start and end."""
    config = CLIPTextConfig(
        vocab_size=vocabulary_size,
        hidden_size=sizes.text_width,
        intermediate_size=4 * sizes.text_width,
        num_hidden_layers=sizes.text_layers,
        num_attention_heads=sizes.text_heads,
        bos_token_id=vocabulary_size - 2,
        eos_token_id=vocabulary_size - 1,
        pad_token_id=vocabulary_size - 1,
    )
    return CLIPTextModel(config)


def build_tokenizer() -> CLIPTokenizer:
    """A token for each byte, up to 77."""
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


@torch.inference_mode()
def count_flop_per_row(generator: LatentDiffusionGenerator) -> int:
    """Of a UNet forward as it is in all steps but a batch's first: the text's keys and values are known."""
    rows, timestep, text = unet_inputs(generator, 1)
    generator.unet(rows, timestep, encoder_hidden_states=text, return_dict=False)
    with FlopCounterMode(display=False) as counter:
        generator.unet(rows, timestep, encoder_hidden_states=text, return_dict=False)
    return counter.get_total_flops()


def unet_inputs(generator: LatentDiffusionGenerator, num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (n, c, h, w), a timestep, and texts (n, tokens, d), all on the device."""
    random = torch.Generator().manual_seed(0)
    size, width = generator.unet.config.sample_size, generator.unet.config.cross_attention_dim
    rows = torch.randn(num_rows, generator.unet.config.in_channels, size, size, generator=random)
    text = torch.randn(num_rows, 77, width, generator=random)
    place = {"device": generator.device, "dtype": generator.dtype}
    return rows.to(**place), torch.tensor(500, device=generator.device), text.to(**place)


def draw(generator: LatentDiffusionGenerator, num_images: int) -> int:
    """One batch of ours."""
    return len(generator.generate(make_requests(num_images, lambda: GUIDANCE_SCALE)))


def count_compilations() -> int:
    """Graphs that torch.compile has compiled in this process."""
    return counters["stats"]["unique_graphs"]


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(main())
