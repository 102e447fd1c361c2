"""The engine 'compiled' against the eager one: what it draws, how often it compiles, what it remembers."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from drawn_images import make_request
from torch._dynamo.testing import CompileCounter

from synthset.core.errors import ModelError, UnknownNameError, UsageError
from synthset.generators import compiled_unet
from synthset.generators.compiled_unet import check_compiler, choose_rows_per_call
from synthset.generators.loading import load_generator
from synthset.generators.sampling import ConditionAnnealing, SamplingOptions
from synthset.images.decoding import encode
from tiny_models import build_stable_diffusion

ROWS_PER_CALL = 4


# 2n rows, n + guided rows, fewer than a call takes, exactly what it takes, and a text that is not the last one's
BATCHES = [
    [
        make_request("an image of a cat", guidance_scale=scale, seed=seed)
        for seed, scale in enumerate((1.5, 3, 7.5, 2, 4))
    ],
    [
        make_request("an image of a dog", guidance_scale=scale, seed=seed)
        for seed, scale in enumerate((1, 3, 1, 5, 1, 2))
    ],
    [make_request("an image of a five", guidance_scale=1, seed=9)],
    [make_request("a drawing of a five", "a dog", guidance_scale=6, seed=seed) for seed in range(2)],
]


PICTURE = encode(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
PICTURE_NAME = hashlib.sha256(PICTURE).hexdigest()

# scales, numbers of steps, and images to begin at, in no order
MIXED = [
    make_request("a cat", guidance_scale=5, seed=1),
    make_request("a cat", guidance_scale=1, seed=2, num_inference_steps=5),
    make_request("a dog", guidance_scale=3, seed=3, initial_image=PICTURE_NAME, strength=0.7),
    make_request("a dog", "a cat", guidance_scale=4, seed=4, num_inference_steps=5),
    make_request("a dog", guidance_scale=1, seed=5),
    make_request("a five", guidance_scale=2, seed=6),
]


@pytest.fixture
def compilations(monkeypatch):
    """Counts what torch.compile compiles, and runs it as it is: the machine's compiler takes minutes."""
    counter, original = CompileCounter(), torch.compile

    def compile_quickly(model, *, dynamic=None, fullgraph=False, **_):
        return original(model, backend=counter, dynamic=dynamic, fullgraph=fullgraph)

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", compile_quickly)
    return counter


def load(checkpoint, scheduler="ddim", **options):
    return load_generator(str(checkpoint), num_inference_steps=3, scheduler=scheduler, device="cpu", **options)


def draw(generator, requests):
    images = generator.generate_from(requests, {PICTURE_NAME: PICTURE})
    return np.stack([image.pixels for image in images]).astype(int)


def compile_unet(generator, backend):
    torch._dynamo.reset()
    generator.compile_unet(ROWS_PER_CALL, backend)
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


@torch._dynamo.config.patch(recompile_limit=1)  # raised as far as needed
def test_regions_of_a_large_network_are_compiled_once_a_shape(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled_unet, "WHOLE_WEIGHTS", 0)
    counts = []
    for layers_per_block in (2, 4):  # as in Stable Diffusion, and twice as deep
        checkpoint = build_stable_diffusion(tmp_path / str(layers_per_block), layers_per_block=layers_per_block)
        counter = CompileCounter()
        compiled = compile_unet(load(checkpoint), counter)
        regions = [module for module in compiled.unet.modules() if getattr(module, "_compiled_call_impl", None)]
        drawn, after_first = [draw(compiled, BATCHES[0])], counter.frame_count
        if layers_per_block == 2:
            eager = load(checkpoint)
            drawn += [draw(compiled, batch) for batch in BATCHES[1:]]
            assert max(np.abs(one - draw(eager, batch)).max() for one, batch in zip(drawn, BATCHES, strict=True)) <= 1
            assert counter.frame_count == after_first  # whatever rows a batch has
        counts.append((len(regions), after_first))
    (few, compiled_few), (many, compiled_many) = counts
    assert many > few > compiled_few
    assert compiled_many == compiled_few


def test_a_compiler_that_gives_up_is_an_error_and_not_the_eager_engine(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled_unet, "WHOLE_WEIGHTS", 0)
    compiled = compile_unet(load(build_stable_diffusion(tmp_path, layers_per_block=2)), "eager")
    with torch._dynamo.config.patch(recompile_limit=1), pytest.raises(ModelError, match="cannot be compiled here"):
        draw(compiled, BATCHES[2])


def test_compiled_code_is_kept_in_our_cache_unless_somebody_says_where(monkeypatch, tmp_path):
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "theirs")
    compiled_unet.keep_compiled_code()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "theirs"
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    compiled_unet.keep_compiled_code()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "theirs")  # so that it is theirs again, or nobody's, after the test


def test_a_text_is_projected_once_a_batch_and_not_in_the_compiled_part(checkpoint):
    generator = compile_unet(load(checkpoint), "eager")
    calls = []
    for memory in generator.unet._memories:
        memory.projection.register_forward_hook(lambda *_: calls.append(1))
    generator.generate(BATCHES[0])  # 10 rows, so 3 calls in each of 3 steps
    assert len(calls) == len(generator.unet._memories) > 0


@pytest.mark.parametrize(
    "sampling",
    [
        None,
        SamplingOptions(guidance_interval=(0.3, 0.8)),
        SamplingOptions(annealing=ConditionAnnealing()),
        SamplingOptions((0.3, 0.8), annealing=ConditionAnnealing(noise_scale=0.5, mixing_factor=0.5)),
    ],
    ids=["plain", "interval", "annealing", "both"],
)
def test_whatever_a_batch_mixes_is_compiled_once_and_drawn_as_eager_does(checkpoint, compilations, sampling):
    eager = load(checkpoint, sampling=sampling)
    compiled = load(checkpoint, sampling=sampling, engine="compiled")
    before = compilations.frame_count
    for requests in (MIXED, MIXED[:1], MIXED[1:5]):
        assert np.abs(draw(compiled, requests) - draw(eager, requests)).max() <= 1
    assert compilations.frame_count - before == 1


def test_a_unet_that_reads_its_scale_is_compiled_once(tmp_path, compilations):
    checkpoint = build_stable_diffusion(tmp_path, time_cond_proj_dim=24)
    eager, compiled = load(checkpoint, "lcm"), load(checkpoint, "lcm", engine="compiled")
    before = compilations.frame_count
    for requests in (MIXED, MIXED[1:3]):
        assert np.abs(draw(compiled, requests) - draw(eager, requests)).max() <= 1
    assert compilations.frame_count - before == 1
    scales = draw(compiled, [make_request("a cat", guidance_scale=scale) for scale in (1, 8)])
    assert np.abs(scales[0] - scales[1]).max() > 3


def test_nothing_of_a_batch_is_kept(checkpoint, compilations):
    generator = load(checkpoint, engine="compiled")
    draw(generator, MIXED)
    kept = [module for module in generator.unet.modules() if getattr(module, "_projected", None) is not None]
    assert generator.unet._padded_text is None
    assert not kept


def test_the_engine_is_recorded_where_it_is_not_the_eager_one(checkpoint, compilations):
    assert "engine" not in load(checkpoint).config.describe()
    assert load(checkpoint, engine="compiled").config.describe()["engine"] == "compiled"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"engine": "openvino"}, UnknownNameError, "Unknown engine 'openvino'. Valid: eager, compiled, compiled_max."),
        ({"engine": "compiled", "sampling": SamplingOptions(cache_interval=2)}, UsageError, "got both: .* Drop one."),
    ],
)
def test_an_engine_that_cannot_be_is_refused_in_one_line(checkpoint, compilations, options, error, message):
    with pytest.raises(error, match=message) as caught:
        load(checkpoint, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.slow  # a minute of C++
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_default_compiler_computes_what_eager_does_and_says_nothing(checkpoint, dtype, capfd, monkeypatch):
    monkeypatch.setattr(compiled_unet, "WHOLE_WEIGHTS", 0 if dtype == "float32" else compiled_unet.WHOLE_WEIGHTS)
    torch._dynamo.reset()
    exact = draw(load(checkpoint), MIXED)
    compiled = draw(load(checkpoint, dtype=dtype, engine="compiled"), MIXED)
    if dtype == "float32":
        assert np.abs(compiled - exact).max() <= 1
    else:  # fused kernels round elsewhere: as near to float32 as eager is
        eager = draw(load(checkpoint, dtype=dtype), MIXED)
        assert np.abs(compiled - exact).mean() < 1.5 * np.abs(eager - exact).mean()
    assert capfd.readouterr().err == ""


@pytest.mark.slow  # a compiler is looked for once a process, so a process of its own
def test_a_machine_without_a_compiler_says_so_before_anything_is_drawn(checkpoint, tmp_path):
    code = f"import synthset; synthset.load_generator({str(checkpoint)!r}, engine='compiled')"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    last = found.stderr.strip().splitlines()[-1]
    assert found.returncode == 1
    assert "cannot be compiled here" in last
    assert "C++ compiler" in last
    assert "engine=eager" in last


def test_a_compiler_that_is_there_is_not_complained_of(compilations):
    check_compiler(torch.device("cpu"))
    assert compilations.frame_count == 1


def test_a_machine_that_cannot_compile_says_so_in_one_line(checkpoint):
    def broken(_graph, _inputs):
        raise RuntimeError("no C++ compiler\nand a long trace")

    generator = compile_unet(load(checkpoint), broken)
    with pytest.raises(ModelError, match=r"^The denoiser cannot be compiled here \(.*no C\+\+ compiler.*\)\. [^\n]*$"):
        generator.generate(BATCHES[2])


def test_a_call_takes_fewer_rows_of_larger_images():
    gpu = torch.device("cuda")
    assert choose_rows_per_call(8, 8, gpu) == 256
    assert choose_rows_per_call(64, 64, gpu) == 16
    assert choose_rows_per_call(128, 128, gpu) == 4
    assert choose_rows_per_call(512, 512, gpu) == 1
    assert choose_rows_per_call(8, 8, torch.device("cpu")) == 64
