import numpy as np
import pytest
import torch
from vendi_score import vendi

from synthset.measures.vendi import vendi_score, vendi_score_per_class


@pytest.mark.parametrize("q", [0.5, 1, 2, "inf"])
@pytest.mark.parametrize(("n", "d"), [(80, 12), (20, 40)])
def test_it_equals_the_package_by_either_matrix(n, d, q):
    rows = np.random.default_rng(n).normal(0.5, 1, (n, d))
    expected = vendi.score_dual(rows, q=q)  # by the d × d matrix, whichever of the two ours takes
    assert vendi_score(torch.from_numpy(rows), float(q)) == pytest.approx(float(expected), rel=1e-5)


# the package names a module of scipy that has moved
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_equals_the_package_by_the_cosines_of_all_pairs():
    rows = np.random.default_rng(0).normal(0.5, 1, (60, 12))
    labels = np.arange(60) % 3
    assert vendi_score(torch.from_numpy(rows)) == pytest.approx(float(vendi.score_X(rows)), rel=1e-5)
    found = vendi_score_per_class(torch.from_numpy(rows), torch.from_numpy(labels), 3)
    expected = [float(vendi.score_X(rows[labels == label])) for label in range(3)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
