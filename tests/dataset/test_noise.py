"""Datasets share noise by one model, at one size, from one seed; whatever else is refused, with the difference."""

import pytest

from small_datasets import make
from synthset.core.errors import DataError
from synthset.dataset.noise import Noise, check_noise, noise_of
from synthset.testing import FakeGenerator


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return make(tmp_path_factory.mktemp("shared") / "pets", shared_noise=True).dataset


def test_what_shared_noise_depends_on(shared):
    assert noise_of(shared) == Noise(64, "0" * 64, 8, 8)
    check_noise(shared)


def test_other_strategies_and_sizes_of_plan_share_it(shared, tmp_path):
    other = make(tmp_path / "more", shared_noise=True, strategies=("class_prompt",), images_per_class=2).dataset
    check_noise(other, shared)


def test_noise_of_its_own_is_refused_with_the_way_out(tmp_path):
    dataset = make(tmp_path / "own").dataset
    assert noise_of(dataset) is None
    with pytest.raises(DataError, match=r"own', each has its own.*shared_noise=True"):
        check_noise(dataset)


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"seed": 65}, "seed: 64 there, 65 here"),
        ({"generator": FakeGenerator(size_px=16)}, "height_px: 8 there, 16 here; width_px: 8 there, 16 here"),
    ],
)
def test_other_noise_is_refused_with_the_difference(options, difference, shared, tmp_path):
    other = make(tmp_path / "other", shared_noise=True, **options).dataset
    with pytest.raises(DataError, match=difference):
        check_noise(other, shared)
