import numpy as np
import pytest
import torch

from synthset.measures import geometry
from synthset.measures.geometry import hold_out, linear_separability


def random(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clusters(num_texts, num_images, d=12, distance=4.0):
    apart = torch.zeros(d, dtype=torch.float64)
    apart[0] = distance
    return random(num_texts, d) + apart, random(num_images, d, 1) - apart


def test_clusters_apart_are_separable_though_one_is_a_hundred_times_larger():
    texts, images = clusters(10, 1000, distance=6.0)
    result = linear_separability(texts, images)
    assert result.accuracy == 1
    assert 0.1 < result.margin < 1
    assert (result.num_texts, result.num_images) == (10, 1000)


def test_two_samples_of_one_cloud_are_not_and_chance_is_half_whatever_the_sizes():
    result = linear_separability(random(40, 6), random(600, 6, 1))
    assert 0.3 < result.accuracy < 0.7
    assert result.margin < 0


def test_the_same_vectors_as_texts_and_images_overlap_wholly():
    same = torch.ones(4, 3) + torch.eye(4, 3)
    assert linear_separability(same, same).margin <= 0
    alike = linear_separability(torch.ones(6, 3), torch.ones(6, 3))
    assert (alike.accuracy, alike.margin) == (0.5, 0)


def test_the_margin_is_half_the_gap_on_a_circle():
    angles = torch.tensor([80, 85, 90, 100, -80, -85, -90, -100], dtype=torch.float64).deg2rad()
    points = torch.stack([angles.cos(), angles.sin()], 1)
    # the hulls are nearest to each other at 80 and 100 degrees, both of height sin 80°
    assert linear_separability(points[:4], points[4:]).margin == pytest.approx(np.sin(np.deg2rad(80)), abs=1e-6)


def test_a_narrow_gap_is_found():
    heights = torch.linspace(-1, 1, 50, dtype=torch.float64)
    above = torch.stack([torch.ones(50, dtype=torch.float64), heights, torch.full((50,), 2e-3)], 1)
    below = above * torch.tensor([1, 1, -1])
    # longer vectors of the slab come nearest to the plane once scaled to length 1
    assert linear_separability(above, below).margin == pytest.approx(2e-3 / (2 + 4e-6) ** 0.5, abs=1e-6)


def test_the_margin_is_found_among_few_vectors_at_once(monkeypatch):
    texts, images = clusters(60, 300, d=5, distance=3.0)
    expected = linear_separability(texts, images).margin
    monkeypatch.setattr(geometry, "WORKING", 3)
    assert linear_separability(texts, images).margin == pytest.approx(expected, abs=1e-6)


def test_the_seed_decides_the_splits_and_not_the_margin():
    texts, images = random(12, 4), random(40, 4, 1)
    one, again, other = (linear_separability(texts, images, seed) for seed in (1, 1, 2))
    assert one == again
    assert one.accuracy != other.accuracy
    assert one.margin == other.margin


def test_scale_of_the_rows_does_not_count():
    texts, images = clusters(8, 30)
    one, other = linear_separability(texts, images), linear_separability(texts * 5, images.float() / 3)
    assert one.accuracy == other.accuracy
    assert one.margin == pytest.approx(other.margin, abs=1e-5)


def test_each_class_is_held_out_in_its_share():
    labels = np.array([0] * 3 + [1] * 40 + [2] + [3] * 2)
    held = hold_out(labels, 0.25, np.random.default_rng(0))
    assert [int(held[labels == label].sum()) for label in range(4)] == [1, 10, 0, 1]
    assert [int(hold_out(labels, 0.99, np.random.default_rng(0))[labels == label].sum()) for label in range(4)] == [
        2,
        39,
        0,
        1,
    ]


@pytest.mark.parametrize(
    ("texts", "images", "options", "message"),
    [
        (random(3, 5), random(9, 5), {}, "at least 4 texts, got 3"),
        (random(9, 5), random(3, 5), {}, "at least 4 images, got 3"),
        (random(9, 5), random(9, 6), {}, "one dimension, got 5 and 6"),
        (random(0, 5), random(9, 5), {}, "in texts"),
        (random(9, 5), random(9, 5) * torch.nan, {}, "finite images"),
        (random(9, 5), random(9, 5), {"num_splits": 0}, "at least 1 split"),
    ],
)
def test_bad_input_is_named(texts, images, options, message):
    with pytest.raises(ValueError, match=message):
        linear_separability(texts, images, **options)
