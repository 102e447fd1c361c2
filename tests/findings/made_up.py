"""A reproduction with made-up figures: the declared labels of every finding, and the verdicts by their rules."""

from __future__ import annotations

import random
from statistics import fmean

from synthset.classifiers.scoring import seed_interval
from synthset.findings.plan import experiments_of
from synthset.findings.registry import find_findings
from synthset.findings.results import FindingResult, Judged, Measured, ReproductionResult
from synthset.findings.rules import verdict_of


def make_result(folder, names=("all",), *, scale="quick", seeds=3, unmeasurable=("F21",)):
    """All findings at a scale; of some it was not possible, and of F24 another rule stood before."""
    draw, found = random.Random(0), []
    for one in experiments_of(find_findings(names), scale, seeds):
        finding = one.finding
        about = (finding.name, one.paper.name, finding.source, finding.claim, finding.note, finding.unit)
        rule = finding.rule(one.settings)
        if finding.name in unmeasurable or one.reason:
            why = one.reason or "a disk that was <full> & slow"
            found.append(FindingResult(*about, finding.published, (), (), rule.text, "not measurable here", why))
            continue
        size = 0.02 if finding.name == "F26" else 1.0
        values = {
            label: [size * (place / 9 + 0.3 + draw.gauss(0, 0.05)) for _ in range(seeds)]
            for place, label in enumerate(dict.fromkeys([*one.figures[0], *rule.labels()]))
        }
        differences = rule.judge(values)
        measured = [
            Measured(label, fmean(own), *(seed_interval(own) if seeds > 1 else (None, None)), tuple(own))
            for label, own in values.items()
        ]
        earlier = (Judged("low > high", "shown"),) if finding.name == "F24" else ()
        found.append(
            FindingResult(
                *about,
                *(finding.published, tuple(measured), tuple(differences), rule.text, verdict_of(differences)),
                earlier=earlier,
            )
        )
    return ReproductionResult(folder, scale, seeds, tuple(found), ("moco on base: no space left",))
