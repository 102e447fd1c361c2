"""The classes of a set: their measures, the tests that they undergo, and the verdicts with the evidence for them.

All images are tested, against all prompts and all images of the other kind; against images of their own set by folds,
so that none is in a centroid that it is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from synthset.diagnosis.evidence import ERROR, MARGIN, Counts, Finding, images_needed, weigh
from synthset.diagnosis.failure_modes import ClassTests, judge
from synthset.diagnosis.inputs import EmbeddedSet
from synthset.diagnosis.rows import ClassRow, EvidenceRow
from synthset.measures.points import SetPoints
from synthset.measures.registry import measures_of

REAL = "real images by the prompts"
DRAWN = "synthetic images by the prompts"
OWN = "synthetic images by each other"
TRANSFER = "real images by the synthetic ones"


def try_classes(points: SetPoints) -> list[ClassTests]:
    """The tests of each class of a synthetic set, in order."""
    has_prompts, labels = points.prompts is not None, points.images.labels.numpy()
    counts = {}
    if has_prompts and points.real is not None:
        counts[REAL] = Counts.of(points.real_by_prompts.per_class_accuracy.numpy(), points.real.labels.numpy())
    if has_prompts:
        counts[DRAWN] = Counts.of(points.drawn_by_prompts.per_class_accuracy.numpy(), labels)
    else:
        counts[OWN] = Counts.of(points.own.per_class_accuracy.numpy(), labels, labels)
    if points.real is not None:
        accuracy, real_labels = points.transfer.per_class_accuracy.numpy(), points.real.labels.numpy()
        counts[TRANSFER] = Counts.of(accuracy, real_labels, labels)
    findings = weigh(counts)
    scatter = [(1.0, 0.0)] * points.k
    if points.real is not None:
        scatter = list(zip(*(values.tolist() for values in points.scatter), strict=True))
    rows = zip(*findings.values(), strict=True)
    named = [dict(zip(findings, row, strict=True)) for row in rows]
    return [
        ClassTests(row[DRAWN] if has_prompts else row[OWN], row.get(REAL), row.get(TRANSFER), has_prompts, ratio)
        for row, ratio in zip(named, scatter, strict=True)
    ]


def measure_classes(item: EmbeddedSet, points: SetPoints, tests: Sequence[ClassTests]) -> list[ClassRow]:
    """One row a class of a synthetic set, with its verdict."""
    columns: dict[str, list[float] | None] = {}
    for measure in measures_of("class"):
        values = measure.take(points)
        columns[measure.name] = None if values is None else [float(value) for value in values]
    counts = np.bincount(item.source.images.labels, minlength=points.k).tolist()
    verdicts = [judge(one) for one in tests]
    return [
        ClassRow(
            set=item.source.name,
            class_index=index,
            class_name=class_name,
            images=counts[index],
            values={name: None if values is None else values[index] for name, values in columns.items()},
            verdict=verdict.name,
            explanation=verdict.explanation,
            remedy=verdict.remedy,
            evidence=describe_evidence(tests[index], len(tests)),
        )
        for index, (class_name, verdict) in enumerate(zip(item.source.images.class_names, verdicts, strict=True))
    ]


def evidence_rows(item: EmbeddedSet, tests: Sequence[ClassTests]) -> list[EvidenceRow]:
    """The numbers of every test of every class."""
    names = item.source.images.class_names
    return [
        EvidenceRow(**asdict(finding), set=item.source.name, class_index=index, class_name=names[index], test=test)
        for index, one in enumerate(tests)
        for test, finding in _named(one)
    ]


def describe_evidence(tests: ClassTests, k: int) -> str:
    """The tests behind a verdict in words: those that find the class low; if none does, those that cannot tell.

    Args:
        k: classes of the set, all of which were tested.
    """
    named = _named(tests)
    found = [f"{test}: {finding}" for test, finding in named if finding.state == "low"]
    if found:
        if tests.is_uniform:
            found.append(f"they scatter {tests.scatter[0]:.0%} as far as the real ones")
        return _sentence(found)
    opened = [(test, finding) for test, finding in named if finding.state == "unresolved"]
    if opened:
        return _sentence([f"{test}: {finding}, {_lack(finding, k)}" for test, finding in opened])
    return _sentence([f"{test}: {finding}" for test, finding in named])


def _named(tests: ClassTests) -> list[tuple[str, Finding]]:
    drawn = DRAWN if tests.has_prompts else OWN
    named = ((REAL, tests.real), (drawn, tests.drawn), (TRANSFER, tests.transfer))
    return [(test, finding) for test, finding in named if finding is not None]


def _lack(finding: Finding, k: int) -> str:
    """Why a test says nothing, and from how many images on it would."""
    needed = images_needed(round(finding.others, 2), k)
    if finding.trials < needed:
        return f"too few: about {needed:,} images of each class would tell"
    if finding.p_value <= ERROR:
        return f"lower, but perhaps by less than {100 * MARGIN:.0f} points: more images would tell"
    return "which may be chance: more images would tell"


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
