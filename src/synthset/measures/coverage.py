"""Precision, recall, density and coverage: how synthetic images lie among the real ones.

A set's manifold is taken for the balls around its images that reach to their k-th neighbours. Distances are
Euclidean between unit vectors, so they order pairs as cosines do.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synthset.measures.checks import unit_pair

BLOCK = 2048  # rows of either side compared at once: the matrix of all pairs is never held
TIE = 1e-12  # squared distances in [0, 4] that differ by less are equal: rounding makes as much


@dataclass(frozen=True)
class Coverage:
    """How two sets overlap.

    Attributes:
        precision: share of the synthetic images that lie in the ball of a real one, in [0, 1]: are they realistic?
        recall: share of the real images that lie in the ball of a synthetic one, in [0, 1]: can all be drawn?
        density: number of real balls that a synthetic image lies in, by the number expected, at least 0; about 1
            for sets from one distribution. Unlike precision it is not misled by one far-off real image.
        coverage: share of the real images whose ball holds a synthetic one, in [0, 1]. Unlike recall it is not
            misled by one far-off synthetic image.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(real: Tensor, synthetic: Tensor, num_neighbours: int = 5) -> Coverage:
    """Improved precision and recall, density and coverage of synthetic embeddings against real ones.

    Rows are scaled to length 1 first and compared in float64, on the device of the input, which holds both sets in
    float64 and one block of distances. The time grows with (n + m)².

    Args:
        real: (n, d), any scale, with more rows than `num_neighbours`.
        synthetic: (m, d), likewise; of the same encoder.
        num_neighbours: k; the balls reach to the k-th neighbour of an image in its own set, itself not counted. What
            lies on the edge lies outside.
    Raises:
        ValueError: no more rows than neighbours on one side; two dimensions; NaN, infinity or zeros for a row.
    Reference: Kynkäänniemi et al. 2019, equations 1 and 2; Naeem et al. 2020, equations 3 and 4.
    Example:
        Synthetic images that all lie between the same two real ones.

        >>> real = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [0.0, 1.0]])
        >>> synthetic = torch.tensor([[1.0, 0.05], [1.0, 0.08], [1.0, 0.07]])
        >>> precision_recall_density_coverage(real, synthetic, 1)
        Coverage(precision=1.0, recall=0.0, density=2.0, coverage=0.5)
    """
    x, y = unit_pair(real, synthetic, ("real embeddings", "synthetic embeddings"))
    if num_neighbours < 1:
        raise ValueError(f"Expected at least 1 neighbour, got {num_neighbours}.")
    real_radii = _squared_radii(x, num_neighbours, "real")
    synthetic_radii = _squared_radii(y, num_neighbours, "synthetic")
    in_a_real_ball = torch.zeros(len(y), dtype=torch.bool, device=x.device)
    in_a_synthetic_ball, covered = torch.zeros(2, len(x), dtype=torch.bool, device=x.device)
    pairs_in_real_balls = 0
    for i in range(0, len(x), BLOCK):
        rows = slice(i, i + BLOCK)
        for j in range(0, len(y), BLOCK):
            columns = slice(j, j + BLOCK)
            distances = _squared_distances(x[rows], y[columns])
            inside = distances < real_radii[rows, None] - TIE
            pairs_in_real_balls += int(inside.sum())
            in_a_real_ball[columns] |= inside.any(0)
            covered[rows] |= inside.any(1)
            in_a_synthetic_ball[rows] |= (distances < synthetic_radii[None, columns] - TIE).any(1)
    precision, recall, coverage = (
        int(hits.sum()) / len(hits) for hits in (in_a_real_ball, in_a_synthetic_ball, covered)
    )
    return Coverage(precision, recall, pairs_in_real_balls / (num_neighbours * len(y)), coverage)


def _squared_radii(x: Tensor, num_neighbours: int, name: str) -> Tensor:
    """Squared distance of each row to its k-th neighbour, itself not counted: (n,)."""
    n = len(x)
    if n <= num_neighbours:
        raise ValueError(
            f"Expected more than {num_neighbours} {name} embeddings for as many neighbours, got {n}. "
            "Take fewer neighbours or more images."
        )
    radii = []
    for i in range(0, n, BLOCK):
        rows = x[i : i + BLOCK]
        nearest = x.new_empty((len(rows), 0))
        for j in range(0, n, BLOCK):
            distances = _squared_distances(rows, x[j : j + BLOCK])
            if i == j:
                distances.fill_diagonal_(torch.inf)  # its distance to itself
            few = min(num_neighbours, distances.shape[1])
            candidates = torch.cat([nearest, distances.topk(few, largest=False, sorted=False).values], 1)
            nearest = candidates.topk(min(num_neighbours, candidates.shape[1]), largest=False, sorted=False).values
        radii.append(nearest.amax(1))
    return torch.cat(radii)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x - y|² = 2 - 2 cos between all pairs of unit vectors: (n, m)."""
    return (x @ y.T).mul_(-2).add_(2)
