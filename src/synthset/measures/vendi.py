"""The Vendi score: how many different images a set amounts to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from synthset.measures.checks import check_embeddings, check_labels, unit_blocks


def vendi_score(embeddings: Tensor, order: float = 1.0) -> float:
    """The effective number of different rows, by cosine: in [1, min(n, d)].

    1 where all rows point the same way; n where all are at right angles. It is the exponential of the entropy of
    the eigenvalues of K / n, with K the n × n cosines. Those that are not 0 are also the eigenvalues of XᵀX / n,
    which is d × d, so the smaller of the two matrices is taken: both give the same score.

    Args:
        embeddings: (n, d), any scale.
        order: q of the Rényi entropy, 0 or more: 1 is Shannon's; more counts common features only, less counts
            rare ones too; 0 is the rank, `math.inf` the inverse of the largest eigenvalue.
    Raises:
        ValueError: NaN, infinity or zeros for a row; an order below 0.
    Reference: Friedman & Dieng 2022, definition 3.1; for other orders Pasarkar & Dieng 2023.
    Example:
        >>> f"{vendi_score(torch.eye(3)):.3f}", f"{vendi_score(torch.ones(3, 2)):.3f}"
        ('3.000', '1.000')
    """
    if not order >= 0:  # NaN too
        raise ValueError(f"Expected an order of 0 or more, got {order}.")
    check_embeddings(embeddings)
    eigenvalues = _eigenvalues(embeddings)
    if order == 1:
        return math.exp(float(-(eigenvalues * eigenvalues.log()).sum()))
    if order == math.inf:
        return 1 / float(eigenvalues.max())
    return float(eigenvalues.pow(order).sum()) ** (1 / (1 - order))


def vendi_score_per_class(embeddings: Tensor, labels: Tensor, k: int | None = None, order: float = 1.0) -> Tensor:
    """The Vendi score of the rows of each class: float64 (k,), each in [1, number of its rows].

    Args:
        embeddings, order: as for vendi_score().
        labels: class index of each row, int64 (n,), 0..k-1.
        k: number of classes; where None, the highest label counts as the last class.
    Raises:
        ValueError: as vendi_score(); a class without a row.
    Example:
        >>> vendi_score_per_class(torch.eye(3), torch.tensor([0, 0, 1]))
        tensor([2., 1.], dtype=torch.float64)
    """
    check_embeddings(embeddings)
    k = check_labels(labels, len(embeddings), k)
    labels = labels.to(embeddings.device)
    scores = [vendi_score(embeddings[labels == label], order) for label in range(k)]
    return torch.tensor(scores, dtype=torch.float64)


def _eigenvalues(embeddings: Tensor) -> Tensor:
    """Eigenvalues of K / n above rounding, summing to 1: float64, at most min(n, d) of them."""
    n, d = embeddings.shape
    if n <= d:
        rows = torch.cat([block for _, block in unit_blocks(embeddings)])
        matrix = rows @ rows.T
    else:
        matrix = embeddings.new_zeros((d, d), dtype=torch.float64)
        for _, block in unit_blocks(embeddings):
            matrix += block.T @ block
    eigenvalues = torch.linalg.eigvalsh(matrix / n)
    # what rounding left of a 0 would count as a feature at orders near 0
    noise = len(matrix) * torch.finfo(torch.float64).eps * eigenvalues.max()
    eigenvalues = eigenvalues[eigenvalues > noise]
    return eigenvalues / eigenvalues.sum()
