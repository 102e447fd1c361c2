"""The image adapter: its trainer, and the shipped weights as diffusers loads and draws with them."""

import json

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file
from tools.miniature import check_image_adapter, train_image_adapter
from tools.miniature.scenes import Scene
from tools.miniature.train_image_adapter import ADAPTER_FILE, add_adapter, conditions, published, untrained_adapter
from tools.miniature.unpack import unpack
from tools.miniature.world import paint

import synthset
from synthset.miniature import FOLDER

PUBLISHED_KEYS = {
    *(f"image_proj.{name}" for name in ("proj.weight", "proj.bias", "norm.weight", "norm.bias")),
    *(f"ip_adapter.{number}.to_{kind}_ip.weight" for number in (1, 3, 5, 7) for kind in "kv"),
}


def load_unet():
    return UNet2DConditionModel.from_pretrained(FOLDER / "unet").eval().requires_grad_(False)


def predict(unet, **told):
    rng = torch.Generator().manual_seed(0)
    latents, states = (torch.randn(shape, generator=rng) for shape in ((2, 4, 8, 8), (2, 32, 128)))
    with torch.no_grad():
        return unet(latents, torch.tensor([500, 20]), states, **told).sample


def test_an_untrained_adapter_changes_nothing_and_its_names_are_the_published_ones():
    plain, adapted = load_unet(), load_unet()
    state = untrained_adapter(adapted)
    assert state.keys() == PUBLISHED_KEYS
    modules = add_adapter(adapted, state)
    told = conditions(torch.nn.functional.normalize(torch.randn(2, 128)))
    torch.testing.assert_close(predict(adapted, **told), predict(plain), atol=1e-5, rtol=1e-5)
    back = published(modules.state_dict())
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert sum(p.numel() for p in adapted.parameters()) == sum(
        part.numel() for part in [*plain.parameters(), *modules.parameters()]
    )


def test_training_changes_the_adapter_only_and_goes_on(tmp_path, small_world, run_trainer, capsys):
    unpack(FOLDER, tmp_path, ["tokenizer", "autoencoder", "text_tower", "clip", "unet"])
    flags = ("--world", small_world, "--build", tmp_path)
    run_trainer(train_image_adapter, *flags, "--steps", 2)
    first = load_file(tmp_path / "image_adapter" / ADAPTER_FILE)
    run_trainer(train_image_adapter, *flags, "--steps", 3)
    assert "image_adapter: going on from step 2" in capsys.readouterr().err
    second = load_file(tmp_path / "image_adapter" / ADAPTER_FILE)
    assert first.keys() == second.keys() == PUBLISHED_KEYS
    assert all(not torch.equal(first[name], second[name]) for name in first)
    figures = json.loads((tmp_path / "image_adapter/finished.json").read_text())
    assert {"validation_loss", "validation_loss_without", "steps"} <= figures.keys()


@pytest.fixture(scope="module")
def pipeline():
    loaded = StableDiffusionPipeline.from_pretrained(FOLDER)
    loaded.load_ip_adapter(str(FOLDER), subfolder="image_adapter", weight_name=ADAPTER_FILE, image_encoder_folder=None)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_the_shipped_weights_are_small_and_in_half_precision():
    weights = load_file(FOLDER / "image_adapter" / ADAPTER_FILE)
    assert weights.keys() == PUBLISHED_KEYS
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert (FOLDER / "image_adapter" / ADAPTER_FILE).stat().st_size < 500_000


def test_diffusers_draws_the_digits_that_it_is_shown(pipeline):
    """Zeros and ones in the hands of the world, each from its CLIP vector without a word; the CLIP reads them back."""
    clip = synthset.load_encoder("miniature")
    shown = [paint(Scene(digit), np.random.default_rng(seed)) for digit in (0, 1) for seed in range(4)]
    vectors = clip.images([Image.fromarray(picture) for picture in shown])
    images = [draw(pipeline, vector, seed) for seed, vector in enumerate(vectors)]
    read = (clip.images(images) @ clip.texts(["the digit zero", "the digit one"]).T).argmax(dim=1)
    assert (read == torch.tensor([0] * 4 + [1] * 4)).sum() >= 7


def draw(pipeline, vector, seed, **settings):
    generator = torch.Generator().manual_seed(seed)
    embeds = [torch.stack([torch.zeros_like(vector), vector])[:, None]]  # diffusers takes one vector a call
    told = {"ip_adapter_image_embeds": embeds, "guidance_scale": 2.5, "num_inference_steps": 10}
    return pipeline("", generator=generator, **told, **settings).images[0]


def test_the_check_draws_many_vectors_as_diffusers_draws_each(pipeline):
    vectors = torch.nn.functional.normalize(torch.randn(3, 128, generator=torch.Generator().manual_seed(0)))
    ours = check_image_adapter.draw(pipeline, vectors, 2.5, 10, seed=7)
    for row, vector in enumerate(vectors):
        theirs = draw(pipeline, vector, 7 + row, output_type="np") * 255
        assert np.abs(theirs.round() - ours[row]).max() <= 1
