"""Which classes will fail on real images, why, and what to change: the first thing in the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synthset.report.formatting import is_number
from synthset.report.reading import Diagnosis, SetInfo

FINE = "fine"
MAX_EVIDENCE = 20  # classes of a group whose evidence stands beside it; classes.csv has all
TOO_FEW = "too few images to tell"
# How a verdict is coloured, the gravest first; the words themselves come from the tables.
TONES = {
    "CLIP misreads the prompt": "bad",
    "generator cannot draw it": "bad",
    "synthetic concept is shifted": "shift",
    "synthetic images differ from real ones": "shift",
    "too little diversity": "mild",
    "synthetic images are not recognised": "unclear",
    "synthetic images mix with other classes": "unclear",
    TOO_FEW: "unclear",
    FINE: "fine",
}


@dataclass(frozen=True)
class Ailing:
    """The classes of one set that share a verdict."""

    set: str
    class_names: tuple[str, ...]
    evidence: tuple[tuple[str, str], ...]  # of each class, in words; none where an earlier version wrote none


@dataclass(frozen=True)
class Finding:
    """A verdict and its remedy, said once for all sets, and whose classes have it."""

    verdict: str
    explanation: str
    remedy: str
    sets: tuple[Ailing, ...]


@dataclass(frozen=True)
class SetVerdicts:
    """One synthetic set: how many classes are fine, in need, and too few images to tell of."""

    info: SetInfo
    summary: dict[str, Any] | None  # its row of summary.parquet
    num_classes: int
    num_fine: int
    num_open: int

    @property
    def num_in_need(self) -> int:
        """Classes that a test finds worse than the others."""
        return self.num_classes - self.num_fine - self.num_open


def order_by_need(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of classes.parquet with the gravest verdicts first, then the least recognised real images."""
    rank = {verdict: i for i, verdict in enumerate(TONES)}

    def need(row: dict[str, Any]) -> tuple[float, ...]:
        accuracies = (row["real_accuracy"], row["synthetic_accuracy"])
        # a verdict of a later version is neither the gravest nor fine; what was not measured comes last
        gravity = rank.get(row["verdict"], rank[FINE] - 0.5)
        return (gravity, *(value if is_number(value) else 2.0 for value in accuracies))

    return sorted(rows, key=need)


def count_verdicts(diagnosis: Diagnosis, rows: Sequence[dict[str, Any]]) -> list[SetVerdicts]:
    """For each synthetic set how its classes fare, from rows of classes.parquet."""
    summaries = {row["set"]: row for row in diagnosis.summary.to_pylist()}
    results = []
    for info in diagnosis.info.sets:
        own = [row["verdict"] for row in rows if row["set"] == info.name]
        if own and not info.is_real:
            counts = (len(own), own.count(FINE), own.count(TOO_FEW))
            results.append(SetVerdicts(info, summaries.get(info.name), *counts))
    return results


def find_ailments(diagnosis: Diagnosis, rows: Sequence[dict[str, Any]]) -> list[Finding]:
    """Each verdict but `fine` with its classes by set, from the ordered rows of classes.parquet."""
    order = {info.name: i for i, info in enumerate(diagnosis.info.sets)}
    groups: dict[tuple[str, str, str], dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        if row["verdict"] != FINE:
            key = (row["verdict"], row["explanation"] or "", row["remedy"] or "")
            groups.setdefault(key, {}).setdefault(row["set"], []).append(row)
    return [
        Finding(*key, tuple(_ailing(name, sets[name]) for name in sorted(sets, key=lambda name: order.get(name, 0))))
        for key, sets in groups.items()
    ]


def tone(verdict: str) -> str:
    """The colour of a verdict, as a class of the style sheet."""
    return TONES.get(verdict, "unclear")


def _ailing(name: str, members: list[dict[str, Any]]) -> Ailing:
    evidence = tuple((row["class_name"], row["evidence"]) for row in members[:MAX_EVIDENCE] if row["evidence"])
    return Ailing(name, tuple(row["class_name"] for row in members), evidence)
