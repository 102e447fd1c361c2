"""Measures of whole sets and of their classes, gathered from the measure families into rows of two tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.diagnosis.failure_modes import ClassMeasures, judge
from synthset.diagnosis.inputs import EmbeddedSet, Points
from synthset.measures.centroids import (
    average_cosine_similarity,
    centroid_accuracy,
    centroid_distance,
    centroid_shift,
    centroids,
    split_error,
)
from synthset.measures.coverage import precision_recall_density_coverage
from synthset.measures.frechet import frechet_distance
from synthset.measures.geometry import FEWEST, linear_separability
from synthset.measures.vendi import vendi_score_per_class

if TYPE_CHECKING:
    from torch import Tensor

VENDI_IMAGES = 1000  # a class: the score of more differs little, and costs the cube
NEIGHBOURS = 5  # of precision, recall, density and coverage, as their authors have it
COMPARED_IMAGES = 10_000  # of a set, for measures that compare every image with every other


@dataclass(frozen=True)
class SetSummary:
    """One set as a whole; None stands where a measure needs a real set, prompts, or another set.

    Attributes:
        set, kind, images: its name, "real" or "synthetic", and its number of images.
        centroid_distance: diversity, the mean over classes (Marwood et al., section 3).
        average_cosine_similarity: of its images with the centroid of their class.
        vendi_score: mean over classes of the effective number of different images.
        precision, recall, density, coverage: against the real set.
        frechet_distance, frechet_mean, frechet_covariance: to the real set, and its two terms.
        centroid_shift: from the real set, the mean over classes.
        prompt_accuracy: Centroid Accuracy of its images against its prompts (experiment 17).
        own_accuracy: the same against its own centroids (experiment 15).
        diversity_error, shift_error: the split of the error into diversity and centroid shift.
        transfer_accuracy: of real images against its centroids.
    """

    set: str
    kind: str
    images: int
    centroid_distance: float
    average_cosine_similarity: float
    vendi_score: float
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None
    frechet_distance: float | None = None
    frechet_mean: float | None = None
    frechet_covariance: float | None = None
    centroid_shift: float | None = None
    prompt_accuracy: float | None = None
    own_accuracy: float | None = None
    diversity_error: float | None = None
    shift_error: float | None = None
    transfer_accuracy: float | None = None


@dataclass(frozen=True)
class ClassRow:
    """One class of one synthetic set: what is recognised, how diverse it is, and the verdict.

    Attributes:
        real_accuracy: of real images against the set's prompts.
        synthetic_accuracy: of the set's images against its prompts.
        own_accuracy: of the set's images against its own centroids.
        transfer_accuracy: of real images against the set's centroids.
        centroid_distance, real_centroid_distance: diversity of the synthetic and of the real images.
        centroid_shift: between the centroids of the two, in [0, 2].
        verdict, explanation, remedy: see failure_modes.py.
    """

    set: str
    class_index: int
    class_name: str
    images: int
    real_accuracy: float | None
    synthetic_accuracy: float
    own_accuracy: float
    transfer_accuracy: float | None
    centroid_distance: float
    real_centroid_distance: float | None
    centroid_shift: float | None
    verdict: str
    explanation: str
    remedy: str


def summarise(item: EmbeddedSet, real: EmbeddedSet | None, seed: int = 0) -> SetSummary:
    """All measures of one set, against the real set where there is one and this is another.

    Args:
        item: the set.
        real: the real set of the diagnosis.
        seed: of the samples that stand for large sets.
    """
    images, labels = item.images.embeddings, item.images.labels
    k = len(item.source.images.class_names)
    rows = _sample(labels, VENDI_IMAGES, seed)
    measures: dict[str, Any] = {
        "centroid_distance": _mean(centroid_distance(images, labels, k)),
        "average_cosine_similarity": average_cosine_similarity(images, labels, images, labels),
        "vendi_score": _mean(vendi_score_per_class(images[rows], labels[rows], k)),
    }
    if item.prompts is not None:
        measures |= _split(item, item.prompts, seed)
    if real is not None and real is not item:
        measures |= _compare(item, real, k, seed)
    return SetSummary(set=item.source.name, kind=item.source.kind, images=len(images), **measures)


def _split(item: EmbeddedSet, prompts: Points, seed: int) -> dict[str, float]:
    """Experiments 17 and 15 of Marwood et al.: the error by prompts, and its part by diversity alone."""
    split = split_error(*item.images.queries, prompts.embeddings, prompts.labels, *item.images.references, seed=seed)
    return {
        "prompt_accuracy": 1 - split.total,
        "own_accuracy": 1 - split.diversity,
        "diversity_error": split.diversity,
        "shift_error": split.shift,
    }


def _compare(item: EmbeddedSet, real: EmbeddedSet, k: int, seed: int) -> dict[str, float]:
    """How near the set comes to the real one."""
    ours, theirs = item.images, real.images
    shift = centroid_shift(centroids(ours.embeddings, ours.labels, k), centroids(theirs.embeddings, theirs.labels, k))
    distance = frechet_distance(theirs.embeddings, ours.embeddings)
    real_part, part = (_first(points.embeddings, COMPARED_IMAGES, seed) for points in (theirs, ours))
    neighbours = min(NEIGHBOURS, len(real_part) - 1, len(part) - 1)
    spread = precision_recall_density_coverage(real_part, part, neighbours)
    return {
        "centroid_shift": _mean(shift),
        "frechet_distance": distance.total,
        "frechet_mean": distance.mean_term,
        "frechet_covariance": distance.covariance_term,
        "precision": spread.precision,
        "recall": spread.recall,
        "density": spread.density,
        "coverage": spread.coverage,
        "transfer_accuracy": centroid_accuracy(*theirs.queries, *ours.references, seed=seed).accuracy,
    }


def measure_classes(item: EmbeddedSet, real: EmbeddedSet | None, seed: int = 0) -> list[ClassRow]:
    """One row a class of a synthetic set, with its verdict.

    Where the set has no prompts, its classes' own centroids stand in for them: what is then low, is low by
    diversity alone.
    """
    class_names = item.source.images.class_names
    k = len(class_names)
    images = item.images
    prompts = images.references if item.prompts is None else (item.prompts.embeddings, item.prompts.labels)

    def accuracies(queries: tuple[Tensor, Tensor], references: tuple[Tensor, Tensor]) -> list[float]:
        return centroid_accuracy(*queries, *references, seed=seed).per_class_accuracy.tolist()

    distances = centroid_distance(images.embeddings, images.labels, k).tolist()
    synthetic, own = accuracies(images.queries, prompts), accuracies(images.queries, images.references)
    read = transfer = real_distances = shifts = None
    if real is not None:
        theirs = real.images
        read, transfer = accuracies(theirs.queries, prompts), accuracies(theirs.queries, images.references)
        real_distances = centroid_distance(theirs.embeddings, theirs.labels, k).tolist()
        ours, others = (centroids(part.embeddings, part.labels, k) for part in (images, theirs))
        shifts = centroid_shift(ours, others).tolist()
    verdicts = judge(ClassMeasures(synthetic, distances, read, transfer, real_distances))
    counts = np.bincount(item.source.images.labels, minlength=k)
    return [
        ClassRow(
            set=item.source.name,
            class_index=index,
            class_name=class_names[index],
            images=int(counts[index]),
            real_accuracy=read[index] if read else None,
            synthetic_accuracy=synthetic[index],
            own_accuracy=own[index],
            transfer_accuracy=transfer[index] if transfer else None,
            centroid_distance=distances[index],
            real_centroid_distance=real_distances[index] if real_distances else None,
            centroid_shift=shifts[index] if shifts else None,
            verdict=verdict.name,
            explanation=verdict.explanation,
            remedy=verdict.remedy,
        )
        for index, verdict in enumerate(verdicts)
    ]


def measure_separability(sets: Sequence[EmbeddedSet], seed: int = 0) -> dict[str, Any] | None:
    """Whether a plane parts all prompts from all images (Marwood et al., section 4); None for too few prompts."""
    import torch

    parts = [item.prompts.embeddings for item in sets if item.prompts is not None]
    texts = torch.cat(parts).unique(dim=0) if parts else torch.empty(0)
    if min(len(texts), sum(len(item.source) for item in sets)) < FEWEST:
        return None
    images = _first(torch.cat([item.images.embeddings for item in sets]), COMPARED_IMAGES, seed)
    found = linear_separability(texts, images, seed)
    return {
        "accuracy": found.accuracy,
        "margin": found.margin,
        "images": found.num_images,
        "texts": found.num_texts,
    }


def _mean(values: Tensor) -> float:
    return float(values.mean())


def _first(embeddings: Tensor, count: int, seed: int) -> Tensor:
    """At most `count` rows, drawn by seed."""
    if len(embeddings) <= count:
        return embeddings
    return embeddings[np.random.default_rng(seed).permutation(len(embeddings))[:count]]


def _sample(labels: Tensor, count: int, seed: int) -> np.ndarray:
    """Rows with at most `count` of each class, drawn by seed, in order."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    shuffled = shuffled[np.argsort(labels.numpy()[shuffled], kind="stable")]
    ordered = labels.numpy()[shuffled]
    rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)  # number of a row within its class
    return np.sort(shuffled[rank < count])
