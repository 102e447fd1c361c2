"""t-SNE: embeddings laid out in two dimensions, to look at; no measure is taken from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from synthset.measures.checks import unit_vectors


def project(
    embeddings: Tensor, seed: int = 0, perplexity: float | None = None, *, num_iterations: int = 1000
) -> Tensor:
    """Places in a plane where what is near in the embeddings stays near: float32 (n, 2).

    Distances between unit vectors count, so near means a high cosine. The places start from the first two principal
    components, so that the layout as a whole means something too. Distances across the plane and the sizes of
    clusters still mean nothing. The caller chooses whom to show: beyond some thousand rows it takes minutes.

    Args:
        embeddings: (n, d), any scale, with n, d ≥ 2. Give real and synthetic embeddings in one call: places of two
            calls have nothing to do with each other.
        seed: the same seed gives the same places on one machine.
        perplexity: about how many neighbours a point keeps, above 0 and below n; None takes 30, or (n - 1) / 3
            where that is less.
        num_iterations: of the optimisation, at least 250.
    Raises:
        ValueError: fewer than two rows or columns; NaN, infinity or zeros for a row; a perplexity or a number of
            iterations outside its range.
    Reference: van der Maaten & Hinton 2008; Shipard et al. 2023, section 4.2.1.
    """
    from sklearn.manifold import TSNE

    vectors = unit_vectors(embeddings).cpu()
    n, d = vectors.shape
    if n < 2 or d < 2:
        raise ValueError(f"Expected at least two rows and two columns to lay out, got shape {(n, d)}.")
    if perplexity is None:
        perplexity = min(30.0, (n - 1) / 3)
    if not 0 < perplexity < n or not math.isfinite(perplexity):
        raise ValueError(f"Expected a perplexity above 0 and below the {n} rows, got {perplexity}.")
    if num_iterations < 250:
        raise ValueError(f"Expected at least 250 iterations, got {num_iterations}.")
    if (vectors - vectors[0]).abs().max() < 1e-12:
        return torch.zeros(n, 2)  # all in one place; there is no principal component to start from
    layout = TSNE(perplexity=perplexity, init="pca", max_iter=num_iterations, random_state=seed)
    return torch.from_numpy(layout.fit_transform(vectors.float().numpy())).float()
