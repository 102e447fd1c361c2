"""The reference × query matrix: every pairing of image sets and prompt sets, as Table 6 of Marwood et al. 2023."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthset.classifiers.scoring import wilson_interval
from synthset.diagnosis.inputs import Points
from synthset.measures.centroids import average_cosine_similarity, centroid_accuracy
from synthset.measures.neighbours import knn_accuracy


@dataclass(frozen=True)
class Pairing:
    """How well the references of one set classify the queries of another (or of the same).

    Attributes:
        experiment: number in the table, from 1.
        reference, query: names of the two, ending in -IM or -PRMT.
        centroid_accuracy: share of the queries whose nearest class centroid is their own, in [0, 1].
        low, high: its 95 % interval over the queries.
        knn1_accuracy, knn5_accuracy: share by the vote of the 1 and 5 nearest references; None where a class has
            a single query, as for sets of one prompt a class.
        average_cosine_similarity: of the query-reference pairs.
        queries: their number.
    """

    experiment: int
    reference: str
    query: str
    centroid_accuracy: float
    low: float
    high: float
    knn1_accuracy: float | None
    knn5_accuracy: float | None
    average_cosine_similarity: float
    queries: int


def pair_all(points: Sequence[Points], seed: int = 0) -> list[Pairing]:
    """Every pairing, query by query, in the order given.

    Args:
        points: image sets and prompt sets of the same k classes, each split into references and queries.
        seed: of ties between centroids.
    """
    pairs = [(reference, query) for query in points for reference in points]
    return [_pair(number, *pair, seed) for number, pair in enumerate(pairs, start=1)]


def _pair(experiment: int, reference: Points, query: Points, seed: int) -> Pairing:
    queries, labels = query.queries
    references, reference_labels = reference.references
    result = centroid_accuracy(queries, labels, references, reference_labels, seed=seed)
    low, high = wilson_interval(round(result.accuracy * len(queries)), len(queries))
    neighbours: dict[int, float] = {}
    if not query.has_single_queries:
        neighbours = knn_accuracy(queries, labels, references, reference_labels, (1, 5))
    return Pairing(
        experiment=experiment,
        reference=reference.name,
        query=query.name,
        centroid_accuracy=result.accuracy,
        low=low,
        high=high,
        knn1_accuracy=neighbours.get(1),
        knn5_accuracy=neighbours.get(5),
        average_cosine_similarity=average_cosine_similarity(queries, labels, references, reference_labels),
        queries=len(queries),
    )
