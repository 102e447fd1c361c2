"""Quantising, offloading and tiling: what changes, how much, and what is the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines as tiny
import torch
from drawn_images import difference, make_request, pixels_of
from torch import nn

import synthset
from synthset.core.errors import ConfigChangedError, ModelError, UsageError
from synthset.generators import placing
from synthset.generators.loading import load_generator
from synthset.generators.memory import MemoryOptions
from synthset.generators.sampling import SamplingOptions
from tiny_models import build_stable_diffusion

STEPS = 2
OPTIONS: dict[str, Any] = {"num_inference_steps": STEPS, "height_px": 32, "width_px": 32, "device": "cpu"}
REQUESTS = [make_request("a cat", guidance_scale=3.0), make_request("a dog", seed=2)]
BUILDERS = {"SD": build_stable_diffusion, "SDXL": tiny.build_sdxl, "Flux": tiny.build_flux}
# torchao and bitsandbytes, apart from the environment, for diffusers imports them wherever they are: see the Makefile
QUANTISE = Path(sys.prefix) / "quantise"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    built: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in built:
            built[name] = BUILDERS[name](tmp_path_factory.mktemp("placing") / name)
        return built[name]

    return get


def load(folder: Path, options: dict[str, Any] = OPTIONS, **memory: Any) -> Any:
    return load_generator(str(folder), **options, memory=MemoryOptions(**memory))


def draw(folder: Path, **memory: Any) -> list[Any]:
    return pixels_of(load(folder, **memory).generate(REQUESTS))


# ---- quantisation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILDERS)
def test_fp8_holds_weights_in_a_byte_and_is_drawn_in_the_same_dtype(name, folders):
    generator = load(folders(name), quantise="fp8")
    denoiser = generator.unet if name == "SD" else placing.denoiser_of(generator.pipeline)
    held = {value.dtype for value in denoiser.parameters()}
    assert held == {torch.float8_e4m3fn, torch.float32}
    images = pixels_of(generator.generate(REQUESTS))
    assert all(difference(ours, other) > 0 for ours, other in zip(images, draw(folders(name)), strict=True))
    assert generator.config.describe()["quantise"] == "fp8"


class Layers(nn.Module):
    """Enough of a network to be quantised: two layers, and one that it wants in full precision."""

    _keep_in_fp32_modules = ("kept",)

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second, self.kept = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kept(torch.tanh(self.second(torch.tanh(self.first(x)))))


class Pipeline:
    """As much of a pipeline as quantising reads."""

    def __init__(self) -> None:
        self.transformer = Layers()
        self.components = {"text_encoder": Layers(), "transformer": self.transformer}


def relative_error(form: str) -> float:
    """Of what the layers answer, when their weights are held so."""
    x = torch.randn(256, 64, generator=torch.Generator().manual_seed(1))
    pipeline = Pipeline()
    with torch.inference_mode():
        before = pipeline.transformer(x)
        placing.quantise(pipeline, form, torch.float32, "some")
        pipeline.transformer.to("cpu")
        after = pipeline.transformer(x)
    assert type(pipeline.transformer.kept.weight) is nn.Parameter
    assert pipeline.transformer.kept.weight.dtype == torch.float32
    return float((after - before).norm() / before.norm())


def test_fp8_is_a_few_hundredths_off():
    assert 0.005 < relative_error("fp8") < 0.05


def in_process(code: str) -> str:
    """What a process with the libraries prints on both streams."""
    if not QUANTISE.is_dir():
        pytest.skip(f"no {QUANTISE}: run make setup")
    path = os.pathsep.join([*(str(Path(each).resolve()) for each in sys.path if each), str(QUANTISE)])
    run = subprocess.run(
        [sys.executable, "-c", f"import torch; torch.set_num_threads(1)\n{code}"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout + run.stderr


def test_4bit_and_8bit_are_as_far_off_as_they_should_be_and_say_nothing(folders):
    """In one process, for importing these libraries takes seconds."""
    said = in_process(
        "import synthset.generators.loading\n"
        "import test_placing as here\n"
        "errors = here.relative_error('8bit'), here.relative_error('4bit')\n"
        "assert 0.001 < errors[0] < 0.02 < errors[1] < 0.2, errors\n"
        f"folder, plain = {str(folders('SD'))!r}, here.draw({str(folders('SD'))!r})\n"
        "for form in ('4bit', '8bit'):\n"
        "    drawn = here.draw(folder, quantise=form)\n"
        "    assert all(here.difference(a, b) > 0 for a, b in zip(drawn, plain))\n"
    )
    assert said == ""


@pytest.mark.parametrize(("form", "library"), [("4bit", "bitsandbytes"), ("8bit", "torchao")])
def test_a_library_that_is_missing_is_named_before_anything_is_loaded(form, library, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=rf"the package {library} .*pip install 'synthset\[quantise\]'"):
        load(Path("no/such"), quantise=form)


# ---- offloading -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("offload", ["model", "group"])
def test_offloading_changes_no_pixel_but_by_rounding(name, offload, folders, monkeypatch):
    monkeypatch.setattr(placing, "check_device", lambda *_: None)  # as if the CPU were somewhere else
    generator = load(folders(name), offload=offload)
    again = [pixels_of(generator.generate(REQUESTS)) for _ in range(2)]
    # diffusers' offloading by accelerate brings AMD's processors to other kernels: the sixth digit of a network differs
    rounding = 1 if offload == "model" and name != "SD" else 0
    for images in again:
        assert all(difference(*pair) <= rounding for pair in zip(images, draw(folders(name)), strict=True))
    assert generator.config.describe() == load(folders(name)).config.describe()
    vae = generator.vae if name == "SD" else generator.pipeline.vae
    hook = {"model": "_hf_hook", "group": "_diffusers_hook"}[offload]
    assert any(hasattr(module, hook) for module in vae.modules())


def test_with_offloaded_models_each_sends_the_one_before_it_back_in_a_circle(folders, monkeypatch):
    monkeypatch.setattr(placing, "check_device", lambda *_: None)
    generator = load(folders("SD"), offload="model")
    networks = [generator.text_encoder, generator.unet, generator.vae]
    assert [network._hf_hook.prev_module_hook.model for network in networks] == [networks[-1], *networks[:-1]]


def test_offloading_is_of_gpus_and_what_does_not_go_together_is_refused(folders):
    for options, message in (
        ({"offload": "group"}, r"Expected a GPU with offload=group"),
        ({"offload": "all"}, r"Unknown offload 'all'"),
        ({"quantise": "2bit"}, r"Valid: none, 4bit, 8bit, fp8"),
    ):
        with pytest.raises(UsageError, match=message):
            load(folders("SD"), **options)
    with pytest.raises(UsageError, match=r"engine 'eager' with quantise=fp8"):
        load(folders("SD"), {**OPTIONS, "engine": "compiled"}, quantise="fp8")
    with pytest.raises(UsageError, match=r"8bit or fp8 with offload=model, got 4bit"):
        placing.check_device(MemoryOptions(offload="model", quantise="4bit"), torch.device("cuda"))


# ---- decoding ---------------------------------------------------------------------------------------------


def test_tiles_change_large_images_and_the_job_slices_neither(folders):
    large = {**OPTIONS, "height_px": 64, "width_px": 64}
    plain, tiled, sliced = (
        load(folders("SD"), large, **each) for each in ({}, {"vae_tiling": True}, {"vae_slicing": True})
    )
    images = [pixels_of(generator.generate(REQUESTS)) for generator in (plain, tiled, sliced)]
    assert all(difference(*pair) > 1 for pair in zip(images[0], images[1], strict=True))
    assert all(difference(*pair) <= 1 for pair in zip(images[0], images[2], strict=True))
    assert plain.config.describe() == sliced.config.describe() != tiled.config.describe()


# ---- block cache ------------------------------------------------------------------------------------------


def test_a_block_cache_leaves_blocks_out_and_no_image_depends_on_its_batch(folders):
    steps = {**OPTIONS, "num_inference_steps": 6}

    def drawing(threshold: float) -> Any:
        return load_generator(str(folders("Flux")), **steps, sampling=SamplingOptions(block_cache=threshold))

    generator, calls = drawing(0.5), []
    block = generator.pipeline.transformer.single_transformer_blocks[0]
    block.ff_probe = block.proj_mlp.register_forward_hook(lambda *_: calls.append(1))
    together = pixels_of(generator.generate(REQUESTS))
    assert 0 < len(calls) < 6 * len(REQUESTS)
    alone = [pixels_of(drawing(0.5).generate([request]))[0] for request in REQUESTS]
    assert all(difference(*pair) == 0 for pair in zip(together, alone, strict=True))
    plain = pixels_of(load_generator(str(folders("Flux")), **steps).generate(REQUESTS))
    assert any(difference(*pair) > 0 for pair in zip(together, plain, strict=True))
    assert generator.config.describe()["sampling"]["block_cache"] == 0.5


@pytest.mark.parametrize("name", ["SD", "SDXL"])
def test_a_block_cache_is_of_some_transformers(name, folders):
    with pytest.raises(UsageError, match=r"checkpoint of CogView4, Flux, Qwen-Image for block_cache.*cache_interval"):
        load_generator(str(folders(name)), **OPTIONS, sampling=SamplingOptions(block_cache=0.1))


# ---- the job ----------------------------------------------------------------------------------------------


def test_another_quantisation_in_the_same_folder_is_refused_by_name_and_offloading_is_not(
    folders, tmp_path, monkeypatch
):
    monkeypatch.setattr(placing, "check_device", lambda *_: None)
    options: dict[str, Any] = {
        "generator": str(folders("SD")), "images_per_class": 2, "steps": STEPS, "device": "cpu",
    }  # fmt: skip
    synthset.create(["cat"], tmp_path / "pets", **options, memory=MemoryOptions(quantise="fp8"))
    assert "weights held in fp8" in (tmp_path / "pets" / "README.md").read_text()
    both = MemoryOptions(quantise="fp8", offload="group", vae_slicing=True)
    assert synthset.create(["cat"], tmp_path / "pets", **options, memory=both).drawn == 0
    with pytest.raises(ConfigChangedError, match=r'generation\.quantise: "fp8" there, null here'):
        synthset.create(["cat"], tmp_path / "pets", **options)
    tiled = MemoryOptions(quantise="fp8", vae_tiling=True)
    with pytest.raises(ConfigChangedError, match=r"generation\.vae_tiling: null there, true here"):
        synthset.create(["cat"], tmp_path / "pets", **options, memory=tiled)
