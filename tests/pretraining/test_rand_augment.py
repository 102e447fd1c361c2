"""RandAugment: its operations are those of timm's policy, drawn as often as they are to be, by draws of our own."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from timm.data import auto_augment

from synthset.pretraining.rand_augment import DRAWS, OPERATIONS, OPERATIONS_AN_IMAGE, draw, rand_augment

# ours, and timm's name in the policy of DeiT
TWINS = dict(zip(OPERATIONS, auto_augment._RAND_INCREASING_TRANSFORMS, strict=True))


@pytest.fixture(scope="module")
def image():
    rough = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(rough).resize((24, 24), Image.Resampling.BICUBIC)


def draws_of(name, magnitude_off=0.0, direction=0.0):
    which = (list(OPERATIONS).index(name) + 0.5) / len(OPERATIONS)
    return np.array([[which, 0.0, magnitude_off, direction], [0.0, 0.9, 0.0, 0.0]])


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("direction", [0.0, 0.9])
def test_an_operation_is_timm_s(image, name, direction, monkeypatch):
    monkeypatch.setattr(auto_augment, "_randomly_negate", lambda value: value if direction < 0.5 else -value)
    about = {"img_mean": (124, 116, 104), "interpolation": Image.Resampling.BICUBIC}
    expected = auto_augment.AugmentOp(TWINS[name], prob=1, magnitude=9, hparams=about)(image)
    got = rand_augment(image, 9, draws_of(name, direction=direction))
    np.testing.assert_array_equal(np.asarray(got), np.asarray(expected))
    assert (np.asarray(got) != np.asarray(image)).any()


def test_the_magnitude_of_an_operation_is_drawn_around_that_of_all(image):
    strong, weak = (np.asarray(rand_augment(image, 5, draws_of("rotate", off))) for off in (2.0, -2.0))
    expected = auto_augment.rotate(image, 18, fillcolor=(124, 116, 104), resample=Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(strong, np.asarray(expected))  # of 5 + 2 / 2
    assert (strong != weak).any()
    same = [np.asarray(rand_augment(image, 10, draws_of("rotate", off))) for off in (0.0, 3.0)]
    np.testing.assert_array_equal(same[0], same[1])  # there is no magnitude above 10


def test_ten_thousand_draws_come_as_often_as_they_are_to():
    n = 10_000
    draws = draw(np.random.default_rng(0), n)
    assert draws.shape == (n, OPERATIONS_AN_IMAGE, DRAWS)
    flat = draws.reshape(-1, DRAWS)
    for column, share in ((1, 0.5), (3, 0.5)):
        assert abs((flat[:, column] < share).mean() - share) <= 3 * (share * (1 - share) / len(flat)) ** 0.5
    counts = np.bincount((flat[:, 0] * len(OPERATIONS)).astype(int), minlength=len(OPERATIONS)) / len(flat)
    share = 1 / len(OPERATIONS)
    assert np.abs(counts - share).max() <= 3 * (share * (1 - share) / len(flat)) ** 0.5
    assert abs(flat[:, 2].mean()) <= 3 / len(flat) ** 0.5
    assert abs(flat[:, 2].std() - 1) <= 3 / (2 * len(flat)) ** 0.5


def states():
    """Of the global random generators."""
    return random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()


def test_threads_make_of_it_what_one_makes_and_no_global_state_is_used(image):
    draws, before = draw(np.random.default_rng(1), 64), states()
    alone = [np.asarray(rand_augment(image, 9, one)) for one in draws]
    with ThreadPoolExecutor(4) as pool:
        for got, expected in zip(pool.map(lambda one: rand_augment(image, 9, one), draws), alone, strict=True):
            np.testing.assert_array_equal(np.asarray(got), expected)
    assert states() == before
    assert len({one.tobytes() for one in alone}) > 32
