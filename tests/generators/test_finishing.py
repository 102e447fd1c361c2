"""Shrinking where images are drawn: forced on a CPU here, where it is otherwise left to whoever stores them."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tiny_pipelines import build_lcm

from synthset.create.stage import create
from synthset.dataset.records import Request
from synthset.generators import finishing
from synthset.generators.base import GenerationConfig, StoredSize
from synthset.generators.finishing import finish, size_to_shrink_to
from synthset.generators.loading import load_generator
from synthset.images.decoding import resize
from tiny_models import build_stable_diffusion

CUDA = torch.device("cuda")


def config(height_px=64, width_px=64):
    return GenerationConfig("fake", None, "0" * 64, "ddim", 1, height_px, width_px, "bfloat16")


@pytest.fixture
def forced(monkeypatch):
    monkeypatch.setattr(finishing, "size_to_shrink_to", lambda stored, config, device: stored)


def test_only_a_gpu_shrinks_and_only_larger_squares():
    small = StoredSize(32)
    assert size_to_shrink_to(small, config(), CUDA) is small
    assert size_to_shrink_to(small, config(), torch.device("cpu")) is None
    assert size_to_shrink_to(None, config(), CUDA) is None
    assert size_to_shrink_to(small, config(height_px=96), CUDA) is None
    assert size_to_shrink_to(StoredSize(64), config(), CUDA) is None


@pytest.mark.usefixtures("forced")
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("family", ["stable diffusion", "lcm"])
def test_a_generator_gives_the_pixels_that_pillow_would_store(family, antialias, checkpoint, tmp_path):
    folder = str(checkpoint if family == "stable diffusion" else build_lcm(tmp_path / "lcm"))
    requests = [Request(i, "five", 0, "base", i, f"a five {i}", "", 1.0 + i, i) for i in range(3)]
    as_drawn = load_generator(folder, num_inference_steps=2).generate(requests)
    stored = StoredSize(10, antialias)
    shrunk = load_generator(folder, num_inference_steps=2, stored=stored).generate(requests)
    for image, small in zip(as_drawn, shrunk, strict=True):
        np.testing.assert_array_equal(small.pixels, resize(Image.fromarray(image.pixels), 10, antialias))


def test_a_dataset_is_byte_for_byte_the_same(checkpoint, tmp_path, request):
    def draw(name):
        options = {"images_per_class": 3, "steps": 2, "resize_px": 10, "generator": str(checkpoint)}
        create(["one", "two"], tmp_path / name, **options)
        return pq.read_table(tmp_path / name / "data" / "train-00000.parquet")

    expected = draw("pillow")
    request.getfixturevalue("forced")
    assert draw("device").equals(expected)


def test_an_image_is_judged_by_all_that_was_drawn():
    """Stripes whose mean is one grey: blank once they are shrunk, and not as they were drawn."""
    stripes = torch.tensor([0, 255] * 8, dtype=torch.uint8).expand(16, 16)
    pixels = torch.stack([stripes.expand(3, 16, 16), torch.full((3, 16, 16), 9, dtype=torch.uint8)])
    striped, grey = finish(pixels, torch.ones(2, dtype=torch.bool), [False, False], StoredSize(1))
    assert (striped.status, striped.pixels.shape) == ("ok", (1, 1, 3))
    assert (grey.status, grey.pixels) == ("blank", None)


def test_one_more_level_than_blank_is_an_image():
    pixels = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    for level, status in ((finishing.BLANK_LEVELS, "blank"), (finishing.BLANK_LEVELS + 1, "ok")):
        pixels[0, 2, 1, 1] = level
        assert finish(pixels, torch.ones(1, dtype=torch.bool), [False], None)[0].status == status


def test_the_safety_checker_sees_what_diffusers_shows_it(tmp_path):
    generator = load_generator(str(build_stable_diffusion(tmp_path, safety_checker=True)), num_inference_steps=2)
    seen = []
    generator.safety_checker.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["clip_input"]), with_kwargs=True
    )
    (image,) = generator.generate([Request(0, "five", 0, "base", 0, "a five", "", 7.5, 1)])
    expected = generator.feature_extractor([Image.fromarray(image.pixels)], return_tensors="pt").pixel_values
    torch.testing.assert_close(seen[0], expected, rtol=0, atol=0)
