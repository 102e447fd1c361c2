"""The sampling loop against diffusers' own pipeline, and what it does with images that go wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from diffusers_peer import draw_one_by_one, load_peer
from drawn_images import difference, make_request, pixels_of

from synthset.core.errors import ModelError, UnknownNameError, UsageError
from synthset.generators import checkpoint as checkpoints
from synthset.generators.loading import load_generator
from synthset.generators.names import SCHEDULERS
from tiny_models import build_stable_diffusion

STEPS = 4


# every kind of row side by side, in no order; seeds over the whole range that a generator takes
MIXED = [
    make_request("an image of a five", guidance_scale=1.0, seed=1),
    make_request("an image of a five", guidance_scale=7.5, seed=1),
    make_request("a drawing of a cat", guidance_scale=1.5, seed=2**63),
    make_request("an image of a five", guidance_scale=1.5, seed=1),
    make_request("a drawing of a cat", "a dog", guidance_scale=7.5, seed=2**63),
    make_request("a drawing of a cat", guidance_scale=7.5, seed=2**63),
    make_request("a drawing of a cat", "ignored without guidance", guidance_scale=0.0, seed=2**63),
    make_request("five", guidance_scale=3.25, seed=4),
]


@pytest.fixture(scope="module")
def generator(checkpoint):
    return load_generator(str(checkpoint), num_inference_steps=STEPS)


@pytest.fixture
def copied(checkpoint, tmp_path):
    """A checkpoint to break."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copied"))


@pytest.fixture(scope="module")
def expected(checkpoint):
    """MIXED as diffusers' pipeline draws it."""
    return draw_one_by_one(load_peer(checkpoint), MIXED, STEPS)


def test_the_tiny_checkpoint_draws_something_that_can_differ(expected):
    assert min(image.std() for image in expected) > 20
    unguided, strong, _, weak, negative, positive, other_prompt, _ = expected
    assert difference(unguided, weak) > 3
    assert difference(unguided, strong) > 20
    assert difference(negative, positive) > 20
    assert difference(unguided, other_prompt) > 20


def test_a_mixed_batch_equals_diffusers(generator, expected):
    for ours, theirs in zip(pixels_of(generator.generate(MIXED)), expected, strict=True):
        assert ours.dtype == np.uint8
        assert ours.shape == (32, 32, 3)
        assert difference(ours, theirs) <= 1


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # diffusers' dpm2 and NumPy 2
@pytest.mark.parametrize("scheduler", sorted(set(SCHEDULERS) - {"ddim"}))
def test_every_scheduler_equals_diffusers(checkpoint, scheduler):
    generator = load_generator(str(checkpoint), scheduler=scheduler, num_inference_steps=STEPS)
    generator.generate(MIXED[1:3])  # a scheduler has a state; the next batch must not see it
    some = [MIXED[0], MIXED[2], MIXED[4]]
    theirs = draw_one_by_one(load_peer(checkpoint, scheduler), some, STEPS)
    assert difference(pixels_of(generator.generate(some)), theirs) <= 1


def test_v_prediction_equals_diffusers(tmp_path):
    """Stable Diffusion 2.x predicts the velocity."""
    folder = build_stable_diffusion(tmp_path, prediction_type="v_prediction")
    ours = load_generator(str(folder), num_inference_steps=STEPS).generate(MIXED[:3])
    assert difference(pixels_of(ours), draw_one_by_one(load_peer(folder), MIXED[:3], STEPS)) <= 1


def test_a_checkpoint_with_an_old_scheduler_config_equals_diffusers(copied):
    """diffusers' pipeline corrects two settings of old checkpoints, silently but for a warning."""
    path = copied / "scheduler" / "scheduler_config.json"
    old = {**json.loads(path.read_text()), "clip_sample": True, "steps_offset": 0}
    path.write_text(json.dumps(old))
    ours = load_generator(str(copied), num_inference_steps=STEPS).generate(MIXED[:2])
    with pytest.warns(FutureWarning):
        theirs = draw_one_by_one(load_peer(copied), MIXED[:2], STEPS)
    assert difference(pixels_of(ours), theirs) <= 1


def test_another_size_equals_diffusers(checkpoint):
    generator = load_generator(str(checkpoint), num_inference_steps=STEPS, height_px=48, width_px=24)
    ours = pixels_of(generator.generate(MIXED[:2]))
    theirs = draw_one_by_one(load_peer(checkpoint), MIXED[:2], STEPS, height=48, width=24)
    assert ours[0].shape == (48, 24, 3)
    assert difference(ours, theirs) <= 1


def test_an_image_does_not_depend_on_its_batch(generator, checkpoint):
    ancestral = load_generator(str(checkpoint), scheduler="euler_ancestral", num_inference_steps=STEPS)
    for one in (generator, ancestral):
        whole = pixels_of(one.generate(MIXED))
        for order, size in (("01234567", 1), ("76543210", 3), ("30617524", 2)):
            for start in range(0, len(order), size):
                rows = [int(row) for row in order[start : start + size]]
                drawn = pixels_of(one.generate([MIXED[i] for i in rows]))
                assert difference(drawn, [whole[i] for i in rows]) <= 1


def test_each_image_may_take_steps_of_its_own(generator, checkpoint):
    requests = [replace(r, num_inference_steps=steps) for r in MIXED[:3] for steps in (2, 0, 6)]
    drawn = [image.pixels for image in generator.generate(requests)]
    for request, pixels in zip(requests, drawn, strict=True):
        steps = request.num_inference_steps or STEPS
        (alone,) = draw_one_by_one(load_peer(checkpoint), [request], steps)
        assert np.abs(pixels.astype(int) - alone).max() <= 1
    assert not np.array_equal(drawn[0], drawn[2])


def test_unguided_rows_pass_the_unet_once(generator):
    rows = []
    hook = generator.unet.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    try:
        scales = [request.guidance_scale for request in MIXED]
        generator.generate(MIXED)
        assert rows == [len(scales) + sum(scale > 1 for scale in scales)] * STEPS
        rows.clear()
        generator.generate([MIXED[0], MIXED[6]])
        assert rows == [2] * STEPS
    finally:
        hook.remove()


def test_each_distinct_prompt_is_encoded_once(checkpoint):
    generator = load_generator(str(checkpoint), num_inference_steps=1)
    rows = []
    generator.text_encoder.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    generator.generate(MIXED)
    assert rows == [5]  # three prompts, "a dog" and ""; an ignored negative prompt is not encoded
    generator.generate(MIXED[::-1])
    assert rows == [5]
    generator.generate([make_request("another")])
    assert rows == [5, 1]


def test_the_cache_of_prompts_is_bounded(checkpoint, monkeypatch):
    monkeypatch.setattr("synthset.generators.latent_diffusion.MAX_CACHED_PROMPTS", 2)
    generator = load_generator(str(checkpoint), num_inference_steps=STEPS)
    reference = load_generator(str(checkpoint), num_inference_steps=STEPS)
    for _ in range(2):
        drawn = pixels_of(generator.generate(MIXED))
    assert len(generator._embeddings) == 2
    monkeypatch.undo()
    assert difference(drawn, pixels_of(reference.generate(MIXED))) <= 1


def test_a_long_prompt_is_cut_as_diffusers_cuts_it(checkpoint):
    generator = load_generator(str(checkpoint), num_inference_steps=STEPS)
    long = make_request("a very long sentence about a five that has no end " * 3)
    assert generator.text_reader.most_tokens == 30
    assert generator.text_reader.cut([long.prompt, MIXED[0].prompt]) == [long.prompt]
    ours = pixels_of(generator.generate([long, MIXED[0]]))
    theirs = draw_one_by_one(load_peer(checkpoint), [long], STEPS)
    assert difference(ours[0], theirs[0]) <= 1


def test_an_image_that_is_not_a_number_fails_alone(checkpoint):
    generator = load_generator(str(checkpoint), num_inference_steps=STEPS)
    good = pixels_of(generator.generate(MIXED))

    def spoil(module, inputs, outputs):
        outputs[0][2] = torch.nan

    generator.unet.register_forward_hook(spoil)
    images = generator.generate(MIXED)
    # row 2 of the UNet is the third guided request
    assert [image.status for image in images] == ["ok", "ok", "ok", "failed", "ok", "ok", "ok", "ok"]
    assert images[3].reason == "not a number"
    assert images[3].pixels is None
    rest = [i for i in range(len(MIXED)) if i != 3]
    assert difference([images[i].pixels for i in rest], [good[i] for i in rest]) == 0


@pytest.mark.parametrize("levels", [(0, 0, 0), (255, 0, 0), (0.004, 0.0, 0.5)])
def test_one_colour_all_over_is_blank(checkpoint, levels):
    generator = load_generator(str(checkpoint), num_inference_steps=1)
    colour = torch.tensor(levels).view(3, 1, 1) / 127.5 - 1

    def paint(module, inputs, output):
        output[0] = colour + torch.rand(3, 32, 32) / 127.5  # within one level

    generator.vae.decoder.register_forward_hook(paint)
    first, second = generator.generate(MIXED[:2])
    painted, other = (second, first)  # the guided request comes first inside
    assert (painted.status, painted.pixels, painted.reason) == ("blank", None, "one colour all over")
    assert other.status == "ok"


def test_the_safety_checker_of_the_checkpoint_is_obeyed(tmp_path):
    folder = build_stable_diffusion(tmp_path, safety_checker=True)
    generator = load_generator(str(folder), num_inference_steps=1)
    assert [image.status for image in generator.generate(MIXED)] == ["ok"] * len(MIXED)

    with torch.inference_mode():
        generator.safety_checker.concept_embeds_weights.fill_(-2.0)  # below any cosine
    images = generator.generate(MIXED[:2])
    assert [(image.status, image.reason) for image in images] == [("flagged", "safety checker")] * 2
    assert [image.pixels for image in images] == [None, None]


def test_no_requests_no_images(generator):
    assert generator.generate([]) == []


def test_the_config_says_what_all_images_share(generator, checkpoint, copied):
    config = generator.config
    assert (config.model, config.revision) == (str(checkpoint), None)
    assert (config.scheduler, config.num_inference_steps) == ("ddim", STEPS)
    assert (config.height_px, config.width_px, config.dtype) == (32, 32, "float32")

    same = load_generator(str(copied), scheduler="DDIMScheduler", num_inference_steps=STEPS)
    assert replace(same.config, model=config.model) == config
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert load_generator(str(copied)).config.weights_hash != config.weights_hash


def test_the_hash_of_a_hub_blob_is_its_name(copied):
    before = checkpoints.hash_weights(copied)
    weights = copied / "vae" / "diffusion_pytorch_model.safetensors"
    blob = copied / "blobs" / checkpoints._file_sha256(weights)
    blob.parent.mkdir()
    weights.rename(blob)
    weights.symlink_to(blob)
    assert checkpoints.hash_weights(copied) == before
    blob.write_bytes(b"not read")
    assert checkpoints.hash_weights(copied) == before


def test_bfloat16_draws_nearly_the_same(generator, checkpoint):
    small = load_generator(str(checkpoint), num_inference_steps=STEPS, dtype="bfloat16")
    assert small.config.dtype == "bfloat16"
    ours, exact = pixels_of(small.generate(MIXED[:1])), pixels_of(generator.generate(MIXED[:1]))
    assert 0 < np.abs(ours[0].astype(float) - exact[0]).mean() < 8


def test_the_preferred_batch_shrinks_with_the_image(generator, checkpoint):
    assert generator.preferred_batch_size == 128
    large = load_generator(str(checkpoint), num_inference_steps=1, height_px=512, width_px=512)
    assert large.preferred_batch_size < 8


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scheduler": "dimm"}, UnknownNameError, "Did you mean 'ddim'"),
        ({"dtype": "int8"}, UnknownNameError, "float32"),
        ({"num_inference_steps": 0}, UsageError, "at least 1"),
        ({"num_inference_steps": 1001}, UsageError, "1001"),
        ({"height_px": 30}, UsageError, "divisible by 4"),
        ({"width_px": 0}, UsageError, "divisible by 4"),
        ({"device": "abacus"}, UsageError, "abacus"),
    ],
)
def test_bad_options_are_refused(checkpoint, options, error, message):
    with pytest.raises(error, match=message) as caught:
        load_generator(str(checkpoint), **options)
    assert "\n" not in str(caught.value)


def break_index(**changes):
    def apply(folder):
        path = folder / "model_index.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return apply


def remove(name):
    return lambda folder: (folder / name).unlink()


def pickle_only(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, path.with_suffix(".bin"))
    path.unlink()


def truncate(folder):
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_index(_class_name="StableDiffusionInpaintPipeline"), "Supported: StableDiffusionPipeline"),
        (break_index(_class_name=["pipeline", "Mine"]), "Supported: StableDiffusionPipeline"),
        (break_index(unet=["my_unet", "Unet"]), "code from my_unet"),
        (lambda folder: (folder / "model_index.json").write_text("[]"), "cannot be read"),
        (remove("model_index.json"), "no model_index.json"),
        (remove("unet/config.json"), "cannot be loaded"),
        (remove("text_encoder/model.safetensors"), "cannot be loaded"),
        (remove("scheduler/scheduler_config.json"), "cannot be loaded"),
        (remove("tokenizer/tokenizer.json"), "cannot be loaded"),
        (pickle_only, "safetensors"),
        (truncate, "cannot be loaded"),
    ],
)
def test_a_broken_or_foreign_checkpoint_is_refused(copied, damage, message):
    damage(copied)
    with pytest.raises(ModelError, match=message) as caught:
        load_generator(str(copied))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no/such/folder", "./nowhere", "cat", "/nowhere/at/all", "../x", ""])
def test_a_name_that_is_nothing_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"spelled|model_index"):
        load_generator(name)


def test_the_hub_out_of_reach_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set.*hf download some-owner/some-model") as caught:
        load_generator("some-owner/some-model", revision="v1")
    assert "\n" not in str(caught.value)


def test_the_miniature_without_weights_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoints, "MINIATURE_FOLDER", tmp_path)
    with pytest.raises(ModelError, match="Reinstall"):
        load_generator("miniature")


def test_loading_shows_no_progress_bars(checkpoint, capfd):
    load_generator(str(checkpoint), num_inference_steps=1)
    assert "%|" not in capfd.readouterr().err
    assert diffusers.utils.logging.is_progress_bar_enabled()


def test_importing_the_module_loads_no_torch():
    code = "import sys, synthset.generators; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
