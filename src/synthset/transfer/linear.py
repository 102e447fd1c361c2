"""The linear probe: logistic regression on frozen features, whose weights become the network's own last layer."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthset.transfer.results import Attempt
from synthset.tuning.baselines import logistic_regression

STRENGTHS = tuple(10.0**power for power in range(-4, 3))  # inverse of the L2 penalty, as scikit-learn has it
USUAL = 1.0  # where nothing can be held out


def fit(features: Tensor, labels: Tensor, c: float) -> tuple[Tensor, Tensor]:
    """Weights (k, d) and bias (k,), float32, of L-BFGS's regression on features (n, d) of unit variance.

    Mean and spread of the features are folded into the weights, which are therefore for features as they are.

    Args:
        labels: int64 (n,), 0..k-1, each at least once.
        c: inverse of the L2 penalty.
    """
    rows = features.double()
    mean, spread = rows.mean(0), rows.std(0, correction=0)
    spread = torch.where(spread > 1e-8 * spread.amax().clamp_min(1e-30), spread, torch.inf)  # what never varies is left
    weights, bias = map(torch.from_numpy, logistic_regression(((rows - mean) / spread).numpy(), labels.numpy(), c))
    weights = weights / spread
    return weights.float(), (bias - weights @ mean).float()


def choose(features: Tensor, labels: Tensor, parts: tuple[np.ndarray, np.ndarray]) -> list[Attempt]:
    """Each strength, as it does on the held-out rows when it learned from the others."""
    learned, held_out = (torch.from_numpy(rows) for rows in parts)
    attempts = []
    for c in STRENGTHS:
        weights, bias = fit(features[learned], labels[learned], c)
        logits = features[held_out] @ weights.T + bias
        accuracy = float((logits.argmax(1) == labels[held_out]).double().mean())
        attempts.append(Attempt({"c": c}, accuracy, float(F.cross_entropy(logits, labels[held_out]))))
    return attempts
