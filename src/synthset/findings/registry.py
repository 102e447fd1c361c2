"""The findings of all papers, by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from synthset.core.errors import UnknownNameError
from synthset.findings import he2023, marwood2023, shipard2023
from synthset.findings.finding import Finding, Paper

SCALES = ("miniature", "quick", "paper")
ALL = "all"


@cache
def papers() -> tuple[Paper, ...]:
    """The papers, in the order of their findings."""
    return (shipard2023.PAPER, he2023.PAPER, marwood2023.PAPER)


def find_findings(names: Sequence[str]) -> list[tuple[Paper, Finding]]:
    """The findings that are meant, in order: of their names, those of papers, or all. Raises UnknownNameError."""
    wanted: set[str] = set()
    everything = [(paper, finding) for paper in papers() for finding in paper.findings]
    known = {finding.name.lower(): {finding.name} for _, finding in everything}
    known |= {paper.name: {finding.name for finding in paper.findings} for paper in papers()}
    known[ALL] = {finding.name for _, finding in everything}
    for name in names:
        if name.lower() not in known:
            raise UnknownNameError("finding", name, ["F1", "…", "F32", "B", *(paper.name for paper in papers()), ALL])
        wanted |= known[name.lower()]
    return [pair for pair in everything if pair[1].name in wanted]
