"""A checkpoint's own scheduler: followed where no other does the same, a sign of distillation, or refused in a line."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import tiny_pipelines as tiny
import torch
from diffusers_peer import draw_one_by_one
from drawn_images import difference, make_request, pixels_of

from synthset.core.errors import ModelError, UsageError
from synthset.generators.loading import load_generator
from synthset.generators.names import SCHEDULERS
from synthset.generators.sampling import ConditionAnnealing, SamplingOptions
from synthset.generators.schedulers import try_scheduler

STEPS = 4
NOISE = tiny.NOISE_SCHEDULE
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
CONTINUOUS = {"timestep_type": "continuous", "prediction_type": "v_prediction", "sigma_min": 0.002, "sigma_max": 700.0}
ZERO_SNR = {**NOISE, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
TRAILING = {**NOISE, "timestep_spacing": "trailing"}
REQUESTS = [
    make_request("a cat", guidance_scale=3.0),
    make_request("a five", "a dog", guidance_scale=7.5, seed=2),
    make_request("a cat", guidance_scale=1.0, seed=3),
]


@pytest.fixture(scope="module")
def folders(checkpoint, tmp_path_factory):
    return {"SD": checkpoint, "SDXL": tiny.build_sdxl(tmp_path_factory.mktemp("sdxl") / "sdxl")}


@pytest.fixture
def with_scheduler(folders, tmp_path):
    """A copy of a checkpoint with another scheduler of its own."""

    def build(class_name: str, settings: dict[str, Any], family: str = "SD") -> Path:
        folder = Path(shutil.copytree(folders[family], tmp_path / "own"))
        getattr(diffusers, class_name)(**settings).save_pretrained(folder / "scheduler")
        index = folder / "model_index.json"
        index.write_text(json.dumps({**json.loads(index.read_text()), "scheduler": ["diffusers", class_name]}))
        return folder

    return build


def load(folder: Path, **options: Any) -> Any:
    options = {"num_inference_steps": STEPS, "height_px": tiny.SIZE_PX, "width_px": tiny.SIZE_PX, **options}
    return load_generator(str(folder), **options)


def draw_peer(folder: Path) -> list[Any]:
    """By diffusers' own pipeline as it is, scheduler and all."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    requests = [SimpleNamespace(**{**vars(r), "negative_prompt": r.negative_prompt or None}) for r in REQUESTS]
    return draw_one_by_one(pipeline, requests, STEPS, height=tiny.SIZE_PX, width=tiny.SIZE_PX)


@pytest.mark.parametrize("family", ["SD", "SDXL"])
@pytest.mark.parametrize(
    ("class_name", "settings", "name"),
    [
        ("DPMSolverMultistepScheduler", {**FLOW, "flow_shift": 3.0}, "dpmsolver_multistep"),
        ("UniPCMultistepScheduler", FLOW, "unipc"),
        ("DEISMultistepScheduler", FLOW, "deis"),
        ("EDMEulerScheduler", {}, "EDMEulerScheduler"),
        ("EDMEulerScheduler", {"prediction_type": "v_prediction", "sigma_data": 1.0}, "EDMEulerScheduler"),
        ("EDMDPMSolverMultistepScheduler", {}, "EDMDPMSolverMultistepScheduler"),
        ("EulerDiscreteScheduler", CONTINUOUS, "euler"),
        ("IPNDMScheduler", {}, "IPNDMScheduler"),
        ("DDPMScheduler", {"beta_schedule": "sigmoid", "clip_sample": False}, "ddpm"),
        ("LCMScheduler", NOISE, "lcm"),
        ("TCDScheduler", NOISE, "tcd"),
        ("EulerDiscreteScheduler", TRAILING, "euler"),
        ("EulerDiscreteScheduler", {**TRAILING, "prediction_type": "sample"}, "euler"),
    ],
)
def test_what_no_other_scheduler_reproduces_is_drawn_by_the_own(with_scheduler, class_name, settings, name, family):
    folder = with_scheduler(class_name, settings, family)
    generator = load(folder)
    assert generator.config.scheduler == name
    assert difference(pixels_of(generator.generate(REQUESTS)), draw_peer(folder)) <= 1


@pytest.mark.parametrize("family", ["SD", "SDXL"])
@pytest.mark.parametrize(
    ("class_name", "settings"),
    [
        ("EulerDiscreteScheduler", NOISE),
        ("EulerDiscreteScheduler", {**ZERO_SNR, "timestep_spacing": "trailing"}),
        ("EulerDiscreteScheduler", {**NOISE, "use_karras_sigmas": True}),
        ("HeunDiscreteScheduler", {**NOISE, "prediction_type": "v_prediction"}),
        ("DDPMScheduler", {"trained_betas": [0.0001 + 0.00002 * i for i in range(1000)]}),
        ("DDIMParallelScheduler", NOISE),
        ("SASolverScheduler", {k: v for k, v in NOISE.items() if k != "steps_offset"}),
    ],
)
def test_ddim_takes_the_place_of_all_that_it_reproduces(with_scheduler, class_name, settings, family, caplog):
    generator = load(with_scheduler(class_name, settings, family))
    assert generator.config.scheduler == "ddim"
    pixels_of(generator.generate(REQUESTS))
    assert caplog.messages == []


def test_defaults_that_differ_between_schedulers_are_those_of_the_own(with_scheduler):
    """A config that says next to nothing: TCD has another noise schedule then than DDIM, which would be drawn with."""
    folder = with_scheduler("TCDScheduler", {})
    (folder / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "TCDScheduler"}')
    generator = load(folder)
    assert generator.config.scheduler == "tcd"
    assert difference(pixels_of(generator.generate(REQUESTS)), draw_peer(folder)) <= 1


@pytest.mark.parametrize("family", ["SD", "SDXL"])
@pytest.mark.parametrize(
    "class_name",
    ["FlowMatchEulerDiscreteScheduler", "KarrasVeScheduler", "ScoreSdeVeScheduler", "DDPMWuerstchenScheduler"],
)
def test_an_own_scheduler_that_its_pipeline_cannot_run_is_one_line_that_advises_no_auto(
    with_scheduler, class_name, family
):
    with pytest.raises(UsageError, match=rf"'{class_name}' does not go with .* correct scheduler/") as caught:
        load(with_scheduler(class_name, {}, family))
    assert "\n" not in str(caught.value)
    assert "auto" not in str(caught.value)


@pytest.mark.parametrize("family", ["SD", "SDXL"])
@pytest.mark.parametrize(
    ("class_name", "settings"),
    [("EDMEulerScheduler", {}), ("UniPCMultistepScheduler", FLOW), ("EulerDiscreteScheduler", CONTINUOUS)],
)
def test_a_named_scheduler_of_other_noise_is_refused(with_scheduler, class_name, settings, family):
    with pytest.raises(UsageError, match=r"'ddim' does not fit .* no other than its own\. Give scheduler=auto"):
        load(with_scheduler(class_name, settings, family), scheduler="ddim")


@pytest.mark.parametrize(
    ("class_name", "settings", "scheduler"),
    [
        ("DEISMultistepScheduler", {}, "dpmsolver_singlestep"),  # fails where it is made
        ("DEISMultistepScheduler", {}, "dpmsolver_multistep"),
        ("DDPMScheduler", {"beta_schedule": "sigmoid"}, "euler"),
        ("DDIMScheduler", {**NOISE, "prediction_type": "sample"}, "pndm"),  # fails in its first step
    ],
)
def test_settings_that_a_named_scheduler_cannot_take_are_one_line(with_scheduler, class_name, settings, scheduler):
    with pytest.raises(UsageError, match=rf"'{scheduler}' does not go with .*\)\. Give scheduler=auto\.") as caught:
        load(with_scheduler(class_name, settings), scheduler=scheduler)
    assert "\n" not in str(caught.value)


def test_images_by_an_own_scheduler_do_not_depend_on_their_batch(with_scheduler):
    generator = load(with_scheduler("EDMDPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}))
    together = pixels_of(generator.generate(REQUESTS))
    assert difference(together, [pixels_of(generator.generate([request]))[0] for request in REQUESTS]) <= 1


def test_noise_that_no_seed_decides_is_refused(folders):
    class Careless(diffusers.DDIMScheduler):
        def step(self, *args: Any, **kwargs: Any) -> Any:
            torch.randn(1)
            return super().step(*args, **kwargs)

    trained, config = Careless(**NOISE), load(folders["SD"]).config
    with pytest.raises(UsageError, match="draws noise that no seed decides"):
        try_scheduler(trained, trained, replace(config, scheduler="Careless"))


def test_annealing_by_noise_without_numbered_steps_is_refused(with_scheduler):
    folder = with_scheduler("EDMEulerScheduler", {})
    with pytest.raises(UsageError, match="Annealing goes by numbered steps"):
        load(folder, sampling=SamplingOptions(annealing=ConditionAnnealing()))


# ---- distilled checkpoints --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["SD", "SDXL"])
@pytest.mark.parametrize(
    ("class_name", "settings", "sign"),
    [
        ("LCMScheduler", NOISE, "its scheduler is LCMScheduler"),
        ("TCDScheduler", NOISE, "its scheduler is TCDScheduler"),
        ("EulerDiscreteScheduler", TRAILING, "its timesteps are trailing"),
        ("DDIMScheduler", TRAILING, "its timesteps are trailing"),
    ],
)
def test_a_distilled_checkpoint_drawn_as_others_are_is_warned_of_once(
    with_scheduler, class_name, settings, sign, family, caplog
):
    generator = load(with_scheduler(class_name, settings, family))
    assert SCHEDULERS[generator.config.scheduler] == class_name
    with caplog.at_level(logging.WARNING, logger="synthset"):
        generator.generate([make_request("a cat", guidance_scale=1.0), make_request("a cat", guidance_scale=2.0)])
        assert caplog.messages == []
        generator.generate(REQUESTS)
        generator.generate(REQUESTS)
    (message,) = caplog.messages
    assert sign in message
    assert message.endswith("If it is, give guidance_scale=1 and steps=4.")


def test_many_steps_of_a_distilled_checkpoint_are_warned_of(with_scheduler, caplog):
    generator = load(with_scheduler("LCMScheduler", NOISE), scheduler="ddim", num_inference_steps=12)
    generator.generate([make_request("a cat", guidance_scale=1.0, num_inference_steps=4)])
    assert caplog.messages == []
    generator.generate([make_request("a cat", guidance_scale=1.0)])
    assert len(caplog.messages) == 1


def test_the_command_line_names_its_flags_in_such_a_warning(with_scheduler, tmp_path, run, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process of its own
    folder = with_scheduler("LCMScheduler", NOISE)
    words = f"create --classes cat dog --images-per-class 1 --steps 2 --generator {folder}"
    code, _, err = run(*words.split(), "--output-dir", tmp_path / "pets")
    assert code == 0
    assert err.startswith("WARNING: ")
    assert err.endswith("If it is, give --guidance-scale 1 and --steps 4.\n")


# ---- libraries that fail in the middle of drawing ---------------------------------------------------------


@pytest.mark.parametrize("part", ["tokenizer", "text_encoder", "unet", "vae.decode", "scheduler.step"])
@pytest.mark.parametrize("family", ["SD", "SDXL"])
def test_whatever_a_part_raises_is_one_line_but_for_lack_of_memory(folders, part, family, monkeypatch):
    generator = load(folders[family])
    owner = generator if family == "SD" else generator.pipeline
    name, _, method = part.partition(".")
    broken = getattr(owner, name)

    def fail_with(error: Exception) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise error

        monkeypatch.setattr(broken if method else type(broken), method or "__call__", fail)

    fail_with(RuntimeError("mat1 and mat2 shapes cannot be multiplied\nat line 3"))
    with pytest.raises(ModelError, match=r"cannot draw \(mat1 and mat2 shapes cannot be multiplied\)\.$") as caught:
        generator.generate(REQUESTS)
    assert "\n" not in str(caught.value)
    fail_with(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        generator.generate(REQUESTS)
