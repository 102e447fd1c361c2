"""Findings in words: figures and differences in their unit, the paper's beside ours, and which difference decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from synthset.findings.results import FindingResult, Measured
from synthset.findings.rules import CONTRADICTED, NOT_MEASURABLE, NOT_SHOWN, SHOWN, Difference

VERDICTS = (SHOWN, NOT_SHOWN, CONTRADICTED, NOT_MEASURABLE)
NOTHING = "–"


@dataclass(frozen=True)
class Beside:
    """A figure of a finding: the paper's and ours, where there are both."""

    label: str
    published: float | None
    measured: Measured | None


def side_by_side(finding: FindingResult) -> list[Beside]:
    """The figures of a finding by label: those that were measured, then those that only the paper has."""
    published = {one.label: one.value for one in finding.published}
    rows = [Beside(one.label, published.pop(one.label, None), one) for one in finding.measured]
    return rows + [Beside(label, value, None) for label, value in published.items()]


def deciding(finding: FindingResult) -> Difference | None:
    """The difference behind a verdict: the first that has it; None where nothing was measured."""
    return next((one for one in finding.differences if one.verdict == finding.verdict), None)


def count_verdicts(findings: Sequence[FindingResult]) -> dict[str, int]:
    """How many findings there are of each verdict that is there."""
    counts = {verdict: sum(one.verdict == verdict for one in findings) for verdict in VERDICTS}
    return {verdict: count for verdict, count in counts.items() if count}


def count_seeds(findings: Sequence[FindingResult]) -> str:
    """Over how many seeds the figures are: "3 seeds", "1 to 3 seeds"."""
    counts = sorted({len(item.values) for one in findings for item in one.measured}) or [0]
    least = f"{counts[0]} to " if len(counts) > 1 else ""
    return f"{least}{counts[-1]} {'seed' if counts[-1] == 1 else 'seeds'}"


def figure(value: float | None, unit: str) -> str:
    """A figure in its unit.

    >>> figure(0.4341, "percent"), figure(2.05e-5, "number"), figure(None, "number")
    ('43.4 %', '2.05e-05', '–')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{100 * value:.1f} %" if unit == "percent" else f"{value:.3g}"


def difference(value: float, unit: str) -> str:
    """A difference with its sign: of shares in points.

    >>> difference(0.0213, "percent"), difference(-0.5, "number")
    ('+2.1', '-0.5')
    """
    return f"{100 * value:+.1f}" if unit == "percent" else f"{value:+.3g}"


def interval(item: Measured | Difference, unit: str) -> str:
    """The 95 % interval of a figure or difference, without what stands behind a number; empty of one seed.

    >>> interval(Difference("a - b", 0.02, 0.01, 0.03, "shown"), "percent")
    '+1.0 to +3.0'
    """
    if item.low is None or item.high is None:
        return ""
    ends = (item.low, item.high)
    if isinstance(item, Difference):
        return " to ".join(difference(end, unit) for end in ends)
    return " to ".join(figure(end, unit).removesuffix(" %") for end in ends)
