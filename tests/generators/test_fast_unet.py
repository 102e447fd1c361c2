"""The compiled UNet against the eager one: what it answers, how often it compiles, what it remembers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from synthset.errors import ModelError
from synthset.generators import load_generator
from synthset.generators.fast_unet import CompiledUNet, choose_rows_per_call
from tiny_models import build_stable_diffusion

ROWS_PER_CALL = 4


@dataclass(frozen=True)
class Request:
    prompt: str
    negative_prompt: str = ""
    guidance_scale: float = 7.5
    seed: int = 1


# 2n rows, n + guided rows, fewer than a call takes, exactly what it takes, and a text that is not the last one's
BATCHES = [
    [Request("an image of a cat", guidance_scale=scale, seed=seed) for seed, scale in enumerate((1.5, 3, 7.5, 2, 4))],
    [Request("an image of a dog", guidance_scale=scale, seed=seed) for seed, scale in enumerate((1, 3, 1, 5, 1, 2))],
    [Request("an image of a five", guidance_scale=1, seed=9)],
    [Request("a drawing of a five", "a dog", guidance_scale=6, seed=seed) for seed in range(2)],
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return build_stable_diffusion(tmp_path_factory.mktemp("checkpoint"))


def load(checkpoint, scheduler="ddim"):
    return load_generator(str(checkpoint), num_inference_steps=3, scheduler=scheduler, device="cpu")


def compile_unet(generator, backend):
    torch._dynamo.reset()
    generator.unet = CompiledUNet(generator.unet, ROWS_PER_CALL, backend)
    return generator


def draw_all(generator):
    return [np.stack([image.pixels for image in generator.generate(batch)]).astype(int) for batch in BATCHES]


@pytest.mark.parametrize("scheduler", ["ddim", "euler"])  # timesteps of integers, and of floats
def test_ragged_batches_compile_once_and_draw_the_eager_images(checkpoint, scheduler):
    counter = CompileCounter()
    eager = draw_all(load(checkpoint, scheduler))
    compiled = draw_all(compile_unet(load(checkpoint, scheduler), counter))
    assert counter.frame_count == 1
    assert max(np.abs(one - other).max() for one, other in zip(eager, compiled, strict=True)) <= 1
    assert np.abs(eager[0][0] - eager[1][0]).max() > 20  # so that another text's images would not pass


def test_a_text_is_projected_once_a_batch_and_not_in_the_compiled_part(checkpoint):
    generator = compile_unet(load(checkpoint), "eager")
    calls = []
    for memory in generator.unet._memories:
        memory.projection.register_forward_hook(lambda *_: calls.append(1))
    generator.generate(BATCHES[0])  # 10 rows, so 3 calls in each of 3 steps
    assert len(calls) == len(generator.unet._memories) > 0


@pytest.mark.slow  # a minute of C++
def test_the_default_compiler_computes_what_eager_does(checkpoint):
    eager, compiled = load(checkpoint), compile_unet(load(checkpoint), "inductor")
    batch = BATCHES[1]
    for one, other in zip(eager.generate(batch), compiled.generate(batch), strict=True):
        assert np.abs(one.pixels.astype(int) - other.pixels.astype(int)).max() <= 1


def test_a_machine_that_cannot_compile_says_so_in_one_line(checkpoint):
    def broken(_graph, _inputs):
        raise RuntimeError("no C++ compiler\nand a long trace")

    generator = compile_unet(load(checkpoint), broken)
    with pytest.raises(ModelError, match=r"^The UNet cannot be compiled here \(.*no C\+\+ compiler.*\)\. [^\n]*$"):
        generator.generate(BATCHES[2])


def test_a_call_takes_fewer_rows_of_larger_images():
    gpu = torch.device("cuda")
    assert choose_rows_per_call(64, 64, gpu) == 16
    assert choose_rows_per_call(128, 128, gpu) == 4
    assert choose_rows_per_call(512, 512, gpu) == 1
    assert choose_rows_per_call(8, 8, torch.device("cpu")) == 64
