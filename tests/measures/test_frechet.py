import pytest
import torch

from synthset.measures import checks, frechet
from synthset.measures.frechet import frechet_distance


def random(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_the_two_terms_are_those_of_gaussians_along_the_axes():
    #                 mean 0, variances 4 and 1      mean (3, 1), variances 1 and 9
    x = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]) * 1.5**0.5
    y = x.flip(1) * torch.tensor([1.0, 1.5]) + torch.tensor([3.0, 1.0])
    distance = frechet_distance(x, y, normalise=False)
    assert distance.mean_term == pytest.approx(10)
    assert distance.covariance_term == pytest.approx((2 - 1) ** 2 + (1 - 3) ** 2)
    assert distance.total == pytest.approx(15)


def test_a_set_is_at_distance_0_from_itself_also_with_fewer_rows_than_columns():
    for n, d in ((50, 8), (5, 40)):
        x = random(n, d)
        distance = frechet_distance(x, x.flip(0))
        assert 0 <= distance.covariance_term < 1e-12
        assert 0 <= distance.mean_term < 1e-12


def test_sides_can_be_exchanged():
    x, y = random(7, 20), random(30, 20, 1) + 0.5
    one, other = frechet_distance(x, y), frechet_distance(y, x)
    assert one.total == pytest.approx(other.total, abs=1e-12)
    assert one.total == one.mean_term + one.covariance_term


def test_rows_are_normalised_unless_asked_otherwise():
    x, y = random(20, 6), random(25, 6, 1)
    scales = torch.rand(20, 1, generator=torch.Generator().manual_seed(2)).double() + 0.5
    assert frechet_distance(x * scales, y).total == pytest.approx(frechet_distance(x, y).total)
    assert frechet_distance(x * scales, y, normalise=False).total != pytest.approx(
        frechet_distance(x, y, normalise=False).total, rel=1e-3
    )


def test_few_rows_are_told():
    assert frechet_distance(random(20, 6), random(3, 6, 1)).rows_a_dimension == 0.5
    assert frechet_distance(random(20, 6), random(12, 6, 1)).rows_a_dimension == 2


def test_blocks_change_nothing(monkeypatch):
    x, y = random(50, 6, dtype=torch.float32), random(41, 6, 1, torch.float32)
    whole = [frechet_distance(x, y, normalise=normalise) for normalise in (True, False)]
    monkeypatch.setattr(checks, "ROWS", 8)
    monkeypatch.setattr(frechet, "ROWS", 8)
    for normalise, expected in zip((True, False), whole, strict=True):
        distance = frechet_distance(x, y, normalise=normalise)
        assert distance.mean_term == pytest.approx(expected.mean_term, abs=1e-12)
        assert distance.covariance_term == pytest.approx(expected.covariance_term, abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (random(1, 3), random(4, 3), "at least two rows in x, as one has no covariance, got 1"),
        (random(4, 3), random(1, 3), "at least two rows in y"),
        (random(0, 3), random(4, 3), "at least one row"),
        (random(4, 3), random(4, 5), "one dimension, got 3 and 5"),
        (random(4, 3) * torch.nan, random(4, 3), "finite x, got NaN or infinity in row 0"),
        (random(4, 3), torch.zeros(4, 3), "y with a direction, got only zeros in row 0"),
    ],
)
def test_bad_input_is_named(x, y, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(x, y)


def test_rows_that_are_not_normalised_may_be_zeros():
    assert frechet_distance(torch.zeros(3, 2), torch.ones(3, 2), normalise=False).total == pytest.approx(2)
