"""Which measures go with accuracy over sets, as Marwood et al. 2023 asked of the two terms of the Fréchet distance.

Accuracy is that of the real images by the set's centroids, and that of classifiers that were trained on just the
images of a set, where evaluations of such are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from synthset.classifiers.training_set import fingerprint
from synthset.diagnosis.inputs import DiagnosedSet
from synthset.diagnosis.rows import SetSummary
from synthset.measures.correlation import FEWEST, Correlation, correlate
from synthset.measures.registry import measures_of

CENTROIDS = "transfer_accuracy"  # the measure that is an accuracy itself
WORDS = {CENTROIDS: "the share of real images that is right by them"}

Accuracies = Mapping[str, Mapping[str, float]]  # by how it was tested, and by the name of the set


@dataclass(frozen=True)
class MeasureCorrelation:
    """How a measure of sets goes with an accuracy over them.

    Attributes:
        accuracy: `transfer_accuracy`, or an architecture and the real set that it was tested on.
        measure: its name, see measures/registry.py.
        found: of the synthetic sets that have both.
    """

    accuracy: str
    measure: str
    found: Correlation

    def columns(self) -> dict[str, Any]:
        """All by column, in order."""
        return {"accuracy": self.accuracy, "measure": self.measure, **asdict(self.found)}


def accuracies_of(
    sets: Sequence[DiagnosedSet], summary: Sequence[SetSummary], evaluations: Mapping[str, Mapping[str, Any]]
) -> Accuracies:
    """The accuracies that are known of the synthetic sets.

    Args:
        evaluations: as saving.read_evaluations() has them. Those of a classifier that was trained on other images, or
            of which that is not known, are left out; of several of one kind the mean is taken, as over seeds.
    """
    drawn = [row for row in summary if row.kind != "real"]
    found: dict[str, dict[str, float]] = {
        CENTROIDS: {row.set: row.transfer_accuracy for row in drawn if row.transfer_accuracy is not None}
    }
    tested = [one for one in evaluations.values() if one.get("model", {}).get("fingerprint")]
    learned_from = {fingerprint(item.images): item.name for item in sets if tested and not item.is_real}
    values: dict[tuple[str, str], list[float]] = {}
    for one in tested:
        model, name = one["model"], learned_from.get(one["model"]["fingerprint"])
        if name is not None and one.get("kind", "real") == "real":
            kind = f"{model['settings'].get('architecture', 'classifier')} on {one['real']}"
            values.setdefault((kind, name), []).append(one["accuracy"])
    for (kind, name), several in values.items():
        found.setdefault(kind, {})[name] = sum(several) / len(several)
    return found


def correlate_sets(
    sets: Sequence[DiagnosedSet], summary: Sequence[SetSummary], evaluations: Mapping[str, Mapping[str, Any]]
) -> tuple[pa.Table | None, str]:
    """The correlations as a table, and in words what they lack; see accuracies_of() and correlate_measures()."""
    accuracies = accuracies_of(sets, summary, evaluations)
    return correlation_table(correlate_measures(summary, accuracies)), say_too_few(accuracies)


def correlate_measures(summary: Sequence[SetSummary], accuracies: Accuracies) -> list[MeasureCorrelation]:
    """Every measure of sets with every accuracy that is known of at least 4 of them."""
    by_set = {row.set: row.values for row in summary}
    return [
        MeasureCorrelation(accuracy, measure.name, _correlate(by_set, measure.name, values))
        for accuracy, values in accuracies.items()
        if len(values) >= FEWEST
        for measure in measures_of("set")
        if measure.name != accuracy
    ]


def _correlate(
    by_set: Mapping[str, Mapping[str, float | None]], name: str, accuracy: Mapping[str, float]
) -> Correlation:
    known = [(by_set[item][name], value) for item, value in accuracy.items()]
    pairs = [(x, y) for x, y in known if x is not None]
    return correlate([x for x, _ in pairs], [y for _, y in pairs])


def correlation_table(found: Sequence[MeasureCorrelation]) -> pa.Table | None:
    """The correlations as a table; None where there are none."""
    schema = pa.schema(
        {"accuracy": pa.string(), "measure": pa.string(), "n": pa.int64()}
        | {name: pa.float64() for name in Correlation.__dataclass_fields__ if name != "n"}
    )
    return pa.Table.from_pylist([row.columns() for row in found], schema) if found else None


def say_too_few(accuracies: Accuracies) -> str:
    """Why there are no correlations, or not with each accuracy; empty where nothing is lacking."""
    few = {kind: len(values) for kind, values in accuracies.items() if len(values) < FEWEST}
    if not few or (len(accuracies) > 1 and few == {CENTROIDS: 0}):  # without real images classifiers have been tested
        return ""
    counts = ", ".join(f"{count} with {WORDS.get(kind, kind)}" for kind, count in few.items())
    return (
        f"A correlation of measures with accuracy takes at least {FEWEST} synthetic sets of which both are known; here "
        f"are {counts}, so none is given."
    )
