"""The points that measures are taken of: images and prompts as labelled vectors, and what several measures share.

A measure is a function of one `SetPoints` or `Pair`. Results that several measures share are computed here, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from synthset.measures.centroids import (
    CentroidAccuracy,
    ErrorSplit,
    average_cosine_similarity,
    centroid_accuracy,
    centroid_distance,
    centroid_distance_error,
    centroid_shift,
    centroids,
    cross_fitted_accuracy,
    split_error,
)
from synthset.measures.coverage import Coverage, precision_recall_density_coverage
from synthset.measures.frechet import FrechetDistance, frechet_distance
from synthset.measures.geometry import hold_out
from synthset.measures.neighbours import knn_accuracy
from synthset.measures.vendi import vendi_score_per_class

VENDI_IMAGES = 1000  # a class: the score of more differs little, and costs the cube
FEWEST_SCATTERED = 10  # images of a class whose scatter says something
FOLDS = 5  # of a class's images: each is classified by the centroids of the others
NEIGHBOURS = 5  # of precision, recall, density and coverage, as their authors have it
COMPARED_IMAGES = 10_000  # of a set, for measures that compare every image with every other


@dataclass(frozen=True, eq=False)
class Points:
    """Labelled unit vectors in CLIP space: the images (-IM) or the distinct prompts (-PRMT) of one set.

    Attributes:
        name: the set's, with its suffix.
        embeddings: (n, d) unit rows.
        labels: (n,) int64.
        is_query, is_reference: (n,) bool, each row one of the two; the only row of a class is both.
    """

    name: str
    embeddings: Tensor
    labels: Tensor
    is_query: Tensor
    is_reference: Tensor

    @property
    def all(self) -> tuple[Tensor, Tensor]:
        """Embeddings and labels."""
        return self.embeddings, self.labels

    @property
    def queries(self) -> tuple[Tensor, Tensor]:
        """Embeddings and labels of the evaluation part."""
        return self.embeddings[self.is_query], self.labels[self.is_query]

    @property
    def references(self) -> tuple[Tensor, Tensor]:
        """Embeddings and labels of the part that queries are compared with."""
        return self.embeddings[self.is_reference], self.labels[self.is_reference]

    @property
    def has_single_queries(self) -> bool:
        """Whether a class has but one query, too few for neighbours to vote on (Marwood et al., Table 6)."""
        return bool((self.labels[self.is_query].bincount() <= 1).any())


def split_points(name: str, embeddings: Tensor, labels: np.ndarray, query_share: float, seed: int) -> Points:
    """Points with `query_share` of each class for queries, drawn by `seed`, and the others as references.

    Marwood et al. take references from a set's training split and queries from an independent evaluation split.
    """
    held = hold_out(labels, query_share, np.random.default_rng(seed))
    is_alone = np.bincount(labels)[labels] == 1
    return Points(name, embeddings, *map(torch.from_numpy, (labels, held | is_alone, ~held)))


def split_prompts(
    name: str, embeddings: Tensor, labels: np.ndarray, prompt_of_image: np.ndarray, images: Points
) -> Points:
    """Distinct prompts as points, each on the side of the image that it drew; one that drew several on both sides.

    So a set with one prompt a class has it as reference and as query, and a set with a prompt for each image has the
    prompts of the images that are references as references, as Marwood et al. have their training split.

    Args:
        embeddings: (m, d) unit rows.
        labels: int64 (m,), of the prompts.
        prompt_of_image: int64 (n,), row of each image's prompt; -1 for none.
        images: n of them, split.
    """
    known = prompt_of_image >= 0
    is_shared = np.bincount(prompt_of_image[known], minlength=len(labels)) > 1
    sides = []
    for is_there in (images.is_query, images.is_reference):
        side = is_shared.copy()
        side[prompt_of_image[known & is_there.numpy()]] = True
        side |= np.bincount(labels, side)[labels] == 0  # of a class that has none there, all are
        sides.append(torch.from_numpy(side))
    return Points(name, embeddings, torch.from_numpy(labels), *sides)


@dataclass(frozen=True, eq=False)
class SetPoints:
    """One set, and the real set that it is compared with.

    Attributes:
        images: of the set.
        prompts: of the set; None where it has none.
        real: images of the real set; None where there is none, or this is it.
        k: number of classes, the same in all three.
        seed: of ties, and of the samples that stand for large sets.
        features: of the images and of the real ones, (n, d) and (m, d), as a backbone beside the encoder has them.
    """

    images: Points
    prompts: Points | None
    real: Points | None
    k: int
    seed: int = 0
    features: tuple[Tensor, Tensor] | None = None

    @property
    def others(self) -> Points:
        """The real images, for measures that are taken where there are some."""
        assert self.real is not None
        return self.real

    @cached_property
    def distances(self) -> Tensor:
        """Centroid Distance of each class: (k,)."""
        return centroid_distance(*self.images.all, self.k)

    @property
    def similarity(self) -> float:
        """Mean cosine of the images with the centroid of their class."""
        return average_cosine_similarity(*self.images.all, *self.images.all)

    @cached_property
    def vendi_scores(self) -> Tensor:
        """Vendi score of each class: (k,)."""
        rows = sample_each_class(self.images.labels, VENDI_IMAGES, self.seed)
        return vendi_score_per_class(self.images.embeddings[rows], self.images.labels[rows], self.k)

    @cached_property
    def error_split(self) -> ErrorSplit:
        """The error of two pairings of the matrix: of images by prompts, and by their own centroids. Needs prompts."""
        assert self.prompts is not None
        return split_error(*Pair(self.prompts, self.images).sides, *self.images.references, seed=self.seed)

    @property
    def transfer_accuracy(self) -> float:
        """The accuracy of a pairing of the matrix: of real images by the set's. Needs a real set."""
        return Pair(self.images, self.others, self.seed).accuracy

    @cached_property
    def drawn_by_prompts(self) -> CentroidAccuracy:
        """All images, classified by the centroids of all prompts. Needs prompts."""
        assert self.prompts is not None
        return centroid_accuracy(*self.images.all, *self.prompts.all, seed=self.seed)

    @cached_property
    def real_by_prompts(self) -> CentroidAccuracy:
        """All real images, classified by the centroids of all prompts. Needs prompts and a real set."""
        assert self.prompts is not None
        return centroid_accuracy(*self.others.all, *self.prompts.all, seed=self.seed)

    @cached_property
    def own(self) -> CentroidAccuracy:
        """All images, each classified by the centroids of images in other folds."""
        folds = fold_each_class(self.images.labels, FOLDS, self.seed)
        return cross_fitted_accuracy(*self.images.all, folds, seed=self.seed)

    @cached_property
    def transfer(self) -> CentroidAccuracy:
        """All real images, classified by the centroids of all images. Needs a real set."""
        return centroid_accuracy(*self.others.all, *self.images.all, seed=self.seed)

    @cached_property
    def scatter(self) -> tuple[Tensor, Tensor]:
        """The images' Centroid Distance as a share of the real images', and the error of its logarithm: each (k,).

        A centroid lies nearer to the n images that it is made of than to others, which makes the distance (1 - 1/n)²
        of what many images have: that is made good here. The error of one distance is far too small where the images
        happen to lie close, so that of all classes together is taken, of the set that has more; it is infinite for
        fewer than `FEWEST_SCATTERED` images. Needs a real set.
        """
        ratio, inverse, relative, fewest = torch.ones(self.k), torch.zeros(self.k), 0.0, torch.inf
        for points, distances, power in ((self.images, self.distances, 1), (self.others, self.real_distances, -1)):
            n = points.labels.bincount(minlength=self.k).double()
            ratio = ratio * (distances / (1 - 1 / n).square()) ** power
            inverse = inverse + 1 / n
            fewest = n.clamp(max=fewest)
            spread = (n * centroid_distance_error(*points.all, self.k).square()).mean().sqrt() / distances.mean()
            relative = max(relative, float(spread.nan_to_num()))  # of images that are all one, there is none
        return ratio, torch.where(fewest < FEWEST_SCATTERED, torch.inf, relative * inverse.sqrt())

    @cached_property
    def real_distances(self) -> Tensor:
        """Centroid Distance of each class of the real set: (k,). Needs a real set."""
        return centroid_distance(*self.others.all, self.k)

    @cached_property
    def shifts(self) -> Tensor:
        """Distance of the centroids of each class: (k,). Needs a real set."""
        return centroid_shift(centroids(*self.images.all, self.k), centroids(*self.others.all, self.k))

    @cached_property
    def frechet(self) -> FrechetDistance:
        """Fréchet distance to the real set in two terms. Needs a real set."""
        return frechet_distance(self.others.embeddings, self.images.embeddings)

    @cached_property
    def backbone_frechet(self) -> FrechetDistance:
        """The same between features of a backbone, whose lengths mean something. Needs features."""
        assert self.features is not None
        images, real = self.features
        return frechet_distance(real, images, normalise=False)

    @cached_property
    def coverage(self) -> Coverage:
        """Precision, recall, density and coverage against the real set. Needs a real set."""
        sets = (self.others, self.images)
        real, images = (sample_rows(points.embeddings, COMPARED_IMAGES, self.seed) for points in sets)
        return precision_recall_density_coverage(real, images, min(NEIGHBOURS, len(real) - 1, len(images) - 1))


@dataclass(frozen=True, eq=False)
class Pair:
    """A pairing of the reference × query matrix: the references of one classify the queries of the other."""

    reference: Points
    query: Points
    seed: int = 0

    @cached_property
    def sides(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries and their labels, references and theirs."""
        return *self.query.queries, *self.reference.references

    @property
    def accuracy(self) -> float:
        """Share of the queries whose nearest centroid of references is their own."""
        return centroid_accuracy(*self.sides, seed=self.seed).accuracy

    @property
    def similarity(self) -> float:
        """Mean cosine of the queries with the centroid of references of their class."""
        return average_cosine_similarity(*self.sides)

    @cached_property
    def neighbour_accuracy(self) -> dict[int, float]:
        """Share of the queries classified right by 1 and by 5 neighbours; empty where a class has but one query."""
        return {} if self.query.has_single_queries else knn_accuracy(*self.sides, (1, 5))


def sample_rows(embeddings: Tensor, count: int, seed: int) -> Tensor:
    """At most `count` rows, drawn by seed."""
    if len(embeddings) <= count:
        return embeddings
    return embeddings[np.random.default_rng(seed).permutation(len(embeddings))[:count]]


def fold_each_class(labels: Tensor, folds: int, seed: int) -> Tensor:
    """The fold of each row, int64 (n,), 0..folds-1: the rows of each class shared out evenly, as drawn by seed."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return torch.from_numpy(_rank_in_class(labels.numpy(), shuffled) % folds)


def sample_each_class(labels: Tensor, count: int, seed: int) -> np.ndarray:
    """Rows with at most `count` of each class, drawn by seed, in order."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return np.flatnonzero(_rank_in_class(labels.numpy(), shuffled) < count)


def _rank_in_class(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The number of each row within its class, int64 (n,), where rows are counted in this order."""
    grouped = order[np.argsort(labels[order], kind="stable")]
    ordered = labels[grouped]
    ranks = np.empty(len(labels), np.int64)
    ranks[grouped] = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    return ranks
