import pytest
import torch

from synthset.measures import coverage
from synthset.measures.coverage import Coverage, precision_recall_density_coverage


def random(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def on_circle(*degrees):
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], 1)


def test_the_shares_on_a_circle_are_those_counted_by_hand():
    real = on_circle(0, 10, 30, 100)  # radii of 10, 10, 20 and 70 degrees
    synthetic = on_circle(5, 35, 200)  # radii of 30, 30 and 155 (to 355 = -5: 165; to 35: 165)
    # 5 lies in the balls of 0 and 10; 35 in those of 30 and 100; 200 in none
    # of 5 (30 degrees) lie 0, 10 and 30; of 200 (165 degrees) 100 does
    assert precision_recall_density_coverage(real, synthetic, 1) == Coverage(2 / 3, 1.0, 4 / 3, 1.0)


def test_sets_far_apart_share_nothing_and_samples_of_one_share_much():
    x, y = random(200, 4), random(200, 4, 1)
    far = torch.tensor([50.0, 0, 0, 0])
    assert precision_recall_density_coverage(x - far, y + far) == Coverage(0.0, 0.0, 0.0, 0.0)
    near = precision_recall_density_coverage(x, y)
    assert min(near.precision, near.recall, near.coverage) > 0.9
    assert near.density == pytest.approx(1, abs=0.1)


def test_a_narrow_set_has_precision_without_recall():
    x = random(200, 4)
    narrow = x[:1] + 0.01 * random(50, 4, 1)
    measured = precision_recall_density_coverage(x, narrow)
    assert measured.precision == 1
    assert measured.recall < 0.1
    assert measured.coverage < 0.2


def test_what_lies_on_the_edge_lies_outside_whatever_the_block(monkeypatch):
    x = random(64, 5)
    copies = x.flip(0) * 2  # each copy is as far from its neighbours as their radius
    expected = precision_recall_density_coverage(x, copies, 3)
    assert expected.density == pytest.approx(1)  # itself and two nearer ones; the third is on the edge
    for block in (5, 7, 64):
        monkeypatch.setattr(coverage, "BLOCK", block)
        assert precision_recall_density_coverage(x, copies, 3) == expected


def test_balls_without_extent_hold_nothing():
    same = torch.ones(8, 3)
    assert precision_recall_density_coverage(same, same) == Coverage(0.0, 0.0, 0.0, 0.0)


def test_sets_of_other_sizes_and_scales(monkeypatch):
    x, y = random(30, 5), random(70, 5, 1)
    expected = precision_recall_density_coverage(x, y, 4)
    monkeypatch.setattr(coverage, "BLOCK", 16)
    assert precision_recall_density_coverage(x * 3, y / 7, 4) == expected


@pytest.mark.parametrize(
    ("real", "synthetic", "num_neighbours", "message"),
    [
        (random(5, 3), random(9, 3), 5, "more than 5 real embeddings for as many neighbours, got 5"),
        (random(9, 3), random(5, 3), 5, "more than 5 synthetic embeddings"),
        (random(9, 3), random(9, 3), 0, "at least 1 neighbour"),
        (random(9, 3), random(9, 4), 5, "one dimension, got 3 and 4"),
        (random(9, 3), random(0, 3), 5, "in synthetic embeddings"),
        (random(9, 3), random(9, 3) * torch.inf, 5, "finite synthetic embeddings"),
        (torch.zeros(9, 3), random(9, 3), 5, "real embeddings with a direction"),
    ],
)
def test_bad_input_is_named(real, synthetic, num_neighbours, message):
    with pytest.raises(ValueError, match=message):
        precision_recall_density_coverage(real, synthetic, num_neighbours)
