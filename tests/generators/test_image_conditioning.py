"""Drawing from mixtures of embeddings: against diffusers' pipelines, called image by image with the same mixture."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import diffusers
import numpy as np
import pytest
import torch
from drawn_images import difference, make_request, picture, pixels_of
from PIL import Image
from safetensors.torch import load_file, save_file

from synthset.core.errors import DataError, ModelError, UsageError
from synthset.encoders.clip import load_encoder
from synthset.generators.image_conditioning import mix
from synthset.generators.loading import load_generator
from synthset.generators.names import SCHEDULERS
from synthset.generators.real_images import RealImages
from synthset.generators.sampling import ConditionAnnealing, SamplingOptions
from synthset.images.decoding import decode, encode
from synthset.miniature import DIGITS
from synthset.miniature import FOLDER as MINIATURE_FOLDER
from synthset.real import load_real
from tiny_image_models import build_image_variation, build_unclip, build_with_adapter
from tiny_models import build_stable_diffusion

STEPS = 6
KINDS = {"variation": build_image_variation, "unclip": build_unclip, "adapter": build_with_adapter}


FILES = {hashlib.sha256(data).hexdigest(): data for data in (picture(seed, 40) for seed in range(3))}
A, B, C = FILES

# one-hot and mixed, with and without guidance, in no order
MIXED = [
    make_request(guidance_scale=1.0, seed=1, condition_images=(A,), condition_weights=(1.0,)),
    make_request(guidance_scale=7.5, seed=1, condition_images=(A,), condition_weights=(1.0,)),
    make_request(guidance_scale=3.0, seed=2, condition_images=(A, B, C), condition_weights=(0.5, 0.25, 0.25)),
    make_request(guidance_scale=1.0, seed=5, condition_images=(C, B), condition_weights=(0.75, 0.25)),
    make_request(guidance_scale=7.5, seed=1, condition_images=(B, A), condition_weights=(1.0, 0.0)),
]
TEXTS = ("a five", "a cat", "", "a dog", "a cat")  # for those that read them


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: build(tmp_path_factory.mktemp(kind) / kind) for kind, build in KINDS.items()}


def load(folder, **options):
    return load_generator(str(folder), **{"num_inference_steps": STEPS, "image_conditions": True} | options)


def requests_for(kind):
    """Beside images, with prompts where they are read."""
    return MIXED if kind == "variation" else [replace(r, prompt=t) for r, t in zip(MIXED, TEXTS, strict=True)]


def load_peer(kind, folder, scheduler="ddim"):
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    settings = {**pipeline.scheduler.config, "steps_offset": 1, "clip_sample": False}
    pipeline.scheduler = getattr(diffusers, SCHEDULERS[scheduler]).from_config(settings)
    pipeline.set_progress_bar_config(disable=True)
    if kind == "adapter":
        pipeline.load_ip_adapter(
            str(folder), subfolder="image_adapter", weight_name="ip-adapter.safetensors", image_encoder_folder=None
        )
    return pipeline


def embedding(kind, pipeline, name):
    """What the peer's own parts make of an image, (1, d)."""
    image = decode(FILES[name])
    if kind == "adapter":
        return load_encoder("miniature", device="cpu", dtype="float32").images([image])
    pixels = pipeline.feature_extractor(images=image, return_tensors="pt").pixel_values
    with torch.no_grad():
        return pipeline.image_encoder(pixels).image_embeds


def draw_alone(kind, pipeline, request):
    """The request by diffusers: given the image itself where the weights are one-hot, else the mixture."""
    options = {
        "guidance_scale": request.guidance_scale,
        "num_inference_steps": STEPS,
        "generator": torch.Generator().manual_seed(request.seed),
    }
    mixture = sum(
        weight * embedding(kind, pipeline, name)
        for name, weight in zip(request.condition_images, request.condition_weights, strict=True)
    )
    image = decode(FILES[request.condition_images[0]]) if request.condition_weights[0] == 1 else None
    if kind == "adapter":
        given = mixture[None]
        if request.guidance_scale > 1:
            given = torch.cat([torch.zeros_like(given), given])
        drawn = pipeline(request.prompt, negative_prompt="", ip_adapter_image_embeds=[given], **options)
    elif kind == "unclip":
        given = {"image": image} if image else {"image_embeds": mixture}
        drawn = pipeline(prompt=request.prompt, **given, **options)
    else:
        own = pipeline.image_encoder
        if image is None:  # it takes images only: a stand-in for the encoder gives the mixture
            pipeline.image_encoder = Answering(mixture)
        drawn = pipeline(image or decode(FILES[A]), **options)
        pipeline.image_encoder = own
    return np.asarray(drawn.images[0])


class Answering(torch.nn.Module):
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, embeds):
        super().__init__()
        self.embeds = torch.nn.Parameter(embeds, requires_grad=False)

    def forward(self, _):
        return SimpleNamespace(image_embeds=self.embeds)


# ---- against diffusers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheduler", ["ddim", "euler_ancestral"])  # the second draws noise in each step
def test_a_mixed_batch_equals_diffusers_and_its_rows_alone(folders, kind, scheduler):
    generator, peer = load(folders[kind], scheduler=scheduler), load_peer(kind, folders[kind], scheduler)
    requests = requests_for(kind)
    drawn = pixels_of(generator.generate_from(requests, FILES))
    assert difference(drawn, [draw_alone(kind, peer, request) for request in requests]) <= 1
    alone = [pixels_of(generator.generate_from([request], FILES))[0] for request in requests]
    assert difference(drawn, alone) <= 1
    # all of it can differ: guidance and images
    assert difference(drawn[0], drawn[1]) > 5
    other = [replace(request, condition_images=(C, A, B)[: len(request.condition_images)]) for request in requests]
    for one, two in zip(drawn, pixels_of(generator.generate_from(other, FILES)), strict=True):
        assert difference(one, two) > 5


def test_the_miniature_equals_diffusers_and_shows_what_it_is_given():
    generator, peer = load("miniature"), load_peer("adapter", MINIATURE_FOLDER)
    requests = requests_for("adapter")
    drawn = pixels_of(generator.generate_from(requests, FILES))
    assert difference(drawn, [draw_alone("adapter", peer, request) for request in requests]) <= 1
    plain = load("miniature", image_conditions=False)
    words = [replace(request, condition_images=()) for request in requests]
    assert difference(pixels_of(generator.generate(words)), pixels_of(plain.generate(words))) == 0

    encoder = load_encoder("miniature", device="cpu")
    means = encoder.texts([f"the digit {name}" for name in DIGITS])
    digits = load_real("digits")
    one_of_each = [digits.read(int(np.flatnonzero(digits.labels == label)[0])) for label in range(10)]
    files = {hashlib.sha256(data).hexdigest(): data for data in one_of_each}
    requests = [make_request(guidance_scale=5.0, condition_images=(name,), condition_weights=(1.0,)) for name in files]
    images = pixels_of(load("miniature", num_inference_steps=12).generate_from(requests, files))
    read = encoder.images([Image.fromarray(pixels) for pixels in images]) @ means.T
    assert (read.argmax(1).numpy() == np.arange(10)).sum() >= 7


@pytest.mark.parametrize("kind", ["unclip", "adapter"])
def test_the_prompt_still_matters_where_it_is_read(folders, kind):
    generator = load(folders[kind])
    one, other = pixels_of(generator.generate_from([replace(MIXED[1], prompt=text) for text in TEXTS[:2]], FILES))
    assert difference(one, other) > 5


def test_beginning_at_an_image_and_conditioned_on_others_equals_diffusers(folders, monkeypatch):
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    from synthset.images.decoding import resize

    # ours begins at the mode of the encoder's posterior
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    request = replace(MIXED[2], prompt="a five", initial_image=A, strength=0.5)
    peer = diffusers.StableDiffusionImg2ImgPipeline(
        **load_peer("adapter", folders["adapter"]).components, requires_safety_checker=False
    )
    peer.set_progress_bar_config(disable=True)
    mixture = sum(w * embedding("adapter", peer, n) for n, w in zip((A, B, C), (0.5, 0.25, 0.25), strict=True))
    theirs = peer(
        "a five",
        image=resize(decode(FILES[A]), 32),
        strength=0.5,
        guidance_scale=request.guidance_scale,
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(request.seed),
        ip_adapter_image_embeds=[torch.cat([torch.zeros_like(mixture), mixture])[:, None]],
    ).images[0]
    ours = pixels_of(load(folders["adapter"]).generate_from([request], FILES))[0]
    assert difference(ours, theirs) <= 1


# ---- beside requests without conditions -------------------------------------------------------------------


def test_an_adapter_changes_no_byte_of_what_is_not_conditioned(folders):
    plain = [make_request(text, guidance_scale=scale, seed=9) for text in ("a five", "a cat") for scale in (1.0, 7.5)]
    without = pixels_of(load(folders["adapter"], image_conditions=False).generate(plain))
    generator = load(folders["adapter"])
    assert difference(pixels_of(generator.generate(plain)), without) == 0
    conditioned = requests_for("adapter")
    mixed = [request for pair in zip(plain, conditioned, strict=False) for request in pair]
    drawn = pixels_of(generator.generate_from(mixed, FILES))
    assert difference(drawn[::2], without) == 0  # in groups of their own, before and after others
    assert difference(drawn[1::2], pixels_of(generator.generate_from(conditioned[:4], FILES))) <= 1
    assert difference(pixels_of(generator.generate(plain)), without) == 0


@pytest.mark.parametrize("options", [{"cache_interval": 2}, {"guidance_interval": (0.2, 0.7)}])
def test_shortcuts_keep_a_conditioned_image_apart_from_its_batch(folders, options):
    generator = load(folders["adapter"], sampling=SamplingOptions(**options))
    requests = [make_request("a five", seed=4), *requests_for("adapter")]
    drawn = pixels_of(generator.generate_from(requests, FILES))
    alone = [pixels_of(generator.generate_from([request], FILES))[0] for request in requests]
    assert difference(drawn, alone) <= 1
    assert difference(drawn[2], pixels_of(load(folders["adapter"]).generate_from(requests[2:3], FILES))) > 1


def test_tokens_of_images_are_projected_once_a_batch_and_forgotten(folders):
    generator = load(folders["adapter"])
    calls = []
    for memory in generator.conditioning.memories:
        memory.projection.register_forward_hook(lambda *_: calls.append(1))
    generator.generate_from(MIXED[1:2], FILES)
    assert len(calls) == len(generator.conditioning.memories) > 0
    assert all(memory._projected is None for memory in generator.conditioning.memories)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_embedded_once(folders, kind, monkeypatch):
    generator = load(folders[kind])
    embedded = []
    embed = generator.conditioning.embed
    generator._image_embeddings._compute = lambda image: embedded.append(image) or embed(image)
    generator.generate_from(requests_for(kind), FILES)
    generator.generate_from(requests_for(kind), FILES)
    assert len(embedded) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_draws_about_the_same(folders, kind):
    requests = requests_for(kind)
    full = pixels_of(load(folders[kind]).generate_from(requests, FILES))
    half = pixels_of(load(folders[kind], dtype="bfloat16").generate_from(requests, FILES))
    assert np.abs(np.asarray(full, float) - np.asarray(half, float)).mean() < 8


# ---- mixtures ---------------------------------------------------------------------------------------------


def test_a_mixture_is_the_weighted_sum_and_not_a_unit_vector():
    vectors = dict(zip(FILES, torch.eye(3) + torch.arange(3), strict=True))
    images = RealImages(lambda image: vectors[hashlib.sha256(encode(np.asarray(image))).hexdigest()], 8)
    mixtures = mix(MIXED, images, FILES)
    for request, mixture in zip(MIXED, mixtures, strict=True):
        expected = np.zeros(3)
        for name, weight in zip(request.condition_images, request.condition_weights, strict=True):
            expected += weight * vectors[name].numpy()
        np.testing.assert_allclose(mixture.numpy(), expected, rtol=1e-6)
    assert mixtures.dtype == torch.float32


def test_memory_is_bounded():
    images = RealImages(lambda image: torch.zeros(1), 2)
    images.of([A, B, C, A], FILES)
    assert len(images) == 2


@pytest.mark.parametrize(
    ("change", "files", "error", "words"),
    [
        ({}, {}, UsageError, "got none. Give generate_from the files"),
        ({}, {A: FILES[B]}, UsageError, "got another file"),
        ({"condition_weights": (0.5,)}, FILES, UsageError, "0 for each of 1 images, 1 together, got 1 that are 0.5"),
        ({"condition_weights": (0.5, 0.5)}, FILES, UsageError, "each of 1 images, 1 together, got 2 that are 1 "),
        ({"condition_images": (A, B), "condition_weights": (2.0, -1.0)}, FILES, UsageError, "of at least 0"),
        ({"condition_weights": (float("nan"),)}, FILES, UsageError, "of at least 0"),
        ({"condition_images": ()}, FILES, UsageError, "draws from images alone. Draw with the strategies interpolate"),
        ({"prompt": "a five"}, FILES, UsageError, "reads images and no text, got 'a five'. Draw with the strategies"),
        ({"negative_prompt": "a cat"}, FILES, UsageError, "reads images and no text, got 'a cat'"),
    ],
)
def test_what_cannot_be_drawn_from_is_one_clear_line(folders, change, files, error, words):
    with pytest.raises(error, match=words) as caught:
        load(folders["variation"]).generate_from([replace(MIXED[0], **change)], files)
    assert "\n" not in str(caught.value)


def test_an_image_that_does_not_decode_is_named(folders):
    name = hashlib.sha256(b"no image").hexdigest()
    with pytest.raises(DataError, match=f"real image {name[:12]}.*Expected a whole PNG"):
        load(folders["adapter"]).generate_from([replace(MIXED[0], condition_images=(name,))], {name: b"no image"})


# ---- checkpoints ------------------------------------------------------------------------------------------


def test_the_hash_covers_the_adapter_only_where_it_is_used(folders, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(folders["adapter"], folder)

    def hash_of(**options):
        return load(folder, **options).config.weights_hash

    used, unused = hash_of(), hash_of(image_conditions=False)
    bare = load_generator(str(build_stable_diffusion(tmp_path / "bare")), num_inference_steps=STEPS)
    assert used != unused == bare.config.weights_hash
    path = folder / "image_adapter" / "ip-adapter.safetensors"
    save_file({name: tensor * 1.5 for name, tensor in load_file(path).items()}, path)
    assert (hash_of(image_conditions=False), hash_of() != used) == (unused, True)


def test_a_generator_says_whether_it_can_be_conditioned(folders):
    said = {kind: load(folder).image_conditions for kind, folder in folders.items()}
    assert said == {"variation": "needed", "unclip": "needed", "adapter": "possible"}
    plain = load(folders["adapter"], image_conditions=False)
    assert plain.image_conditions == "none"
    with pytest.raises(
        UsageError, match=r"was not loaded to be conditioned on images\. Give load_generator image_cond"
    ):
        plain.generate_from(MIXED[:1], FILES)


def test_a_checkpoint_without_an_adapter_is_refused(tmp_path):
    folder = build_stable_diffusion(tmp_path / "plain")
    with pytest.raises(UsageError, match=r"cannot be conditioned on images\. .* IP-Adapter beside its parts"):
        load(folder)


def test_another_pipeline_is_refused(tmp_path):
    from tiny_pipelines import build_sdxl

    folder = build_sdxl(tmp_path / "sdxl")
    with pytest.raises(UsageError, match="a StableDiffusionXLPipeline, cannot be conditioned on images"):
        load(folder)
    generator = load(folder, image_conditions=False)
    with pytest.raises(UsageError, match=r"cannot be conditioned on images\. Use the miniature"):
        generator.generate(MIXED[:1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_compiled_engine_is_of_prompts(folders, kind, monkeypatch):
    monkeypatch.setattr("synthset.generators.compiled_unet.check_compiler", lambda device: None)
    with pytest.raises(UsageError, match=r"^Expected the engine 'eager' to draw from images [^\n]*$"):
        load(folders[kind], engine="compiled")


def test_annealing_is_of_prompts(folders):
    with pytest.raises(UsageError, match="Annealing is of prompts"):
        load(folders["adapter"], sampling=SamplingOptions(annealing=ConditionAnnealing()))


def lose_a_layer(weights):
    del weights["ip_adapter.3.to_k_ip.weight"]


def turn_a_layer(weights):
    weights["ip_adapter.1.to_v_ip.weight"] = weights["ip_adapter.1.to_v_ip.weight"][:-1].contiguous()


def make_it_for_another_encoder(weights):
    weights["image_proj.proj.weight"] = weights["image_proj.proj.weight"][:, :-1].contiguous()


def make_it_read_patches(weights):
    weights["image_proj.latents"] = weights.pop("image_proj.proj.weight")


def name_it_otherwise(weights):
    weights["adapter"] = weights.pop("image_proj.norm.bias")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lose_a_layer, "Expected an IP-Adapter .* it cannot be used .*3.to_k_ip"),
        (turn_a_layer, "Expected an IP-Adapter .* it cannot be used"),
        (make_it_for_another_encoder, "gives 128 numbers where its UNet takes 127"),
        (make_it_read_patches, "not one that reads the embedding of the whole image"),
        (name_it_otherwise, "Expected an IP-Adapter"),
    ],
)
def test_an_adapter_that_does_not_fit_is_one_clear_line(folders, tmp_path, damage, words):
    folder = tmp_path / "copy"
    shutil.copytree(folders["adapter"], folder)
    path = folder / "image_adapter" / "ip-adapter.safetensors"
    weights = load_file(path)
    damage(weights)
    save_file(weights, path)
    with pytest.raises(ModelError, match=words) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["variation", "unclip"])
def test_an_encoder_that_does_not_fit_the_unet_is_refused(folders, tmp_path, kind):
    folder = tmp_path / "copy"
    shutil.copytree(folders[kind], folder)
    config = folder / "image_encoder" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"projection_dim": 24}))
    weights = load_file(folder / "image_encoder" / "model.safetensors")
    weights["visual_projection.weight"] = weights["visual_projection.weight"][:24].contiguous()
    save_file(weights, folder / "image_encoder" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="numbers where its UNet takes"):
        load(folder)


@pytest.mark.parametrize("kind", ["variation", "unclip"])
def test_pickles_and_code_of_others_are_refused(folders, tmp_path, kind):
    folder = tmp_path / "copy"
    shutil.copytree(folders[kind], folder)
    weights = folder / "image_encoder" / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["image_encoder"] = ["my_code", "Encoder"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="needs code from my_code"):
        load(folder)
