import numpy as np
import pytest
import torch
from prdc import compute_prdc

from synthset.measures import coverage
from synthset.measures.coverage import precision_recall_density_coverage


@pytest.mark.parametrize("block", [64, 2048])
@pytest.mark.parametrize(("n", "m", "k"), [(150, 150, 5), (90, 210, 1), (200, 60, 10)])
def test_it_equals_prdc_on_unit_vectors(monkeypatch, n, m, k, block):
    monkeypatch.setattr(coverage, "BLOCK", block)
    rng = np.random.default_rng(n)
    real, synthetic = rng.normal(2, 1, (n, 6)), rng.normal(0.3, 1, (m, 6))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (real, synthetic)]
    expected = compute_prdc(*unit, nearest_k=k)
    found = precision_recall_density_coverage(torch.from_numpy(real), torch.from_numpy(synthetic), k)
    assert 0 < found.precision < 1
    assert 0 < found.coverage < 1
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-12), name
