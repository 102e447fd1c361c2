"""A finding of a paper as a declaration: what is measured, what the paper measured, and the rule of the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from synthset.findings.rules import Rule
from synthset.findings.work import Value

Unit = Literal["percent", "number"]
Figures = Callable[[Any, int], Mapping[str, Value]]
"""What is measured at a scale and a seed, by label."""
RuleAt = Callable[[Any], Rule]
"""The rule of a verdict at a scale."""


@dataclass(frozen=True)
class Published:
    """A figure of the paper: shares in [0, 1], as all of ours."""

    label: str
    value: float


@dataclass(frozen=True)
class Finding:
    """A finding, and the experiment that looks for it.

    Attributes:
        name: F1 to F32.
        claim: what the paper found, in a sentence.
        source: where it stands.
        published: the paper's figures.
        figures: what is measured at a scale and a seed, by label.
        rule: of the verdict, at a scale.
        unit: of the figures: shares are shown in percent.
        note: what a reader must know of the experiment beside its rule.
        unmeasurable: by name of a scale, why it cannot be measured there.
    """

    name: str
    claim: str
    source: str
    published: tuple[Published, ...]
    figures: Figures
    rule: RuleAt
    unit: Unit = "percent"
    note: str = ""
    unmeasurable: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Paper:
    """A paper's findings, and the scales at which its experiments are run.

    Attributes:
        name: as its recipes have it, e.g. shipard2023.
        title: authors, year, title.
        scales: by name, what makes the settings of its experiments there.
    """

    name: str
    title: str
    scales: Mapping[str, Callable[[], Any]]
    findings: tuple[Finding, ...]


def shares(*percent: tuple[str, float]) -> tuple[Published, ...]:
    """Figures of a paper in percent, by label."""
    return tuple(Published(label, value / 100) for label, value in percent)


def published(*figures: tuple[str, float]) -> tuple[Published, ...]:
    """Figures of a paper, by label."""
    return tuple(Published(*figure) for figure in figures)
