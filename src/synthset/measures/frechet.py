"""The Fréchet distance between two sets of embeddings, with its two terms apart.

Marwood et al. 2023 take CLIP embeddings for it in place of Inception's, and find that the first term, the distance
of the means, goes with accuracy, and the second does not; so both are reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from synthset.measures.checks import ROWS, check_pair, unit_blocks


@dataclass(frozen=True)
class FrechetDistance:
    """The squared Fréchet distance between the Gaussians fitted to two sets; total = mean_term + covariance_term.

    Attributes:
        total: at least 0, which it is where means and covariances are the same.
        mean_term: |μx - μy|², at least 0.
        covariance_term: tr(Σx + Σy - 2 (Σx Σy)^½), at least 0.
        rows_a_dimension: rows of the smaller set, divided by d. Below 1 its covariance is singular, and the distance
            says mostly how few rows there are.
    """

    total: float
    mean_term: float
    covariance_term: float
    rows_a_dimension: float


def frechet_distance(x: Tensor, y: Tensor, *, normalise: bool = True) -> FrechetDistance:
    """Squared Fréchet distance between two sets of embeddings, as "FID" reports it, in float64.

    tr (Σx Σy)^½ is the sum of the singular values of Rx Ryᵀ, where Rx and Ry are triangular with Σx = Rxᵀ Rx and
    Σy = Ryᵀ Ry. So no covariance is formed and no root of one taken, and the result is as exact for fewer rows than
    columns, where both covariances are singular. Covariances are unbiased (by n - 1), as they are in other
    implementations. With few rows the distance is biased upwards: compare it between sets of one size only.

    Args:
        x: (n, d) with n ≥ 2.
        y: (m, d) with m ≥ 2; of the same encoder.
        normalise: whether rows are scaled to length 1 first, which is how CLIP compares them. False takes them as
            they are, for features with a length that means something.
    Raises:
        ValueError: fewer than two rows on one side; two dimensions; NaN or infinity; zeros for a row where rows
            are normalised.
    Reference: Heusel et al. 2017, equation 6; Marwood et al. 2023, section 3, who print the first term without its
        square. It is squared here, as in the distance that they name.
    Example:
        The same cloud, moved by 3 along one axis.

        >>> x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
        >>> distance = frechet_distance(x, x + torch.tensor([3.0, 0.0]), normalise=False)
        >>> print(f"{distance.mean_term:.3f} {distance.covariance_term:.3f} {distance.total:.3f}")
        9.000 0.000 9.000
    """
    check_pair(x, y, ("x", "y"))
    mean_x, root_x = _moments(x, "x", normalise)
    mean_y, root_y = _moments(y, "y", normalise)
    mean_term = float((mean_x - mean_y).square().sum())
    traces = root_x.square().sum() + root_y.square().sum()
    trace_of_root = torch.linalg.svdvals(root_x @ root_y.T).sum()
    covariance_term = max(0.0, float(traces - 2 * trace_of_root))  # equal covariances differ by rounding
    rows_a_dimension = min(len(x), len(y)) / x.shape[1]
    return FrechetDistance(mean_term + covariance_term, mean_term, covariance_term, rows_a_dimension)


def _moments(embeddings: Tensor, name: str, normalise: bool) -> tuple[Tensor, Tensor]:
    """The mean (d,) and a triangular root R of the covariance, (min(n, d), d) with Σ = Rᵀ R, both float64."""
    n = len(embeddings)
    if n < 2:
        raise ValueError(f"Expected at least two rows in {name}, as one has no covariance, got {n}.")
    total = embeddings.new_zeros(embeddings.shape[1], dtype=torch.float64)
    for block in _blocks(embeddings, name, normalise):
        total += block.sum(0)
    mean = total / n
    root = embeddings.new_empty((0, embeddings.shape[1]), dtype=torch.float64)
    for block in _blocks(embeddings, name, normalise):  # R of all rows so far, so that no more than a block is held
        root = torch.linalg.qr(torch.cat([root, block - mean]), mode="r").R
    return mean, root / (n - 1) ** 0.5


def _blocks(embeddings: Tensor, name: str, normalise: bool) -> Iterator[Tensor]:
    """The rows in float64, some at a time."""
    if normalise:
        return (block for _, block in unit_blocks(embeddings, name))
    return (block.double() for block in embeddings.split(ROWS))
