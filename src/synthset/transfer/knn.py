"""The vote of the nearest training images, in the space of a backbone's features.

Neighbours vote alike, or by exp(cosine / T), as Wu et al. 2018 ("Unsupervised feature learning via non-parametric
instance discrimination", section 3.4) have it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from synthset.core.errors import ModelError
from synthset.measures.neighbours import nearest, vote
from synthset.transfer.results import Attempt

TEMPERATURES = (None, 0.07)  # votes alike, and those of Wu et al.


def classify(
    queries: Tensor, references: Tensor, labels: Tensor, k: int, temperature: float | None, device: str = "auto"
) -> tuple[Tensor, Tensor]:
    """The class of each query, int64 (n,), and its share of the votes, float32 (n,) in (0, 1].

    Args:
        queries, references: features (n, d), (m, d), of any length.
        labels: of the references, int64 (m,).
        k: neighbours; all references where there are fewer.
        temperature: T of the weights of votes; None for votes alike, of which ties go to the nearest.
    """
    found, cosines = _find(queries, references, k, device)
    return _count(labels[found], cosines, temperature)


def choose(
    features: Tensor,
    labels: Tensor,
    parts: tuple[np.ndarray, np.ndarray],
    numbers: Sequence[int],
    device: str = "auto",
) -> list[Attempt]:
    """Each number of neighbours that there can be, and temperature, as it does on the held-out rows."""
    learned, held_out = (torch.from_numpy(rows) for rows in parts)
    possible = sorted({min(k, len(learned)) for k in numbers})
    found, cosines = _find(features[held_out], features[learned], possible[-1], device)
    classes, right, attempts = labels[learned][found], labels[held_out], []
    for k in possible:
        for temperature in TEMPERATURES:
            named, _ = _count(classes[:, :k], cosines[:, :k], temperature)
            accuracy = float((named == right).double().mean())
            attempts.append(Attempt({"neighbours": k, "temperature": temperature}, accuracy))
    return attempts


def _find(queries: Tensor, references: Tensor, k: int, device: str) -> tuple[Tensor, Tensor]:
    try:
        return nearest(queries, references, min(k, len(references)), device=device)
    except ValueError as error:
        raise ModelError(
            f"Expected features that have a direction, got others ({error}). Choose another mode."
        ) from error


def _count(classes: Tensor, cosines: Tensor, temperature: float | None) -> tuple[Tensor, Tensor]:
    if temperature is None:
        named = vote(classes)
        return named, (classes == named[:, None]).float().mean(1)
    weights = ((cosines.double() - cosines[:, :1]) / temperature).exp()  # a factor of a row changes no share
    sums = torch.zeros(len(classes), int(classes.max()) + 1, dtype=torch.float64).scatter_add_(1, classes, weights)
    best, named = sums.max(1)
    return named, (best / weights.sum(1)).float()
