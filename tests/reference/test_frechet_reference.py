import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import _compute_fid

from synthset.measures.frechet import frechet_distance


def sets(n, m, d, *, unit):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)), rng.normal(0.3, 1, (m, d))
    if unit:
        x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    return x, y


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize(("n", "m", "d"), [(200, 300, 16), (60, 55, 48)])
def test_it_equals_the_computations_of_torchmetrics_and_scipy(n, m, d, unit):
    x, y = sets(n, m, d, unit=unit)
    mean_x, mean_y, cov_x, cov_y = x.mean(0), y.mean(0), np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    fid = _compute_fid(*(torch.from_numpy(part) for part in (mean_x, cov_x, mean_y, cov_y)))
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    distance = frechet_distance(torch.from_numpy(x), torch.from_numpy(y), normalise=unit)
    assert distance.total == pytest.approx(float(fid), rel=1e-5, abs=1e-5)
    assert distance.mean_term == pytest.approx(((mean_x - mean_y) ** 2).sum(), abs=1e-5)
    assert distance.covariance_term == pytest.approx(np.trace(cov_x + cov_y - 2 * root), rel=1e-5, abs=1e-5)


def test_it_equals_the_roots_of_symmetric_products_where_covariances_are_singular():
    x, y = sets(12, 9, 40, unit=True)
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(cov_x)
    half = vectors * np.sqrt(values.clip(0)) @ vectors.T
    trace_of_root = np.sqrt(np.linalg.eigvalsh(half @ cov_y @ half).clip(0)).sum()
    expected = np.trace(cov_x) + np.trace(cov_y) - 2 * trace_of_root
    found = frechet_distance(torch.from_numpy(x), torch.from_numpy(y)).covariance_term
    assert found == pytest.approx(expected, abs=1e-5)
