"""The reference × query matrix: every pairing of image sets and prompt sets, as Table 6 of Marwood et al. 2023."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from synthset.classifiers.scoring import wilson_interval
from synthset.diagnosis.inputs import EmbeddedSet
from synthset.diagnosis.rows import Pairing
from synthset.measures.points import Pair, Points
from synthset.measures.registry import measures_of


@dataclass(frozen=True)
class MatrixAverages:
    """The last row of Table 6: means over the pairings that have all three accuracies; shares in [0, 1].

    Attributes:
        pairings, of: how many these are, and how many there are.
        knn5_better: share of these in which 5 neighbours are right more often than the nearest centroid is.
    """

    pairings: int
    of: int
    centroid_accuracy: float
    knn1_accuracy: float
    knn5_accuracy: float
    knn5_better: float


def merge_prompts(sets: Sequence[EmbeddedSet]) -> list[EmbeddedSet]:
    """The sets, those with the same prompts sharing one prompt set, whose name has the names of all.

    The paper's Disamb and Disamb2.5 have one set of prompts, so that its four sets of images make 36 pairings. Prompts
    are the same where each class has the same ones, on the same side of the split.
    """
    groups: list[list[EmbeddedSet]] = []
    for item in sets:
        own = next((group for group in groups if _same_prompts(group[0], item)), None)
        if own is None:
            groups.append([item])
        else:
            own.append(item)
    shared = {}
    for group in groups:
        prompts = group[0].prompts
        if prompts is not None:
            names = " = ".join(item.source.name for item in group)
            shared |= dict.fromkeys((item.source.name for item in group), replace(prompts, name=f"{names}-PRMT"))
    return [replace(item, prompts=shared.get(item.source.name)) for item in sets]


def merged_prompts(sets: Sequence[EmbeddedSet]) -> dict[str, list[str]]:
    """By the name of a prompt set that several sets share, the names of these."""
    users: dict[str, list[str]] = {}
    for item in sets:
        if item.prompts is not None:
            users.setdefault(item.prompts.name, []).append(item.source.name)
    return {name: names for name, names in users.items() if len(names) > 1}


def pair_sets(sets: Sequence[EmbeddedSet], seed: int = 0) -> list[Pairing]:
    """Every pairing of the images and prompts of the sets, each once; see merge_prompts() and pair_all()."""
    prompts = dict.fromkeys(item.prompts for item in sets if item.prompts is not None)
    return pair_all([*(item.images for item in sets), *prompts], seed)


def pair_all(points: Sequence[Points], seed: int = 0) -> list[Pairing]:
    """Every pairing, query by query, in the order of `points`.

    Args:
        points: image sets and prompt sets of the same k classes, each split into references and queries.
        seed: of ties between centroids.
    """
    pairs = [Pair(reference, query, seed) for query in points for reference in points]
    return [_measure(number, pair) for number, pair in enumerate(pairs, start=1)]


def average_pairings(matrix: Sequence[Pairing]) -> MatrixAverages | None:
    """Table 6's last row, and its share of pairings in which 5 neighbours do better; None where none has neighbours."""
    rows = [
        (row.centroid_accuracy, row.knn1_accuracy, row.knn5_accuracy)
        for row in matrix
        if row.knn1_accuracy is not None and row.knn5_accuracy is not None
    ]
    if not rows:
        return None
    centroid, one, five = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    better = sum(knn5 > nearest for nearest, _, knn5 in rows) / len(rows)
    return MatrixAverages(len(rows), len(matrix), centroid, one, five, better)


def _same_prompts(one: EmbeddedSet, other: EmbeddedSet) -> bool:
    if one.prompts is None or other.prompts is None or one.texts != other.texts:
        return False
    pairs = ((getattr(item, side) for item in (one.prompts, other.prompts)) for side in _SPLIT)
    return all(np.array_equal(*pair) for pair in pairs)


_SPLIT = ("labels", "is_query", "is_reference")


def _measure(experiment: int, pair: Pair) -> Pairing:
    n = int(pair.query.is_query.sum())
    values: dict[str, float | None] = {}
    for measure in measures_of("pairing"):
        value = values[measure.name] = measure.take(pair)
        if measure.interval is not None:
            bounds = (None, None) if value is None else wilson_interval(round(value * n), n)
            values |= zip(measure.interval, bounds, strict=True)
    return Pairing(experiment, pair.reference.name, pair.query.name, values, n)
