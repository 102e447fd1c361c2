import numpy as np
import pytest
import torch
from PIL import Image

from synthset.images import batch_resize
from synthset.images.batch_resize import resize_batch
from synthset.images.decoding import resize

SIDES = (8, 31, 32, 57, 64, 200, 512)
NEW_SIDES = (1, 7, 20, 32, 63, 64, 224, 300)


def noise(rng, side):
    return rng.integers(0, 256, (side, side, 3), np.uint8)


def black_and_white(rng, side):
    return (rng.integers(0, 2, (side, side, 3)) * 255).astype(np.uint8)  # overshoots wherever a kernel can


def picture(rng, side):
    """Soft shapes with a little grain, as photographs have them."""
    soft = Image.fromarray(noise(rng, 6)).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(soft) + rng.normal(0, 8, (side, side, 3)), 0, 255).astype(np.uint8)


def shrunk(images, side, antialias=True):
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return resize_batch(batch, side, antialias).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("make", [noise, black_and_white, picture])
def test_pixels_are_those_of_pillow(make, antialias):
    rng = np.random.default_rng(0)
    for side in SIDES:
        for new_side in NEW_SIDES:
            images = [make(rng, side) for _ in range(2)]
            expected = [np.asarray(resize(Image.fromarray(image), new_side, antialias)) for image in images]
            np.testing.assert_array_equal(shrunk(images, new_side, antialias), expected, f"{side} to {new_side}")


def test_a_batch_larger_than_is_worked_on_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    images = [noise(rng, 40) for _ in range(7)]
    whole = shrunk(images, 16)
    monkeypatch.setattr(batch_resize, "VALUES_AT_ONCE", 2 * images[0].size)
    np.testing.assert_array_equal(shrunk(images, 16), whole)


def test_squares_only():
    with pytest.raises(ValueError, match="Expected squares, got images of 48 × 64 pixels"):
        resize_batch(torch.zeros(1, 3, 64, 48, dtype=torch.uint8), 32)
