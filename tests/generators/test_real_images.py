"""Drawing from real images on: against diffusers' image-to-image pipeline, and the noising against its formula."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AsymmetricAutoencoderKL, AutoencoderTiny, StableDiffusionImg2ImgPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers_peer import draw_one_by_one, load_peer
from drawn_images import difference, make_request, picture, pixels_of
from PIL import Image

from synthset.core.errors import DataError, UsageError
from synthset.generators.base import steps_to_pass
from synthset.generators.loading import load_generator
from synthset.generators.names import SCHEDULERS
from synthset.images.decoding import decode, encode, resize
from synthset.miniature import FOLDER as MINIATURE_FOLDER
from synthset.real import load_real

STEPS = 8


FILES = {hashlib.sha256(data).hexdigest(): data for data in map(picture, range(3))}
A, B, C = FILES

# all kinds of rows side by side: four first steps, with and without guidance, in no order
MIXED = [
    make_request("a five", guidance_scale=7.5, seed=1, initial_image=A, strength=0.5),
    make_request("a five", guidance_scale=1.0, seed=1, initial_image=A, strength=0.5),
    make_request("a cat", guidance_scale=1.5, seed=2**63),
    make_request("a cat", "a dog", guidance_scale=1.5, seed=5, initial_image=B, strength=0.25),
    make_request("a cat", guidance_scale=3.0, seed=5, initial_image=C, strength=0.5),
    make_request("a cat", guidance_scale=1.0, seed=5, initial_image=B, strength=0.9),
]


@pytest.fixture(scope="module")
def generator(checkpoint):
    return load_generator(str(checkpoint), num_inference_steps=STEPS)


@pytest.fixture
def mode_latents(monkeypatch):
    """diffusers' pipeline takes the mode of the encoder's posterior, as ours does."""
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


def draw_peer(folder, requests, steps=STEPS, files=FILES, scheduler="ddim"):
    """Each image by diffusers' own pipeline, with the settings that it enforces in text to image."""
    pipeline = load_peer(folder, scheduler, StableDiffusionImg2ImgPipeline)
    size_px = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    drawn = []
    for request in requests:
        real = resize(decode(files[request.initial_image]), size_px)
        drawn += draw_one_by_one(pipeline, [request], steps, image=real, strength=request.strength)
    return drawn


def test_a_mixed_batch_equals_diffusers_and_its_rows_alone(checkpoint, generator, mode_latents):
    drawn = pixels_of(generator.generate_from(MIXED, FILES))
    guided = [i for i, request in enumerate(MIXED) if request.initial_image]
    theirs = draw_peer(checkpoint, [MIXED[i] for i in guided])
    assert difference([drawn[i] for i in guided], theirs) <= 1
    alone = [pixels_of(generator.generate_from([request], FILES))[0] for request in MIXED]
    assert difference(drawn, alone) <= 1
    assert difference(drawn[2], pixels_of(generator.generate([MIXED[2]]))[0]) <= 1
    assert min(difference(drawn[0], drawn[i]) for i in range(1, len(MIXED))) > 5  # all of it can differ


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # diffusers' dpm2 and NumPy 2
@pytest.mark.parametrize("scheduler", sorted(set(SCHEDULERS) - {"ddim"}))
def test_every_scheduler_equals_diffusers(checkpoint, scheduler, mode_latents):
    generator = load_generator(str(checkpoint), scheduler=scheduler, num_inference_steps=STEPS)
    some = [MIXED[0], MIXED[3]]
    whole = [request for request in MIXED if not request.initial_image]
    before = pixels_of(generator.generate(whole))
    ours = pixels_of(generator.generate_from(some, FILES))
    assert difference(ours, draw_peer(checkpoint, some, scheduler=scheduler)) <= 1
    # a scheduler has a state: what begins at noise must not see where others began
    assert difference(pixels_of(generator.generate(whole)), before) == 0


def small_autoencoder(kind):
    """An autoencoder of another kind than the checkpoint's, of four pixels a latent."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "tiny":
            channels = {f"{side}_block_out_channels": (16, 16, 16) for side in ("encoder", "decoder")}
            return AutoencoderTiny(**channels, num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1))
        channels = {f"{side}_block_out_channels": (8, 8, 16) for side in ("down", "up")}
        types = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
        return AsymmetricAutoencoderKL(**channels, **types, norm_num_groups=4, latent_channels=4, sample_size=32)


@pytest.mark.parametrize("kind", ["tiny", "asymmetric"])
def test_other_autoencoders_equal_diffusers(checkpoint, kind, tmp_path, mode_latents):
    folder = shutil.copytree(checkpoint, tmp_path / "other")
    autoencoder = small_autoencoder(kind)
    shutil.rmtree(folder / "vae")
    autoencoder.save_pretrained(folder / "vae")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "vae": ["diffusers", type(autoencoder).__name__]}))
    some = [MIXED[0], MIXED[3]]
    generator = load_generator(str(folder), num_inference_steps=STEPS)
    assert difference(pixels_of(generator.generate_from(some, FILES)), draw_peer(folder, some)) <= 1


def test_the_miniature_equals_diffusers(mode_latents):
    digits = load_real("digits")
    files = {hashlib.sha256(digits.read(i)).hexdigest(): digits.read(i) for i in (2, 7)}  # 8 × 8 pixels
    requests = [
        make_request(f"an image of a {word}", guidance_scale=2.0, seed=i, initial_image=name, strength=0.5)
        for i, (word, name) in enumerate(zip(("two", "seven"), files, strict=True))
    ]
    generator = load_generator("miniature", num_inference_steps=6, dtype="float32")
    ours = pixels_of(generator.generate_from(requests, files))
    assert difference(ours, draw_peer(MINIATURE_FOLDER, requests, 6, files)) <= 1

    real = [np.asarray(resize(decode(data), 32), np.int16) for data in files.values()]
    near, far = (
        np.abs(np.array(pixels_of(generator.generate_from([replace(r, strength=s) for r in requests], files))) - real)
        for s in (0.17, 1.0)
    )
    assert near.mean() < np.abs(np.array(ours) - real).mean() < far.mean()


def first_input(generator, request):
    """What the UNet is first shown, with its timestep, and how often it is asked."""
    calls = []
    hook = generator.unet.register_forward_pre_hook(lambda module, inputs: calls.append(inputs))
    try:
        generator.generate_from([request], FILES)
    finally:
        hook.remove()
    latents, timestep = calls[0]
    return latents.clone(), int(timestep), len(calls)


@pytest.mark.parametrize(("strength", "count"), [(0.15, 15), (0.35, 35)])
def test_noising_follows_its_formula_at_the_step_of_he_et_al(checkpoint, strength, count):
    """x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε, at step t - 1 of 100 for t steps to denoise, recomputed from the betas."""
    generator = load_generator(str(checkpoint), num_inference_steps=100)
    request = make_request("a five", guidance_scale=1.0, seed=3, initial_image=A, strength=strength)
    latents, timestep, calls = first_input(generator, request)
    assert calls == count

    steps = [1 + 10 * i for i in range(100)]  # of 1,000, spaced as Stable Diffusion's config asks for
    assert timestep == steps[count - 1]
    settings = json.loads((checkpoint / "scheduler" / "scheduler_config.json").read_text())
    betas = np.linspace(settings["beta_start"] ** 0.5, settings["beta_end"] ** 0.5, 1000) ** 2
    kept = np.prod(1 - betas[: timestep + 1])
    pixels = torch.from_numpy(np.asarray(decode(FILES[A])).copy())
    with torch.no_grad():
        moments = generator.vae.quant_conv(generator.vae.encoder((pixels.permute(2, 0, 1)[None] / 255 - 0.5) * 2))
    known = moments[:, :4] * generator.vae.config.scaling_factor  # the mean: the second half is the log variance
    noise = torch.randn(known.shape, generator=torch.Generator().manual_seed(3))
    expected = kept**0.5 * known + (1 - kept) ** 0.5 * noise
    torch.testing.assert_close(latents, expected.float(), atol=1e-5, rtol=1e-5)


def test_at_strength_one_nothing_is_left(generator):
    guided = make_request("a five", initial_image=A, strength=1.0)
    drawn = pixels_of(generator.generate_from([guided], FILES))
    assert difference(drawn, pixels_of(generator.generate([replace(guided, initial_image="")]))) == 0


def test_a_large_image_is_shrunk_with_anti_aliasing(generator):
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (150, 250, 3), np.uint8))
    shrunk, sampled = (resize(large, 32, antialias) for antialias in (True, False))
    files = {
        hashlib.sha256(data).hexdigest(): data for data in (encode(np.asarray(i)) for i in (large, shrunk, sampled))
    }
    requests = [make_request("a five", seed=1, initial_image=name, strength=0.25) for name in files]
    one, same, other = pixels_of(generator.generate_from(requests, files))
    assert difference(one, same) <= 1
    assert difference(one, other) > 20


def test_an_image_is_encoded_once_and_the_memory_is_bounded(checkpoint, monkeypatch):
    monkeypatch.setattr("synthset.generators.latent_diffusion.MAX_CACHED_IMAGES", 2)
    generator = load_generator(str(checkpoint), num_inference_steps=4)
    rows = []
    generator.vae.encoder.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    requests = [make_request("a five", seed=i, initial_image=(A, B)[i % 2], strength=0.5) for i in range(6)]
    generator.generate_from(requests, FILES)
    generator.generate_from(requests, FILES)
    assert rows == [1, 1]
    generator.generate_from([make_request("a five", initial_image=name, strength=0.5) for name in FILES], FILES)
    assert len(generator._image_latents) == 2


def test_requests_of_one_strength_share_their_batches(generator):
    rows = []
    hook = generator.unet.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    try:
        generator.generate_from(MIXED, FILES)
    finally:
        hook.remove()
    # from noise: 1 guided; 0.9: 1 unguided; 0.5: 2 guided, 1 not; 0.25: 1 guided
    assert rows == [2] * 8 + [1] * 7 + [5] * 4 + [2] * 2


@pytest.mark.parametrize(
    ("strength", "files", "error", "words"),
    [
        (0.0, FILES, UsageError, "above 0 and at most 1, got 0"),
        (1.5, FILES, UsageError, "above 0 and at most 1, got 1.5"),
        (float("nan"), FILES, UsageError, "above 0 and at most 1"),
        (0.1, FILES, UsageError, "a step to draw, got 0.1 of 8 steps. Give more steps, or a strength of at least 0.13"),
        (0.5, {}, UsageError, "got none. Give generate_from the files"),
        (0.5, {A: FILES[B]}, UsageError, "got another file"),
    ],
)
def test_what_cannot_be_begun_at_is_one_clear_line(checkpoint, strength, files, error, words):
    generator = load_generator(str(checkpoint), num_inference_steps=STEPS)
    with pytest.raises(error, match=words) as caught:
        generator.generate_from([make_request("a five", initial_image=A, strength=strength)], files)
    assert "\n" not in str(caught.value)


def test_an_image_that_does_not_decode_is_named(generator):
    name = hashlib.sha256(b"no image").hexdigest()
    with pytest.raises(DataError, match=f"real image {name[:12]}.*Expected a whole PNG"):
        generator.generate_from([make_request("a five", initial_image=name, strength=0.5)], {name: b"no image"})


def test_a_request_that_begins_at_an_image_is_not_drawn_without_it(generator):
    with pytest.raises(UsageError, match="Give generate_from the files"):
        generator.generate([MIXED[0]])


@pytest.mark.parametrize("steps", [1, 3, 7, 20, 40, 41, 100, 999])
def test_the_least_strength_that_the_error_names_leaves_a_step(steps):
    with pytest.raises(UsageError) as caught:
        steps_to_pass(0.9 / steps, steps)
    least = float(str(caught.value).rpartition(" ")[2].rstrip("."))
    assert steps_to_pass(least, steps) >= 1
