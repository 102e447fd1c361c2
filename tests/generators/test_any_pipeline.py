"""Each family against its pipeline of diffusers called for one image at a time, and what is refused."""

from __future__ import annotations

import functools
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import tiny_pipelines as tiny
import torch
from drawn_images import difference, make_request, pixels_of
from torch._dynamo.testing import CompileCounter

import synthset
from synthset.core.errors import ModelError, UsageError
from synthset.core.progress import hearing
from synthset.dataset.records import Request
from synthset.generators.families import FAMILIES
from synthset.generators.loading import load_generator
from synthset.generators.names import SCHEDULERS
from synthset.generators.pipeline import PipelineGenerator
from synthset.generators.sampling import SamplingOptions

STEPS = 2


MIXED = [
    make_request("a cat"),
    make_request("five big dogs", guidance_scale=3.0),
    make_request("a cat", guidance_scale=1.0),
    make_request("a cat", "a dog"),
    make_request("a cat", seed=2**63),
    make_request("a cat", guidance_scale=3.0),
    make_request("a cat", "ignored without guidance", guidance_scale=0.5),
]


# ---- how each pipeline is called for one image, and what decides what it draws ----------------------------


def guided(request: Request) -> dict[str, Any]:
    return {"guidance_scale": request.guidance_scale, "negative_prompt": request.negative_prompt or None}


def as_asked(request: Request) -> dict[str, Any]:
    return {
        "guidance_scale": request.guidance_scale,
        "negative_prompt": request.negative_prompt,
        "use_resolution_binning": False,
        "clean_caption": False,
    }


def embedded(request: Request, **more: Any) -> dict[str, Any]:
    return {"guidance_scale": request.guidance_scale, **more}


def without_negative(request: Request) -> dict[str, Any]:
    """FLUX.2 Klein steers away from the empty text, and takes no other."""
    return {"guidance_scale": request.guidance_scale}


def true_cfg(request: Request) -> dict[str, Any]:
    return {"true_cfg_scale": request.guidance_scale, "negative_prompt": request.negative_prompt}


def one_less(request: Request) -> dict[str, Any]:
    """Z-Image adds its scale times the difference to the prediction, not to the unconditional one."""
    return {
        "guidance_scale": max(0.0, request.guidance_scale - 1),
        "negative_prompt": request.negative_prompt,
    }


def unguided(request: Request) -> dict[str, Any]:
    return {"guidance_scale": 0.0}


CLASSIFIER_FREE = ("prompt", "seed", "guidance_scale", "negative_prompt")
EMBEDDED = ("prompt", "seed", "guidance_scale")
NO_NEGATIVE = ("seed", "prompt", "guidance_scale")  # guided as classifier-free is
UNGUIDED = ("prompt", "seed")


@dataclass(frozen=True)
class Case:
    build: Callable[[Path], Path]
    arguments: Callable[[Request], Mapping[str, Any]]
    decides: tuple[str, ...] = field(default=CLASSIFIER_FREE)
    calls: int = 4  # scales 7.5 and 3, none, and 7.5 with a negative prompt
    scheduler: str = "FlowMatchEulerDiscreteScheduler"


CASES = {
    "SDXL": Case(tiny.build_sdxl, guided, scheduler="ddim"),
    "SDXL-Turbo": Case(partial(tiny.build_sdxl, turbo=True), unguided, UNGUIDED, 1, "euler_ancestral"),
    "SD3": Case(tiny.build_sd3, guided),
    "PixArt-Sigma": Case(tiny.build_pixart, as_asked, scheduler="dpmsolver_multistep"),
    "PixArt-alpha": Case(partial(tiny.build_pixart, alpha=True), as_asked, scheduler="dpmsolver_multistep"),
    "Sana": Case(tiny.build_sana, as_asked, scheduler="dpmsolver_multistep"),
    "Sana-Sprint": Case(
        partial(tiny.build_sana, sprint=True),
        partial(embedded, use_resolution_binning=False, clean_caption=False),
        EMBEDDED,
        4,
        "SCMScheduler",
    ),
    "Flux-dev": Case(tiny.build_flux, embedded, EMBEDDED, 4),
    "Flux-schnell": Case(partial(tiny.build_flux, schnell=True), unguided, UNGUIDED, 1),
    "Qwen-Image": Case(tiny.build_qwen_image, true_cfg),
    "Z-Image": Case(tiny.build_z_image, one_less),
    "LCM": Case(tiny.build_lcm, embedded, EMBEDDED, 4, "lcm"),
    "AuraFlow": Case(tiny.build_aura_flow, lambda r: {**guided(r), "negative_prompt": r.negative_prompt}),
    "Chroma": Case(tiny.build_chroma, guided),
    # in calls of one prompt, so one more
    "CogView4": Case(tiny.build_cogview4, guided, calls=5),
    "Lumina2": Case(tiny.build_lumina2, guided),
    "FLUX.2-Klein-base": Case(tiny.build_flux2_klein, without_negative, NO_NEGATIVE, 3),
    "FLUX.2-Klein": Case(partial(tiny.build_flux2_klein, distilled=True), unguided, UNGUIDED, 1),
    "HiDream": Case(tiny.build_hidream, guided),
    "Ovis-Image": Case(tiny.build_ovis, lambda r: {**guided(r), "negative_prompt": r.negative_prompt}),
    "CogView3-Plus": Case(
        tiny.build_cogview3,
        lambda r: {**guided(r), "negative_prompt": r.negative_prompt},
        scheduler="CogVideoXDDIMScheduler",
    ),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Folders by name, each built when it is first asked for."""
    folder, built = tmp_path_factory.mktemp("pipelines"), {}

    def get(name: str) -> Path:
        if name not in built:
            built[name] = CASES[name].build(folder / name)
        return built[name]

    return get


@pytest.fixture(scope="module", autouse=True)
def small_hidream():
    """HiDream's pipeline draws a megapixel, whatever it is asked for; here as little as the others."""
    original, patch = diffusers.HiDreamImagePipeline.__init__, pytest.MonkeyPatch()

    @functools.wraps(original)
    def initialise(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self.default_sample_size = tiny.SIZE_PX // 4

    patch.setattr(diffusers.HiDreamImagePipeline, "__init__", initialise)
    yield
    patch.undo()


@pytest.fixture
def copied(checkpoints, tmp_path):
    """An SDXL to break."""
    return Path(shutil.copytree(checkpoints("SDXL"), tmp_path / "copied"))


def load(folder: Path, **options: Any) -> PipelineGenerator:
    options = {"num_inference_steps": STEPS, "height_px": tiny.SIZE_PX, "width_px": tiny.SIZE_PX, **options}
    generator = load_generator(str(folder), **options)
    assert isinstance(generator, PipelineGenerator)
    return generator


def count_calls(generator: PipelineGenerator, monkeypatch) -> list[dict[str, Any]]:
    """What the pipeline is called with from now on."""
    calls, pipeline = [], generator.pipeline

    @functools.wraps(pipeline.__call__)
    def call(**options: Any) -> Any:
        calls.append(options)
        return pipeline(**options)

    monkeypatch.setattr(generator, "pipeline", call)
    return calls


def draw_with_peer(case: Case, folder: Path) -> list[np.ndarray]:
    """diffusers' own pipeline, called for one image at a time."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    if case.scheduler in SCHEDULERS:
        chosen = getattr(diffusers, SCHEDULERS[case.scheduler])
        pipeline.scheduler = chosen.from_config(pipeline.scheduler.config)
    images = [
        pipeline(
            prompt=request.prompt,
            num_inference_steps=STEPS,
            height=tiny.SIZE_PX,
            width=tiny.SIZE_PX,
            generator=torch.Generator().manual_seed(request.seed),
            **case.arguments(request),
        ).images[0]
        for request in MIXED
    ]
    return [np.array(image) for image in images]


def largest_difference(first: np.ndarray | None, second: np.ndarray | None) -> int:
    assert first is not None
    assert second is not None
    assert first.shape == second.shape == (tiny.SIZE_PX, tiny.SIZE_PX, 3)
    return int(np.abs(first.astype(int) - second).max())


def what_decides(request: Request, names: tuple[str, ...]) -> tuple[Any, ...]:
    if "guidance_scale" in names and names != EMBEDDED and request.guidance_scale <= 1:
        request = replace(request, guidance_scale=1.0, negative_prompt="")
    return tuple(getattr(request, name) for name in names)


# ---- tests ------------------------------------------------------------------------------------------------


def test_every_family_has_a_case(checkpoints):
    drawn = {json.loads((checkpoints(name) / "model_index.json").read_text())["_class_name"] for name in CASES}
    assert drawn == {name for name, family in FAMILIES.items() if not family.own_loop}


@pytest.mark.filterwarnings("ignore:.*FluxPosEmbed.*deprecated:FutureWarning")  # of Chroma, in diffusers
@pytest.mark.parametrize("name", CASES)
def test_a_mixed_batch_is_what_diffusers_draws_one_image_at_a_time(name, checkpoints, monkeypatch):
    case, folder = CASES[name], checkpoints(name)
    generator = load(folder)
    calls, told = count_calls(generator, monkeypatch), list[float]()

    with hearing(told.append):
        images = [image.pixels for image in generator.generate(MIXED)]

    assert sum(told) == pytest.approx(len(MIXED))
    assert len(told) > 1
    assert generator.config.scheduler == case.scheduler
    for image, expected in zip(images, draw_with_peer(case, folder), strict=True):
        assert largest_difference(image, expected) <= 1
    # and the comparison sees what decides about an image, and nothing else does
    first = what_decides(MIXED[0], case.decides)
    for request, image in zip(MIXED[1:], images[1:], strict=True):
        assert (largest_difference(images[0], image) <= 1) == (what_decides(request, case.decides) == first)
    assert len(calls) == case.calls
    assert sum(len(call["prompt"]) for call in calls) == len(MIXED)


@pytest.mark.parametrize("name", ["SDXL-Turbo", "Flux-schnell"])
def test_a_scale_without_effect_is_said_once(name, checkpoints, caplog):
    generator = load(checkpoints(name))
    with caplog.at_level(logging.WARNING, logger="synthset"):
        generator.generate([make_request("a cat", guidance_scale=1.0)])
        assert not caplog.messages
        generator.generate(MIXED)
        generator.generate(MIXED)
    assert len(caplog.messages) == 1
    assert "without guidance" in caplog.messages[0]


@pytest.mark.parametrize("name", ["SD3", "Sana-Sprint"])
def test_images_with_steps_of_their_own_take_them(name, checkpoints, monkeypatch):
    generator = load(checkpoints(name))
    calls = count_calls(generator, monkeypatch)
    generator.generate([make_request("a cat"), make_request("a cat", num_inference_steps=3), make_request("a dog")])
    assert [(call["num_inference_steps"], len(call["prompt"])) for call in calls] == [(STEPS, 2), (3, 1)]


PADDED = [make_request("a cat", seed=1), make_request("a drawing of a very large dog in a park", seed=2)]
PADDED += [replace(PADDED[0], seed=3), replace(PADDED[0], negative_prompt=PADDED[1].prompt)]


def test_prompts_that_are_padded_to_the_longest_of_a_call_get_calls_of_their_own(checkpoints, monkeypatch):
    generator = load(checkpoints("CogView4"))
    calls = count_calls(generator, monkeypatch)
    together = pixels_of(generator.generate(PADDED))
    assert [set(call["prompt"]) for call in calls] == [{PADDED[0].prompt}, {PADDED[1].prompt}, {PADDED[0].prompt}]
    assert [len(call["prompt"]) for call in calls] == [2, 1, 1]
    assert [set(call["negative_prompt"]) for call in calls] == [{""}, {""}, {PADDED[1].prompt}]
    for request, image in zip(PADDED, together, strict=True):
        assert difference(generator.generate([request])[0].pixels, image) <= 1

    # in one call, images would depend on their batch
    generator.family = replace(generator.family, one_prompt_a_call=False)
    calls.clear()
    assert difference(generator.generate(PADDED)[0].pixels, together[0]) > 5
    assert [len(call["prompt"]) for call in calls] == [3, 1]


@pytest.mark.parametrize("name", [name for name in CASES if name != "CogView4"])
def test_other_families_draw_the_same_beside_a_longer_prompt(name, checkpoints):
    generator = load(checkpoints(name))
    together = pixels_of(generator.generate(PADDED))
    assert difference(generator.generate(PADDED[:1])[0].pixels, together[0]) <= 1


def test_nothing_drawn_and_nothing_shown_are_told_apart(checkpoints, monkeypatch):
    generator = load(checkpoints("SDXL"))
    images = torch.rand(3, 3, tiny.SIZE_PX, tiny.SIZE_PX, generator=torch.Generator().manual_seed(0))
    images[0, 0, 0, 0] = torch.nan
    images[1] = 0.5
    monkeypatch.setattr(generator, "pipeline", lambda **_: SimpleNamespace(images=images))
    assert [image.status for image in generator.generate(MIXED[:1] * 3)] == ["failed", "blank", "ok"]


def test_what_the_safety_checker_objects_to_is_flagged(tmp_path):
    generator = load(tiny.build_lcm(tmp_path / "lcm", safety_checker=True))
    assert [(image.status, image.pixels) for image in generator.generate(MIXED[:1])] == [("flagged", None)]


def test_the_trained_size_is_the_default(checkpoints):
    size = {"height_px": None, "width_px": None}
    assert load(checkpoints("PixArt-Sigma"), **size).config.height_px == 32
    assert load(checkpoints("SDXL"), **size).config.width_px == 32
    assert load(checkpoints("Z-Image"), **size).config.width_px == 512  # 128 latents of four pixels


@pytest.mark.parametrize(("name", "scheduler"), [("SDXL", "euler"), ("PixArt-Sigma", "ddim"), ("SDXL-Turbo", "ddim")])
def test_a_named_scheduler_takes_the_place_of_the_own(name, scheduler, checkpoints):
    generator = load(checkpoints(name), scheduler=scheduler)
    assert generator.config.scheduler == scheduler
    assert type(generator.pipeline.scheduler).__name__ == SCHEDULERS[scheduler]
    assert generator.generate(MIXED[:1])[0].status == "ok"


@pytest.mark.parametrize("name", ["SD3", "Sana", "Flux-dev", "Sana-Sprint"])
def test_a_scheduler_that_does_not_fit_is_one_line(name, checkpoints):
    with pytest.raises(UsageError, match=r"'ddim' does not fit.*scheduler=auto") as caught:
        load(checkpoints(name), scheduler="ddim")
    assert "\n" not in str(caught.value)


def test_sizes_that_would_be_rounded_are_refused(checkpoints):
    with pytest.raises(UsageError, match="height divisible by 8"):
        load(checkpoints("Flux-dev"), height_px=36)


def test_a_size_of_another_area_than_a_pipeline_draws_is_refused(checkpoints):
    with pytest.raises(UsageError, match=r"height_px times width_px as 32 × 32 for .*, got 16 × 32"):
        load(checkpoints("HiDream"), height_px=16)


def test_negative_prompts_that_a_pipeline_does_not_take_are_said_once(checkpoints, caplog):
    generator = load(checkpoints("FLUX.2-Klein-base"))
    with caplog.at_level(logging.WARNING, logger="synthset"):
        for _ in range(2):
            generator.generate([make_request("a cat", "a dog", guidance_scale=3.0)])
    assert len(caplog.messages) == 1
    assert "no negative prompts" in caplog.messages[0]


@pytest.mark.parametrize("name", ["SDXL", "PixArt-Sigma"])  # a UNet, and a transformer
def test_a_compiled_denoiser_draws_the_eager_images_and_is_compiled_for_any_number_of_them(
    checkpoints, monkeypatch, name
):
    original, counter = torch.compile, CompileCounter()
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", lambda network, **_: original(network, backend=counter))
    eager, compiled = load(checkpoints(name)), load(checkpoints(name), engine="compiled")
    assert compiled.config.describe()["engine"] == "compiled"
    counts = [counter.frame_count]
    requests = [make_request("a cat", guidance_scale=3.0, seed=seed) for seed in range(4)]
    for size in (3, 2, 4, 1):
        drawn = zip(compiled.generate(requests[:size]), eager.generate(requests[:size]), strict=True)
        assert all(np.abs(ours.pixels.astype(int) - expected.pixels).max() <= 1 for ours, expected in drawn)
        counts.append(counter.frame_count)
    # for three images, for any number, and at most once more for a single one
    assert [count - counts[0] for count in counts[1:4]] == [1, 2, 2]
    assert counts[4] - counts[3] <= 1


def test_shortcuts_of_our_own_loop_are_refused_in_one_line(checkpoints):
    with pytest.raises(UsageError, match=r"for deep blocks in every 2nd step \(DeepCache\), got .*, a SanaPipeline"):
        load_generator(str(checkpoints("Sana")), device="cpu", sampling=SamplingOptions(cache_interval=2))
    plain = SamplingOptions()
    assert load_generator(str(checkpoints("Sana")), device="cpu", sampling=plain).config.sampling is None


def test_a_request_that_begins_at_a_real_image_is_refused(checkpoints):
    with pytest.raises(UsageError, match="begin at noise"):
        load(checkpoints("SDXL")).generate([make_request("a cat", initial_image="0" * 64, strength=0.5)])


def change_index(**changes: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "model_index.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return apply


def put_code_beside_weights(folder: Path) -> None:
    """As if 'diffusers' were a module that comes with the checkpoint."""
    (folder / "unet" / "diffusers.py").write_text("raise SystemExit('ran')")


def pickle_weights(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, path.with_suffix(".bin"))
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change_index(_class_name="StableDiffusionXLInpaintPipeline"), "Supported: StableDiffusionPipeline, "),
        (change_index(_class_name=["pipeline", "StableDiffusionXLPipeline"]), "Supported:"),
        (change_index(unet=["my_unet", "UNet2DConditionModel"]), "code from my_unet"),
        (change_index(unet=["stable_diffusion_3", "UNet2DConditionModel"]), "code from stable_diffusion_3"),
        (change_index(unet=["diffusers", "DiffusionPipeline"]), "class DiffusionPipeline"),
        (change_index(text_encoder=["transformers", "AutoModel"]), "class AutoModel"),
        (change_index(_class_name="FluxPipeline"), "cannot be loaded"),
        (put_code_beside_weights, "cannot be loaded"),
        (pickle_weights, "cannot be loaded"),
    ],
)
def test_a_foreign_or_broken_checkpoint_is_refused(copied, damage, message):
    damage(copied)
    with pytest.raises(ModelError, match=message) as caught:
        load(copied)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_the_hub_is_fetched_by_its_class_without_pickles(checkpoints, monkeypatch):
    folder, asked = checkpoints("SDXL"), []
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(folder / "model_index.json"))

    def download(repository: str, **options: Any) -> str:
        asked.append((repository, options))
        return str(folder)

    monkeypatch.setattr(diffusers.StableDiffusionXLPipeline, "download", download)
    generator = load(Path("owner/name"), revision="v1")
    assert asked == [("owner/name", {"revision": "v1", "use_safetensors": True})]
    assert (generator.config.model, generator.config.revision) == ("owner/name", folder.name)


def test_create_draws_a_dataset_with_any_of_them(checkpoints, tmp_path):
    options: dict[str, Any] = {
        "generator": str(checkpoints("SDXL")),
        "images_per_class": 3,
        "guidance_scale": "1:5",
        "steps": STEPS,
    }
    result = synthset.create(["cat", "dog"], tmp_path / "pets", **options)
    assert (result.accounting.requested, result.accounting.ok) == (6, 6)
    generation = result.dataset.manifest["job"]["generation"]
    assert (generation["scheduler"], generation["height_px"]) == ("ddim", tiny.SIZE_PX)
    assert synthset.create(["cat", "dog"], tmp_path / "pets", **options).drawn == 0
