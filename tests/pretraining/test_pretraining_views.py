"""Views: the operations are torchvision's, they come as often as they are to, and no global random state is used."""

import math
import random

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from torchvision.transforms import RandomResizedCrop

from synthset.pretraining.methods import NOTHING_BUT_A_MIRROR, Variation
from synthset.pretraining.streaming import TRIES, Crops
from synthset.pretraining.views import Draws, blur, brighten, contrast, saturate, shift_hue, vary

TOLERANCE = 1e-4  # a fortieth of a grey level
# of an operation, its twin, and factors
TWINS = {
    "brightness": (brighten, TF.adjust_brightness, (0.6, 1.0, 1.4)),
    "contrast": (contrast, TF.adjust_contrast, (0.6, 1.0, 1.4)),
    "saturation": (saturate, TF.adjust_saturation, (0.6, 1.0, 1.4)),
    "hue": (shift_hue, TF.adjust_hue, (-0.1, 0.0, 0.07, 0.5)),
}


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (6, 3, 20, 20), generator=generator).byte()
    noise[0] = 77  # grey, whose hue is none
    noise[1, :, :10] = noise[1, :, :1, :1]
    return noise


@pytest.mark.parametrize("name", TWINS)
def test_an_operation_is_that_of_torchvision(images, name):
    ours, theirs, factors = TWINS[name]
    floats = images.float() / 255
    for factor in factors:
        got = ours(floats, torch.full((len(images), 1, 1), factor))
        for one, image in zip(got, images, strict=True):
            torch.testing.assert_close(one, theirs(image.float() / 255, factor), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.3, 2.0])
def test_blur_is_that_of_torchvision(images, sigma):
    floats = images.float() / 255
    got = blur(floats, torch.full((len(images),), sigma))
    torch.testing.assert_close(got, TF.gaussian_blur(floats, [13, 13], [sigma, sigma]), atol=1e-5, rtol=0)


def test_an_image_is_varied_by_its_own_draws_in_their_order(images):
    draws = Draws.of(Variation(jitter_share=1, blur_share=1, grey_share=0.5), len(images), seed=4)
    twins = [TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue]
    for row, got in enumerate(vary(images, draws)):
        image = images[row].float() / 255
        for number in draws.order[row].tolist():
            image = twins[number](image, draws.factors[row, number].item())
        image = TF.rgb_to_grayscale(image, 3) if draws.grey[row] else image
        sigma = max(draws.sigma[row].item() * 20 / 224, 1e-3)
        image = TF.gaussian_blur(image, [13, 13], [sigma, sigma])
        image = TF.hflip(image) if draws.mirrored[row] else image
        torch.testing.assert_close(got, image, atol=2e-4, rtol=0)
    part = np.array([4, 1])
    torch.testing.assert_close(vary(images[part], draws.at(part, torch.device("cpu"))), vary(images, draws)[part])


def test_images_that_are_only_mirrored_are_the_same_otherwise(images):
    draws = Draws.of(NOTHING_BUT_A_MIRROR, len(images), seed=1)
    assert draws.mirrored.any()
    assert not draws.mirrored.all()
    expected = torch.where(draws.mirrored[:, None, None, None], images.flip(-1), images).float() / 255
    assert torch.equal(vary(images, draws), expected)


def test_ten_thousand_draws_come_as_often_as_they_are_to():
    n, variation = 10_000, Variation()
    draws = Draws.of(variation, n, seed=0)
    for mask, share in (
        (draws.jittered, 0.8),
        (draws.grey, 0.2),
        (draws.blurred, 0.5),
        (draws.mirrored, 0.5),
        *((draws.order[:, 0] == number, 0.25) for number in range(4)),
        (draws.jittered & draws.grey, 0.16),  # one does not follow from the other
    ):
        assert abs(mask.double().mean() - share) <= 3 * (share * (1 - share) / n) ** 0.5
    for values, low, high in (
        *((draws.factors[:, number], 0.6, 1.4) for number in range(3)),
        (draws.factors[:, 3], -0.1, 0.1),
        (draws.sigma, 0.1, 2.0),
    ):
        assert low <= values.min()
        assert values.max() <= high
        assert abs(values.double().mean() - (low + high) / 2) <= 3 * (high - low) / (12 * n) ** 0.5


def test_crops_have_the_area_and_aspect_that_they_are_to():
    crops, n = Crops(8, area=(0.2, 1.0)), 10_000
    draws = np.random.default_rng(0).random((n, TRIES, 4))
    boxes = np.array([crops.box(300, 300, one) for one in draws])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert boxes.min() >= 0
    assert boxes.max() <= 300
    aspects = np.log(width / height)
    assert np.abs(aspects).max() < math.log(1.36)
    assert abs((boxes[:, 0] / np.maximum(300 - width, 1)).mean() - 0.5) < 0.02
    # of torchvision's, of as many
    torch.manual_seed(0)
    image, ratios = torch.empty(3, 300, 300), [3 / 4, 4 / 3]
    _, _, h, w = np.array([RandomResizedCrop.get_params(image, [0.2, 1.0], ratios) for _ in range(n)]).T
    for ours, theirs in ((width * height, h * w), (aspects, np.log(w / h))):
        assert abs(ours.mean() - theirs.mean()) <= 3 * ((ours.var() + theirs.var()) / n) ** 0.5


@pytest.mark.parametrize("size", [(10, 200), (200, 10), (31, 30)])
def test_where_no_crop_fits_it_is_the_middle_as_in_torchvision(size):
    width, height = size
    box = Crops(8, area=(2.0, 2.0)).box(width, height, np.random.default_rng(0).random((TRIES, 4)))
    top, left, h, w = RandomResizedCrop.get_params(torch.empty(3, height, width), [2.0, 2.0], [3 / 4, 4 / 3])
    assert box == (left, top, left + w, top + h)


def test_no_global_random_state_is_used(images):
    def states():
        return (
            random.getstate(),
            np.random.get_state(legacy=False)["state"]["key"].tolist(),
            torch.get_rng_state().tolist(),
        )

    before = states()
    vary(images, Draws.of(Variation(), len(images), seed=1))
    assert states() == before
