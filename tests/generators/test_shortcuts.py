"""Shortcuts and diversity of the sampling loop, against loops written out plainly over diffusers' parts."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from drawn_images import difference, make_request
from PIL import Image

from synthset.core.errors import UsageError
from synthset.encoders.clip import load_encoder
from synthset.generators.condition_annealing import ConditionNoise, anneal
from synthset.generators.deep_cache import DeepCache
from synthset.generators.loading import load_generator
from synthset.generators.sampling import ConditionAnnealing, SamplingOptions
from synthset.measures.centroids import centroid_distance
from synthset.miniature import FOLDER as MINIATURE_FOLDER
from tiny_models import build_stable_diffusion

STEPS = 8
INTERVAL = (0.25, 0.75)
GUIDED_STEPS = {2, 3, 4, 5}


MIXED = [
    make_request("an image of a five", guidance_scale=1.0),
    make_request("an image of a five"),
    make_request("a drawing of a cat", guidance_scale=2.0, seed=2**63),
    make_request("a drawing of a cat", "a dog", seed=7),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return build_stable_diffusion(tmp_path_factory.mktemp("checkpoint"), unet_channels=(16, 32, 32))


@pytest.fixture(scope="module")
def plain(checkpoint):
    return draw(load(checkpoint), MIXED)


def load(folder, sampling=None, scheduler="ddim", steps=STEPS):
    options = {"scheduler": scheduler, "num_inference_steps": steps, "sampling": sampling}
    return load_generator(str(folder), **options, dtype="float32", device="cpu")


def draw(generator, requests):
    images = generator.generate(requests)
    assert [image.status for image in images] == ["ok"] * len(images)
    return np.stack([image.pixels for image in images])


def load_peer(folder):
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.inference_mode()
def draw_naively(pipeline, request, guided_steps=range(STEPS), fresh_steps=range(STEPS)):
    """One image by both passes in every step; what is not wanted of them is thrown away after.

    In steps that are not fresh, all of the UNet is computed, and then what its last up block is given is replaced by
    what that was in the last fresh step.
    """
    remembered = {}

    def replace_deep(module, inputs, output):
        if step in fresh_steps:
            remembered[side] = output
        return remembered[side]

    hook = pipeline.unet.up_blocks[-2].register_forward_hook(replace_deep)
    texts = {"with": request.prompt, "without": request.negative_prompt}
    tokens = {side: pipeline.tokenizer(text, padding="max_length", return_tensors="pt") for side, text in texts.items()}
    embedded = {side: pipeline.text_encoder(found.input_ids)[0] for side, found in tokens.items()}
    pipeline.scheduler.set_timesteps(STEPS)
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(request.seed))
    for step, t in enumerate(pipeline.scheduler.timesteps):
        predicted = {}
        for side, text in embedded.items():
            predicted[side] = pipeline.unet(latents, t, encoder_hidden_states=text).sample
        scale = request.guidance_scale if step in guided_steps and request.guidance_scale > 1 else 1
        noise = predicted["without"] + scale * (predicted["with"] - predicted["without"])
        latents = pipeline.scheduler.step(noise, t, latents).prev_sample
    hook.remove()
    pixels = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample[0].permute(1, 2, 0)
    return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().numpy().astype(np.uint8)


def count_calls(module):
    """The rows of each pass through `module` from here on."""
    rows = []
    module.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    return rows


@pytest.mark.parametrize(
    "nothing",
    [
        SamplingOptions(),
        SamplingOptions(guidance_interval=[0, 1]),  # type: ignore[arg-type]  # as YAML has it
        SamplingOptions(annealing=ConditionAnnealing(noise_scale=0)),
    ],
)
def test_options_that_change_nothing_leave_no_trace(checkpoint, plain, nothing):
    generator = load(checkpoint, nothing)
    assert generator.config.sampling is None
    assert np.array_equal(draw(generator, MIXED), plain)


def test_options_are_recorded_with_what_all_images_share(checkpoint):
    sampling = SamplingOptions((0.2, 0.8), 3, ConditionAnnealing(noise_scale=0.1))
    recorded = json.loads(json.dumps(asdict(load(checkpoint, sampling).config)))["sampling"]
    assert recorded["guidance_interval"] == [0.2, 0.8]
    assert recorded["cache_interval"] == 3
    assert recorded["annealing"] == {"tau1": 0.6, "tau2": 0.9, "noise_scale": 0.1, "mixing_factor": 1.0}


def test_a_guidance_interval_equals_a_plain_loop(checkpoint, plain):
    peer = load_peer(checkpoint)
    assert difference([draw_naively(peer, request) for request in MIXED], plain) <= 1
    expected = [draw_naively(peer, request, GUIDED_STEPS) for request in MIXED]
    ours = draw(load(checkpoint, SamplingOptions(guidance_interval=INTERVAL)), MIXED)
    assert difference(ours, expected) <= 1
    assert difference(ours[0], plain[0]) == 0  # never had guidance
    assert min(difference(ours[i], plain[i]) for i in (1, 2, 3)) > 5


def test_outside_the_interval_no_unconditional_row_is_computed(checkpoint):
    generator = load(checkpoint, SamplingOptions(guidance_interval=INTERVAL))
    rows = count_calls(generator.unet)
    draw(generator, MIXED)
    assert rows == [4, 4, 7, 7, 7, 7, 4, 4]


def test_a_cache_at_interval_1_computes_what_the_unet_does(checkpoint):
    unet = load_peer(checkpoint).unet.eval()
    latents, text = torch.randn(2, 4, 8, 8), torch.randn(2, 32, 32)
    timesteps = [901, 501, 101]

    @torch.inference_mode()
    def passes():
        return torch.stack([unet(latents, t, encoder_hidden_states=text).sample for t in timesteps])

    whole = passes()
    DeepCache(unet, 1)
    assert torch.equal(passes(), whole)


def test_a_cache_equals_a_plain_loop_that_puts_old_deep_features_in(checkpoint, plain):
    peer = load_peer(checkpoint)
    ours = draw(load(checkpoint, SamplingOptions(cache_interval=3)), MIXED)
    assert difference(ours, [draw_naively(peer, request, fresh_steps={0, 3, 6}) for request in MIXED]) <= 1
    assert difference(ours, plain) > 5


def test_a_cache_computes_the_deep_blocks_in_every_third_step_of_each_batch():
    generator = load(MINIATURE_FOLDER, SamplingOptions(cache_interval=3), steps=12)
    deep = count_calls(generator.unet.mid_block.resnets[0])
    outer = count_calls(generator.unet.up_blocks[-1].resnets[0])
    requests = [make_request("an image of a five", guidance_scale=2.0, seed=seed) for seed in range(6)]
    cached = draw(generator, requests)
    assert (len(deep), len(outer)) == (4, 12)
    assert np.array_equal(draw(generator, requests), cached)  # the second batch sees nothing of the first

    exact = draw(load(MINIATURE_FOLDER, steps=12), requests)
    error = np.abs(cached.astype(float) - exact).mean()
    assert 0 < error < 0.3 * np.abs(exact[1:].astype(float) - exact[:-1]).mean()  # far nearer than another seed's


def test_a_batch_that_broke_off_leaves_nothing_behind(checkpoint):
    generator = load(checkpoint, SamplingOptions(cache_interval=5))
    whole = draw(generator, MIXED)
    passes = count_calls(generator.unet)

    def run_out(module, inputs):
        if len(passes) == 3:
            raise MemoryError

    hook = generator.unet.register_forward_pre_hook(run_out)
    with pytest.raises(MemoryError):
        generator.generate(MIXED)
    hook.remove()
    assert difference(draw(generator, MIXED[:2]), whole[:2]) <= 1


ALL = SamplingOptions((0.25, 0.75), 3, ConditionAnnealing(noise_scale=0.5, mixing_factor=0.5))


@pytest.mark.parametrize(
    ("sampling", "scheduler"),
    [(SamplingOptions(annealing=ConditionAnnealing()), "ddim"), (ALL, "ddim"), (ALL, "heun"), (ALL, "euler_ancestral")],
)
def test_an_image_does_not_depend_on_its_batch(checkpoint, sampling, scheduler):
    generator = load(checkpoint, sampling, scheduler)
    together = draw(generator, MIXED)
    alone = np.concatenate([draw(generator, [request]) for request in MIXED])
    assert difference(together, alone) <= 1
    assert difference(together, draw(load(checkpoint, None, scheduler), MIXED)) > 5


def test_step_counts_of_their_own_equal_separate_runs(checkpoint):
    mixed = [replace(request, num_inference_steps=steps) for request in MIXED for steps in (4, 0, 12)]
    together = draw(load(checkpoint, ALL), mixed)
    for start, steps in enumerate((4, STEPS, 12)):
        assert difference(together[start::3], draw(load(checkpoint, ALL, steps=steps), MIXED)) <= 1


@pytest.mark.parametrize(("steps", "message"), [(1001, "'ddim' cannot do 1001 steps"), (-2, "at least 1")])
def test_a_step_count_that_cannot_be_is_refused(checkpoint, steps, message):
    with pytest.raises(UsageError, match=message):
        load(checkpoint).generate([make_request("a cat", num_inference_steps=steps)])


def test_annealing_is_the_papers_formula():
    generator = torch.Generator().manual_seed(0)
    clean = 3 + 2 * torch.randn(2, 5, 7, generator=generator)
    noise = torch.randn(2, 5, 7, generator=generator)
    raw = ConditionAnnealing(noise_scale=0.25, mixing_factor=0)
    mixed = torch.tensor(0.36).sqrt() * clean + 0.25 * torch.tensor(0.64).sqrt() * noise
    torch.testing.assert_close(anneal(clean, noise, 0.36, raw), mixed)

    full = anneal(clean, noise, 0.36, replace(raw, mixing_factor=1))
    for one, other, source in zip(full, clean, mixed, strict=True):
        torch.testing.assert_close(one.mean(), other.mean())
        torch.testing.assert_close(one.std(), other.std())
        assert np.corrcoef(one.flatten(), source.flatten())[0, 1] == pytest.approx(1)
    torch.testing.assert_close(anneal(clean, noise, 0.36, replace(raw, mixing_factor=0.25)), full / 4 + mixed * 3 / 4)


def test_annealing_ends_in_the_clean_prompt_and_never_touches_unconditional_rows():
    conditions = torch.randn(3, 5, 7)
    noise = ConditionNoise(ConditionAnnealing(tau1=0.4, tau2=0.8), seeds=[1, 2])
    early, next_step = noise.add(conditions, 0.9), noise.add(conditions, 0.9)
    assert not torch.equal(early[:2], next_step[:2])
    assert torch.equal(early[2], conditions[2])
    assert noise.add(conditions, 0.4) is conditions


def test_strong_annealing_makes_images_of_a_prompt_more_diverse():
    """Of the miniature, as its CLIP sees them. Some show another digit then, and make up much of the diversity."""
    words = ("zero", "three", "four", "six")
    requests = [
        make_request(f"a handwritten digit {word}", guidance_scale=2.0, seed=i) for word in words for i in range(8)
    ]
    labels = torch.arange(len(words)).repeat_interleave(8)
    encoder = load_encoder("miniature", device="cpu", dtype="float32")

    def diversity(sampling):
        images = draw(load(MINIATURE_FOLDER, sampling, steps=8), requests)
        return centroid_distance(encoder.images([Image.fromarray(pixels) for pixels in images]), labels).mean()

    strong = SamplingOptions(annealing=ConditionAnnealing(tau1=0.1, tau2=0.8, noise_scale=3.0))
    assert diversity(strong) > 1.5 * diversity(None)


@pytest.fixture(scope="module")
def distilled(checkpoint, tmp_path_factory):
    """A checkpoint whose UNet takes its guidance scale as an input, as latent consistency models do."""
    folder = shutil.copytree(checkpoint, tmp_path_factory.mktemp("distilled") / "model")
    plain = UNet2DConditionModel.from_pretrained(folder / "unet")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        unet = UNet2DConditionModel.from_config({**plain.config, "time_cond_proj_dim": 24})
    unet.load_state_dict(plain.state_dict(), strict=False)
    unet.save_pretrained(folder / "unet")
    return folder


def test_a_latent_consistency_model_equals_diffusers_without_a_second_row(distilled):
    generator = load(distilled, scheduler="lcm", steps=4)
    rows = count_calls(generator.unet)
    ours = draw(generator, MIXED)
    assert rows == [len(MIXED)] * 4

    peer = load_peer(distilled)
    peer.scheduler = diffusers.LCMScheduler.from_config(peer.scheduler.config)
    for request, image in zip(MIXED, ours, strict=True):
        drawn = peer(
            request.prompt,
            guidance_scale=request.guidance_scale,
            num_inference_steps=4,
            generator=torch.Generator().manual_seed(request.seed),
        ).images[0]
        assert difference(image, drawn) <= 1
    assert difference(ours[0], ours[1]) > 3  # the scale alone


@pytest.mark.parametrize(
    ("sampling", "scheduler", "message"),
    [(None, "ddim", "scheduler=lcm"), (SamplingOptions((0.2, 0.8)), "lcm", "Leave out the guidance interval")],
)
def test_what_a_latent_consistency_model_cannot_do_is_refused(distilled, sampling, scheduler, message):
    with pytest.raises(UsageError, match=message):
        load(distilled, sampling, scheduler)


def test_a_turbo_checkpoint_draws_in_one_step_as_in_diffusers(checkpoint, tmp_path):
    """One step from the last timestep, without guidance."""
    folder = shutil.copytree(checkpoint, tmp_path / "turbo")
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "timestep_spacing": "trailing"}))
    generator = load(folder, scheduler="euler", steps=1)
    rows = count_calls(generator.unet)
    requests = [replace(request, guidance_scale=0.0) for request in MIXED]
    ours = draw(generator, requests)
    assert rows == [len(requests)]

    peer = load_peer(folder)
    peer.scheduler = diffusers.EulerDiscreteScheduler.from_config(peer.scheduler.config)
    for request, image in zip(requests, ours, strict=True):
        noise = torch.Generator().manual_seed(request.seed)
        drawn = peer(request.prompt, guidance_scale=0.0, num_inference_steps=1, generator=noise).images[0]
        assert difference(image, drawn) <= 1
    assert difference(ours[1], ours[2]) > 5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SamplingOptions(guidance_interval=(0.5, 0.5)), "guidance_interval with 0 ≤ first < last ≤ 1"),
        (lambda: SamplingOptions(guidance_interval=(0.2, 1.5)), "guidance_interval in 0..1, got 1.5"),
        (lambda: SamplingOptions(guidance_interval=(0.2, float("nan"))), "guidance_interval as 2 numbers"),
        (lambda: SamplingOptions(guidance_interval=(0.1,)), "guidance_interval as 2 numbers"),  # type: ignore[arg-type]
        (lambda: SamplingOptions(cache_interval=0), "cache_interval of at least 1, got 0"),
        (lambda: SamplingOptions(cache_interval=2.5), "cache_interval as an integer"),  # type: ignore[arg-type]
        (lambda: ConditionAnnealing(tau1=0.9, tau2=0.6), "tau1 ≤ tau2"),
        (lambda: ConditionAnnealing(tau2=1.1), "tau2 in 0..1"),
        (lambda: ConditionAnnealing(noise_scale=-1), "noise_scale of at least 0, got -1"),
        (lambda: ConditionAnnealing(noise_scale=float("inf")), "noise_scale as a finite number"),
        (lambda: ConditionAnnealing(mixing_factor=1.5), "mixing_factor in 0..1, got 1.5"),
    ],
)
def test_options_that_cannot_be_are_refused(build, message):
    with pytest.raises(UsageError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)
