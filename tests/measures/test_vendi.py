import math

import pytest
import torch

from synthset.measures.vendi import vendi_score, vendi_score_per_class


def random(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("order", [0, 0.5, 1, 2, math.inf])
def test_it_counts_different_rows(order):
    assert vendi_score(torch.eye(5), order) == pytest.approx(5)
    assert vendi_score(torch.ones(5, 3), order) == pytest.approx(1)
    twice = torch.cat([torch.eye(4, 6), torch.eye(4, 6) * 3])
    assert vendi_score(twice, order) == pytest.approx(4)


def test_copies_of_all_rows_change_nothing_though_the_smaller_matrix_is_another():
    few = random(6, 10)
    assert vendi_score(few.repeat(3, 1)) == pytest.approx(vendi_score(few))  # 18 × 10 and 6 × 10


def test_scale_of_the_rows_does_not_count():
    x = random(9, 4)
    assert vendi_score(x * torch.arange(1, 10)[:, None]) == pytest.approx(vendi_score(x))


def test_a_higher_order_counts_less():
    scores = [vendi_score(random(40, 8) + 1, order) for order in (0, 0.5, 1, 2, math.inf)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(8)
    assert scores[-1] >= 1


def test_an_order_near_1_is_near_shannons():
    x = random(40, 8)
    assert vendi_score(x, 1 + 1e-6) == pytest.approx(vendi_score(x), rel=1e-5)


def test_each_class_has_its_own_score():
    x, labels = random(30, 8), torch.arange(30) % 3
    scores = vendi_score_per_class(x, labels, 3)
    assert scores.dtype == torch.float64
    assert scores.tolist() == [vendi_score(x[labels == label]) for label in range(3)]
    assert torch.equal(vendi_score_per_class(x, labels), scores)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="NaN or infinity in row 1"):
        vendi_score(torch.tensor([[1.0], [torch.nan]]))
    with pytest.raises(ValueError, match="at least one row"):
        vendi_score(torch.empty(0, 3))
    with pytest.raises(ValueError, match="only zeros"):
        vendi_score(torch.zeros(2, 3))
    for order in (-1.0, math.nan):
        with pytest.raises(ValueError, match="order of 0 or more"):
            vendi_score(torch.eye(2), order)
    with pytest.raises(ValueError, match="none of class 1"):
        vendi_score_per_class(torch.eye(2), torch.tensor([0, 2]), 3)
    with pytest.raises(ValueError, match="one a row"):
        vendi_score_per_class(torch.eye(2), torch.tensor([0]), 1)
