"""Augmentation: each image its own draw, decided by the generator alone, and never a mirrored digit."""

import pytest
import torch
import torch.nn.functional as F

from synthset.classifiers.augment import AUGMENTATIONS, BENDS, Share, _between, augment
from synthset.core.errors import UnknownNameError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def photos(n=8, size=16):
    return torch.randint(0, 256, (n, 3, size, size), generator=generator(9)).byte()


@pytest.mark.parametrize("recipe", AUGMENTATIONS)
@pytest.mark.parametrize(("n", "size"), [(1, 8), (8, 16), (5, 29)])
def test_keeps_shape_and_range(recipe, n, size):
    images = photos(n, size)
    before = images.clone()
    drawn = augment(images, recipe, generator())
    assert drawn.dtype == torch.float32
    assert drawn.shape == images.shape
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("recipe", AUGMENTATIONS)
def test_follows_the_generator_and_leaves_global_random_state_alone(recipe):
    state = torch.get_rng_state()
    one, same, other = (augment(photos(), recipe, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, same)
    assert torch.equal(one, other) == (recipe == "none")


@pytest.mark.parametrize("recipe", ["standard", "resized_crop", "handwriting"])
def test_equal_images_of_a_batch_come_out_different(recipe):
    drawn = augment(photos(1).repeat(16, 1, 1, 1), recipe, generator())
    assert len({image.numpy().tobytes() for image in drawn}) >= 14


def test_none_is_the_image_itself():
    images = photos()
    assert torch.equal(augment(images, "none", generator()), images.float() / 255)


def test_unknown_recipe_lists_the_valid_ones():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'digits'.*none, standard"):
        augment(photos(), "digit", generator())


def test_standard_is_a_shift_of_at_most_an_eighth_and_half_the_images_mirrored():
    n, size = 400, 16
    images = torch.zeros(n, 3, size, size, dtype=torch.uint8)
    images[:, :, 8, 5] = 255  # one white point: off the middle, so that a mirror shows
    drawn = augment(images, "standard", generator())
    assert torch.equal(drawn.sum((1, 2, 3)), torch.full((n,), 3.0))  # no interpolation
    _, rows, columns = drawn[:, 0].nonzero(as_tuple=True)
    assert sorted(set(rows.tolist())) == [6, 7, 8, 9, 10]
    assert sorted(set(columns.tolist())) == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    mirrored = (columns >= 8).float().mean()
    assert 0.4 < mirrored < 0.6


def test_resized_crop_stays_inside_the_image():
    images = torch.full((64, 3, 16, 16), 200, dtype=torch.uint8)
    assert torch.allclose(augment(images, "resized_crop", generator()), torch.tensor(200 / 255), atol=1e-5)


def test_resized_crop_enlarges_and_mirrors():
    ramp = torch.arange(0, 256, 16).byte().expand(200, 3, 16, 16)  # grows to the right
    drawn = augment(ramp, "resized_crop", generator())
    slopes = drawn[:, 0, 8, 12] - drawn[:, 0, 8, 3]
    assert 0.35 < (slopes < 0).float().mean() < 0.65
    assert slopes.abs().max() < 9 * 16 / 255 + 1e-3  # never shrunk
    assert slopes.abs().min() < 0.6 * 9 * 16 / 255  # some are enlarged a lot


def test_digits_are_never_mirrored_nor_turned_over():
    """A bright patch up left on dark ground stays in the upper left half, whatever is drawn."""
    images = torch.zeros(300, 3, 28, 28, dtype=torch.uint8)
    images[:, :, 7:10, 7:10] = 255
    drawn = augment(images, "digits", generator()).mean(1)
    ground = drawn.flatten(1).median(1).values[:, None, None]
    weight = (drawn - ground).abs()
    weight = torch.where(weight > 0.6 * weight.amax((1, 2), keepdim=True), weight, 0)
    positions = torch.arange(28.0)
    x = (weight.sum(1) * positions).sum(1) / weight.sum((1, 2))
    y = (weight.sum(2) * positions).sum(1) / weight.sum((1, 2))
    assert (x < 14).float().mean() > 0.97  # the rest is lost in noise or shifted out
    assert (y < 14).float().mean() > 0.97


def test_handwriting_is_read_by_cameras_of_an_eighth_fewer_pixels_than_digits():
    """Of 32 px, fine stripes come out flattest where the resolution falls to 8 px."""
    stripes = (torch.arange(32) % 8 < 4).byte().mul(255).expand(400, 3, 32, 32)
    flattest = {}
    for recipe in ("digits", "handwriting"):
        contrast = augment(stripes, recipe, generator())[:, 0].std((1, 2))
        flattest[recipe] = contrast.quantile(0.05)
    assert flattest["handwriting"] < 0.9 * flattest["digits"]


def test_enlarged_images_fall_to_the_resolutions_that_they_would_have_as_they_came():
    """Fine stripes come out as flat as they came: not as if cameras with the enlarged images' pixels had read them."""
    stripes = (torch.arange(32) % 8 < 4).byte().mul(255).expand(400, 3, 32, 32)
    enlarged = stripes.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def flattest(images, native_px):
        drawn = augment(images, "handwriting", generator(), native_px=native_px)
        return drawn[:, 0].std((1, 2)).quantile(0.05).item()

    assert flattest(enlarged, 32) == pytest.approx(flattest(stripes, None), rel=0.1)
    assert flattest(enlarged, None) > 1.2 * flattest(enlarged, 32)


def test_digits_invert_about_one_in_ten():
    images = torch.zeros(1000, 3, 8, 8, dtype=torch.uint8)
    share = (augment(images, "digits", generator()).mean((1, 2, 3)) > 0.5).float().mean()
    assert 0.06 < share < 0.14


def test_between_few_points_strokes_are_bent_as_torch_interpolates():
    shifts = torch.randn(3, 2, BENDS, BENDS, generator=generator())
    down, across = _between(20), _between(31)
    expected = F.interpolate(shifts, (20, 31), mode="bicubic", align_corners=True)
    torch.testing.assert_close(down @ shifts @ across.mT, expected, atol=1e-5, rtol=0)


def test_handwriting_bends_a_straight_line_and_digits_does_not():
    """How far the middle of an upright stroke, row by row, is from any straight line, in pixels."""
    images = torch.zeros(200, 3, 32, 32, dtype=torch.uint8)
    images[:, :, 4:28, 14:18] = 255
    rows = torch.arange(8, 24)
    line = torch.stack((torch.ones(16), rows.float()), 1)
    off = {}
    for recipe in ("digits", "handwriting"):
        drawn = augment(images, recipe, generator()).mean(1)[:, rows]
        ink = (drawn - drawn.median(2, keepdim=True).values).abs()
        ink = torch.where(ink > 0.5 * ink.amax(2, keepdim=True), ink, 0)
        middle = (ink * torch.arange(32.0)).sum(2) / ink.sum(2)
        middle = middle[middle.isfinite().all(1)]  # the stroke is on every row
        fitted = middle @ torch.linalg.pinv(line).T @ line.T
        assert len(middle) > 100
        off[recipe] = (middle - fitted).square().mean(1).sqrt().median()
    assert off["digits"] < 0.25
    assert off["handwriting"] > 2 * off["digits"]


def test_handwriting_draws_the_same_bends_for_a_part_of_a_batch():
    images = photos(6, 16)
    whole = augment(images, "handwriting", generator())
    parts = [augment(images[at : at + 3], "handwriting", generator(), Share(at, 6)) for at in (0, 3)]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-6, rtol=0)
