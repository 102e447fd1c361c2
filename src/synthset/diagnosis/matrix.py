"""The reference × query matrix: every pairing of image sets and prompt sets, as Table 6 of Marwood et al. 2023."""

from __future__ import annotations

from collections.abc import Sequence

from synthset.classifiers.scoring import wilson_interval
from synthset.diagnosis.rows import Pairing
from synthset.measures.points import Pair, Points
from synthset.measures.registry import measures_of


def pair_all(points: Sequence[Points], seed: int = 0) -> list[Pairing]:
    """Every pairing, query by query, in the order of `points`.

    Args:
        points: image sets and prompt sets of the same k classes, each split into references and queries.
        seed: of ties between centroids.
    """
    pairs = [Pair(reference, query, seed) for query in points for reference in points]
    return [_measure(number, pair) for number, pair in enumerate(pairs, start=1)]


def _measure(experiment: int, pair: Pair) -> Pairing:
    n = int(pair.query.is_query.sum())
    values: dict[str, float | None] = {}
    for measure in measures_of("pairing"):
        value = values[measure.name] = measure.take(pair)
        if measure.interval is not None:
            bounds = (None, None) if value is None else wilson_interval(round(value * n), n)
            values |= zip(measure.interval, bounds, strict=True)
    return Pairing(experiment, pair.reference.name, pair.query.name, values, n)
