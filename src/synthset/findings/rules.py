"""Rules of a verdict: from the figures of the seeds to shown, not shown, or contradicted.

Every rule is about differences that are paired by seed, with Student's 95 % interval over the seeds. Beyond zero on the
finding's side it is shown, beyond zero on the other side contradicted; an interval that holds zero shows nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Literal

from synthset.classifiers.scoring import seed_interval

Verdict = Literal["shown", "not shown", "contradicted", "not measurable here"]
SHOWN, NOT_SHOWN, CONTRADICTED, NOT_MEASURABLE = "shown", "not shown", "contradicted", "not measurable here"
Figures = Mapping[str, Sequence[float]]
"""By label, the figure of each seed, in order."""


@dataclass(frozen=True)
class Difference:
    """A difference over seeds; `low` and `high` are its 95 % interval, None of one seed."""

    label: str
    mean: float
    low: float | None
    high: float | None
    verdict: Verdict


class Rule(ABC):
    """What the figures must be like for a finding to be shown."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The rule in words, as results keep it."""

    @abstractmethod
    def labels(self) -> Iterator[str]:
        """Figures that it reads."""

    @abstractmethod
    def judge(self, figures: Figures) -> list[Difference]:
        """Its differences, each with a verdict of its own."""


def verdict_of(differences: Sequence[Difference]) -> Verdict:
    """Of all together: shown if each is, contradicted if one is."""
    verdicts = {one.verdict for one in differences}
    if CONTRADICTED in verdicts:
        return "contradicted"
    return "shown" if verdicts == {SHOWN} else "not shown"


def _over_seeds(label: str, values: Sequence[float]) -> Difference:
    """A difference that shall be above zero."""
    if len(values) < 2:
        return Difference(label, fmean(values), None, None, "not shown")
    low, high = seed_interval(values)
    verdict: Verdict = "shown" if low > 0 else "contradicted" if high < 0 else "not shown"
    return Difference(label, fmean(values), low, high, verdict)


@dataclass(frozen=True)
class Higher(Rule):
    """One figure is higher than another."""

    this: str
    than: str

    @property
    def text(self) -> str:
        """In words."""
        return f"{self.this} > {self.than}"

    def labels(self) -> Iterator[str]:
        """Both."""
        yield from (self.this, self.than)

    def judge(self, figures: Figures) -> list[Difference]:
        """Their difference."""
        values = [a - b for a, b in zip(figures[self.this], figures[self.than], strict=True)]
        return [_over_seeds(f"{self.this} - {self.than}", values)]


@dataclass(frozen=True)
class Above(Rule):
    """A figure is above a number."""

    this: str
    number: float

    @property
    def text(self) -> str:
        """In words."""
        return f"{self.this} > {self.number:g}"

    def labels(self) -> Iterator[str]:
        """The figure."""
        yield self.this

    def judge(self, figures: Figures) -> list[Difference]:
        """How far it is above."""
        return [_over_seeds(f"{self.this} - {self.number:g}", [value - self.number for value in figures[self.this]])]


@dataclass(frozen=True)
class Alike(Rule):
    """Two figures are the same up to a margin: the whole interval of their difference lies within it."""

    this: str
    that: str
    within: float

    @property
    def text(self) -> str:
        """In words."""
        return f"{self.this} = {self.that} within {self.within:g}"

    def labels(self) -> Iterator[str]:
        """Both."""
        yield from (self.this, self.that)

    def judge(self, figures: Figures) -> list[Difference]:
        """Their difference; contradicted where it is beyond the margin."""
        values = [a - b for a, b in zip(figures[self.this], figures[self.that], strict=True)]
        found, margin = _over_seeds(f"{self.this} - {self.that}", values), self.within
        if found.low is None or found.high is None:
            return [found]
        is_within = -margin < found.low and found.high < margin
        is_beyond = found.low > margin or found.high < -margin
        verdict: Verdict = "shown" if is_within else "contradicted" if is_beyond else "not shown"
        return [Difference(found.label, found.mean, found.low, found.high, verdict)]


@dataclass(frozen=True)
class Every(Rule):
    """Several rules together."""

    rules: tuple[Rule, ...]

    @property
    def text(self) -> str:
        """In words."""
        return "; ".join(rule.text for rule in self.rules)

    def labels(self) -> Iterator[str]:
        """Of all."""
        yield from dict.fromkeys(label for rule in self.rules for label in rule.labels())

    def judge(self, figures: Figures) -> list[Difference]:
        """Of all."""
        return [one for rule in self.rules for one in rule.judge(figures)]


def rising(*labels: str) -> Rule:
    """Each figure is higher than the one before."""
    return Every(tuple(Higher(later, earlier) for earlier, later in pairwise(labels)))


def best(this: str, *others: str) -> Rule:
    """One figure is higher than each of the others."""
    return Every(tuple(Higher(this, other) for other in others))
