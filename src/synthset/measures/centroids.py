"""Measures by class centroids: how diverse a class is, how well centroids classify, how far they have shifted.

All of Marwood et al. 2023, section 3 and appendix A. The centroid of a class is the unit vector along the sum of
its unit vectors; codiff(x, y) = 1 - cos(x, y), in [0, 2]. Every function takes embeddings of any scale and computes
in float64, on the device of its input.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synthset.measures.checks import check_classes, check_embeddings, check_labels, check_pair, unit_blocks, unit_pair

TIE = 1e-12  # cosines that differ by less are equal: the same product by another order of sums differs by as much
COSINES_AT_ONCE = 2**22  # of queries to centroids, so that memory does not grow with their product
CANCELLED = 1e-9  # a mean of unit vectors that is shorter has no direction but rounding


@dataclass(frozen=True, eq=False)
class CentroidAccuracy:
    """How the class centroids of a reference set classify a query set.

    Attributes:
        accuracy: share of the queries whose nearest centroid is that of their class, in [0, 1].
        per_class_accuracy: the same by class of the query, float64 (k,).
        predicted: class of the nearest centroid of each query, int64 (n,).
    """

    accuracy: float
    per_class_accuracy: Tensor
    predicted: Tensor


@dataclass(frozen=True)
class ErrorSplit:
    """The error of classifying synthetic images by their prompts, in two parts; total = diversity + shift.

    Attributes:
        total: share of the images that are nearest to another class's prompts, in [0, 1] (experiment 17).
        diversity: share nearest to another class's images, though these come from the same distribution, so that
            only their spread can be the reason, in [0, 1] (experiment 15).
        shift: the rest, in [-1, 1]: the cost of prompts that lie elsewhere than the images. Negative where
            prompts separate the classes better than the images' own centroids do.
    """

    total: float
    diversity: float
    shift: float


def centroids(embeddings: Tensor, labels: Tensor, k: int | None = None) -> Tensor:
    """The centroid of each class: unit vectors, float64 (k, d).

    Args:
        embeddings: (n, d), any scale.
        labels: class index of each row, int64 (n,), 0..k-1.
        k: number of classes; where None, the highest label counts as the last class.
    Raises:
        ValueError: a class without a row or whose rows cancel out; NaN, infinity or zeros for a row.
    Reference: Marwood et al. 2023, section 3: M_c = uvec(Σ_i uvec(e_i)).
    Example:
        >>> centroids(torch.tensor([[2.0, 0.0], [0.0, 5.0], [0.0, -1.0]]), torch.tensor([0, 0, 1]))
        tensor([[ 0.7071,  0.7071],
                [ 0.0000, -1.0000]], dtype=torch.float64)
    """
    check_embeddings(embeddings)
    k = check_labels(labels, len(embeddings), k)
    labels = labels.to(embeddings.device)
    sums = torch.zeros(k, embeddings.shape[1], dtype=torch.float64, device=embeddings.device)
    for rows, block in unit_blocks(embeddings):
        sums.index_add_(0, labels[rows], block)
    means = sums / torch.bincount(labels, minlength=k)[:, None]
    lengths = torch.linalg.vector_norm(means, dim=1, keepdim=True)
    if (lengths < CANCELLED).any():
        raise ValueError(f"Expected a direction for each class, the rows of class {int(lengths.argmin())} cancel out.")
    return means / lengths


def centroid_distance(embeddings: Tensor, labels: Tensor, k: int | None = None) -> Tensor:
    """Mean squared cosine complement from each class's centroid: the diversity of a class.

    The measure of a set is the mean over its classes.

    Args:
        embeddings, labels, k: as for centroids().
    Returns:
        float64 (k,) in [0, 4], unitless; higher is more diverse, 0 where all images of a class coincide.
    Raises:
        ValueError: as centroids().
    Reference: Marwood et al. 2023, section 3: Distance_c = Σ_i codiff(e_i, M_c)² / n_c.
    Example:
        Two vectors at right angles are 45° from their centroid: (1 - √½)² = 0.0858.

        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [3.0, 3.0]])
        >>> print([f"{distance:.4f}" for distance in centroid_distance(embeddings, torch.tensor([0, 0, 1, 1]))])
        ['0.0858', '0.0000']
    """
    centres = centroids(embeddings, labels, k)
    labels = labels.to(embeddings.device)
    squares = _codiff_to_own(embeddings, labels, centres).square()
    totals = torch.bincount(labels, minlength=len(centres))
    return torch.zeros_like(centres[:, 0]).index_add_(0, labels, squares) / totals


def centroid_distance_error(embeddings: Tensor, labels: Tensor, k: int | None = None) -> Tensor:
    """Standard error of each class's Centroid Distance: how far it would be off with other images of the same kind.

    The infinitesimal jackknife, √(Σ_i I_i²) / n_c, where I_i is the influence of image i: on the mean of the squares,
    codiff(e_i, M_c)² - Distance_c, and on it through the centroid that it moves.

    Args, Raises: as of centroids().
    Returns:
        float64 (k,), at least 0; 0 for a class of one image, of which nothing is known.
    Reference: Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", chapter 6.
    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [3.0, 3.0]])
        >>> print([f"{error:.4f}" for error in centroid_distance_error(embeddings, torch.tensor([0, 0, 1, 1]))])
        ['0.0000', '0.0000']
    """
    centres = centroids(embeddings, labels, k)
    labels = labels.to(embeddings.device)
    totals = torch.bincount(labels, minlength=len(centres)).double()
    errors = []
    for label, (centre, total) in enumerate(zip(centres, totals.tolist(), strict=True)):
        own = torch.cat([block for _, block in unit_blocks(embeddings[labels == label])])
        cosines = own @ centre
        squares = (1 - cosines).square()
        across = own - cosines[:, None] * centre  # tangent to the sphere at the centroid
        slope = -2 * ((1 - cosines)[:, None] * across).mean(0)  # of the distance, by where the centroid lies
        influence = squares - squares.mean() + across @ slope / cosines.mean()
        errors.append(influence.square().sum().sqrt() / total)
    return torch.stack(errors)


def centroid_accuracy(
    queries: Tensor, query_labels: Tensor, references: Tensor, reference_labels: Tensor, *, seed: int = 0
) -> CentroidAccuracy:
    """Classify each query by the nearest class centroid of the references.

    With one prompt a class as references this is zero-shot classification. Where several centroids are nearest, as
    for two classes with one prompt, one of them is drawn at random from `seed`, as the paper has it.

    Args:
        queries: (n, d), any scale.
        query_labels: int64 (n,), 0..k-1, each class at least once.
        references: (m, d), any scale; of the same encoder.
        reference_labels: int64 (m,), 0..k-1, each class at least once.
        seed: of the ties.
    Raises:
        ValueError: as centroids(); a class without a query; embeddings of two dimensions.
    Reference: Marwood et al. 2023, appendix A: CA(Q, R) = Σ_q Z(q, R) / |Q|.
    Example:
        >>> prompts, images = torch.eye(2), torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]])
        >>> result = centroid_accuracy(images, torch.tensor([0, 0, 1]), prompts, torch.tensor([0, 1]))
        >>> print(f"{result.accuracy:.3f}", result.per_class_accuracy.tolist(), result.predicted.tolist())
        0.667 [1.0, 0.0] [0, 0, 0]
    """
    centres, query_labels = _compare(queries, query_labels, references, reference_labels)
    return _count(_nearest(queries, centres, seed), query_labels, len(centres))


def cross_fitted_accuracy(embeddings: Tensor, labels: Tensor, folds: Tensor, *, seed: int = 0) -> CentroidAccuracy:
    """Classify every row by the nearest class centroid of the rows in the other folds.

    So each row is a query once, and in no centroid that it is compared with.

    Args:
        embeddings: (n, d), any scale.
        labels: int64 (n,), 0..k-1.
        folds: int64 (n,), the fold of each row; each class has rows in two folds or more.
        seed: of the ties.
    Raises:
        ValueError: as centroids(); a class whose rows are all in one fold.
    Example:
        >>> rows, labels = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.2]]), torch.tensor([0, 0, 1, 1])
        >>> cross_fitted_accuracy(rows, labels, torch.tensor([0, 1, 0, 1])).predicted.tolist()
        [0, 0, 1, 0]
    """
    k = check_labels(labels, len(embeddings))
    predicted = torch.zeros_like(labels)
    for fold in folds.unique().tolist():
        is_query = folds == fold
        centres = centroids(embeddings[~is_query], labels[~is_query], k)
        predicted[is_query] = _nearest(embeddings[is_query], centres, seed + fold)
    return _count(predicted, labels, k)


def average_cosine_similarity(
    queries: Tensor, query_labels: Tensor, references: Tensor, reference_labels: Tensor
) -> float:
    """Mean cosine of each query with the centroid of its own class among the references, in [-1, 1].

    The paper says "query-reference embedding pairs" and leaves open which. Its figures tell. Let L be the mean
    cosine of the points of one set with their own centroids, which is the length of the mean of its unit vectors.
    Then for points of one class (points, centroid of others) = L · (centroid, centroid of others), so each
    reversed pairing is predicted by L. For single references this rules out means over all pairs, which would be
    the same both ways: experiments 29 and 36 give 0.699 and 0.796, and 0.796 · L = 0.699 with L = 0.878 of
    experiment 30. It rules out the nearest centroid, which would be nearer for the many queries that are
    misclassified: in experiment 23 those are 37.6 %, and still 0.2314 is 0.2720 (34) · 0.8518 (22) = 0.2317.

    Args, Raises: as of centroid_accuracy().
    Reference: Marwood et al. 2023, appendix A and Table 6, last column.
    Example:
        >>> images, prompts = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.eye(2)
        >>> print(f"{average_cosine_similarity(images, torch.tensor([0, 1]), prompts, torch.tensor([0, 1])):.3f}")
        0.800
    """
    centres, query_labels = _compare(queries, query_labels, references, reference_labels)
    return 1 - float(_codiff_to_own(queries, query_labels, centres).mean())


def centroid_shift(a: Tensor, b: Tensor) -> Tensor:
    """How far the class centroids of two sets lie apart: float64 (k,) in [0, 2], 0 where they coincide.

    Args:
        a, b: one vector a class, (k, d), any scale, in the same order of classes; see centroids().
    Raises:
        ValueError: unlike shapes; NaN, infinity or zeros for a row.
    Reference: Marwood et al. 2023, section 3, reason 3: codiff(r1, r2) = 1 - uvec(r1) · uvec(r2).
    Example:
        >>> real, synthetic = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 0.0], [3.0, 4.0]])
        >>> centroid_shift(real, synthetic)
        tensor([0.0000, 0.2000], dtype=torch.float64)
    """
    one, other = unit_pair(a, b, ("centroids of a", "centroids of b"))
    if len(one) != len(other):
        raise ValueError(f"Expected centroids of the same classes, got {len(one)} and {len(other)}.")
    return _codiff(one, other)


def split_error(
    images: Tensor,
    labels: Tensor,
    prompts: Tensor,
    prompt_labels: Tensor,
    own_references: Tensor,
    own_labels: Tensor,
    *,
    seed: int = 0,
) -> ErrorSplit:
    """Split the error of synthetic images against their prompts into diversity and centroid shift.

    Only the centroids change between the two tests, so what remains of the error when the images' own centroids
    stand in for the prompts is due to diversity, and the difference to centroid shift.

    Args:
        images, labels: synthetic images as queries, see centroid_accuracy().
        prompts, prompt_labels: references of the total error.
        own_references, own_labels: other images from the same distribution: an image in both would find itself.
        seed: of ties.
    Raises:
        ValueError: as centroid_accuracy().
    Reference: Marwood et al. 2023, section 3, reason 3: experiments 17 (25.1 %) and 15 (18.0 %) of Table 3.
    Example:
        The classes lie apart, but their prompts are swapped.

        >>> images, labels = torch.eye(2), torch.tensor([0, 1])
        >>> split_error(images, labels, torch.eye(2), torch.tensor([1, 0]), images * 2, labels)
        ErrorSplit(total=1.0, diversity=0.0, shift=1.0)
    """
    total = 1 - centroid_accuracy(images, labels, prompts, prompt_labels, seed=seed).accuracy
    diversity = 1 - centroid_accuracy(images, labels, own_references, own_labels, seed=seed).accuracy
    return ErrorSplit(total, diversity, total - diversity)


def _compare(
    queries: Tensor, query_labels: Tensor, references: Tensor, reference_labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Centroids of the references (k, d) and the queries' labels, both beside the queries, all checked."""
    check_pair(queries, references, ("queries", "references"))
    k = check_classes(query_labels, len(queries), reference_labels, len(references))
    return centroids(references, reference_labels, k).to(queries.device), query_labels.to(queries.device)


def _nearest(queries: Tensor, centres: Tensor, seed: int) -> Tensor:
    """The class of the nearest of the centroids (k, d) to each query: int64 (n,)."""
    # one number a query, drawn before any blocks, so that the block size cannot change who wins a tie
    draws = torch.rand(len(queries), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    draws = draws.to(queries.device)
    at_once = max(1, COSINES_AT_ONCE // len(centres))
    nearest = []
    for rows, block in unit_blocks(queries, "queries"):
        pairs = zip(block.split(at_once), draws[rows].split(at_once), strict=True)
        nearest += [_choose_nearest(some @ centres.T, own) for some, own in pairs]
    return torch.cat(nearest)


def _count(predicted: Tensor, labels: Tensor, k: int) -> CentroidAccuracy:
    """Shares of the queries that are right, of all and of each class."""
    correct = predicted == labels
    hits, totals = torch.bincount(labels[correct], minlength=k), torch.bincount(labels, minlength=k)
    return CentroidAccuracy(int(correct.sum()) / len(labels), hits.double() / totals, predicted)


def _choose_nearest(cosines: Tensor, draws: Tensor) -> Tensor:
    """The column of the highest cosine in each row: int64 (n,); of several, the one that `draws` in [0, 1) picks."""
    tied = cosines >= cosines.amax(1, keepdim=True) - TIE
    rank = (draws * tied.sum(1)).long()  # 0-based, among the tied
    return (tied.cumsum(1) > rank[:, None]).int().argmax(1)


def _codiff_to_own(embeddings: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """codiff of each row with the centroid of its class: (n,)."""
    return torch.cat([_codiff(block, centres[labels[rows]]) for rows, block in unit_blocks(embeddings)])


def _codiff(one: Tensor, other: Tensor) -> Tensor:
    """1 - cos between the rows of unit vectors, as ½|x - y|², which does not cancel where they nearly coincide."""
    return (one - other).square().sum(1) / 2
