"""Reproduce: the papers' findings, each by its experiment, with a verdict by a written rule.

    findings   declarations: figures, rule, what the paper has   shipard2023.py, he2023*.py, marwood2023.py
    work       drawings, trainings, tests that they share        work.py, drawing.py, learning.py, measuring.py
    crew       the processes that do it                          crew.py
    verdicts   of paired differences over seeds                  rules.py
    results    findings.json, tables, pictures, findings.html    results.py, charts.py, page.py

Work that is done is never done again: it lies in a folder named by what it is declared as. So a run that was
interrupted goes on, and a run of more findings or seeds adds to what is there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal

from synthset.classifiers.scoring import seed_interval
from synthset.core.crew import default_workers
from synthset.core.devices import choose_device
from synthset.core.errors import ConfigChangedError, DataError, UsageError, setting
from synthset.core.files import delete_parts, is_part, write_json
from synthset.core.json_records import read_record
from synthset.core.locks import writing
from synthset.core.options import Option, check_options, with_options
from synthset.core.progress import track
from synthset.findings.crew import do_all
from synthset.findings.page import write_page
from synthset.findings.plan import Experiment, ReproductionPlan, experiments_of, rehearse, seconds_by, work_of
from synthset.findings.registry import ALL, find_findings
from synthset.findings.results import MARKER, FindingResult, Measured, ReproductionResult, with_earlier, write_results
from synthset.findings.rules import NOT_MEASURABLE, verdict_of
from synthset.findings.work import Lab, Work

log = logging.getLogger("synthset")

SCALES = {
    "miniature": "the embedded miniature and scikit-learn's handwritten digits, on a CPU",
    "paper": "the models, data sets, counts and recipes of the papers, on a GPU",
}


@dataclass(frozen=True)
class ReproduceConfig:
    """By how much work findings are looked for."""

    scale: Annotated[str, Option(choices=SCALES)] = "miniature"
    """Scale of the experiments: miniature, on the embedded model and real handwritten digits; paper, by the models,
    data sets, counts and recipes of the papers."""
    quick: bool = False
    """Fewer images, passes and networks: minutes instead of hours, and wider intervals."""
    seeds: Annotated[int, Option(at_least=1)] = 3
    """Number of seeds: each has images, initial weights and orders of its own."""
    workers: Annotated[int | None, Option(at_least=1, default="one a core, or one on a GPU")] = None
    """Processes that the work is done by, each with its share of the cores."""

    def __post_init__(self) -> None:
        check_options(self)
        if self.quick and self.scale != "miniature":
            raise UsageError(f"Expected {setting('scale', 'miniature')} with {setting('quick')}, got {self.scale}.")

    @property
    def size(self) -> str:
        """The scale, or its smaller form."""
        return "quick" if self.quick else self.scale


@dataclass(frozen=True)
class _Marker:
    """What marks the folder of a reproduction."""

    synthset_reproduction: Literal[1]
    scale: str


def reproduce(
    findings: Sequence[str] | str,
    output_dir: str | Path,
    config: ReproduceConfig | None = None,
    **options: Any,
) -> ReproductionResult:
    """Run the experiments behind findings of the papers, and judge each by its rule.

    Args:
        findings: F1 to F32, B (an appendix), those of a paper by its name (shipard2023, he2023, marwood2023), or all.
        output_dir: folder of the reproduction, which goes on there if it was interrupted.
        config: at which scale; `options` are its fields, e.g. `quick=True`.
    Raises:
        UnknownNameError: no such finding.
        UsageError: a folder that holds something else, or a scale that needs a GPU without one.
        ConfigChangedError: the folder holds a reproduction at another scale.
    What single experiments need and cannot have makes their findings "not measurable here"; the others go on.
    """
    config = with_options(config or ReproduceConfig(), options)
    folder, experiments = Path(output_dir), plan_experiments(findings, config)
    if config.scale == "paper" and choose_device("auto").type == "cpu":
        hours = rehearse(experiments, config.size, config.seeds, folder).seconds / 3600
        raise UsageError(
            f"Expected a GPU for {setting('scale', 'paper')}, about {hours:,.0f} hours of one, found none. "
            f"{setting('dry_run')} shows the plan; {setting('scale', 'miniature')} runs here."
        )
    with writing(folder):
        _claim(folder, config)
        delete_parts(folder, below=False)
        lab = Lab(folder)
        device = choose_device("auto").type
        workers = config.workers or default_workers(device)
        failed = _do(work_of(experiments, config.seeds), lab, device, workers)
        judged = with_earlier(folder, [_judge(one, lab, failed) for one in experiments])
        told = tuple(f"{work.title}: {why}" for work, why in failed.items())
        result = ReproductionResult(folder, config.size, config.seeds, _in_order(judged), told)
        write_results(result)
        write_page(folder)
    return result


def plan_reproduction(
    findings: Sequence[str] | str, output_dir: str | Path, config: ReproduceConfig
) -> ReproductionPlan:
    """What `reproduce` would do beyond what is done in `output_dir`. Nothing is written."""
    device = "gpu" if config.scale == "paper" else choose_device("auto").type
    workers = config.workers or default_workers(device)
    return rehearse(plan_experiments(findings, config), config.size, config.seeds, Path(output_dir), workers)


def plan_experiments(findings: Sequence[str] | str, config: ReproduceConfig) -> list[Experiment]:
    """The experiments that are meant. Raises UnknownNameError."""
    names = [findings] if isinstance(findings, str) else findings
    return experiments_of(find_findings(names), config.size, config.seeds)


def _do(work: Sequence[Work], lab: Lab, device: str, workers: int) -> dict[Work, str]:
    """Do all of it; gives what could not be done, and why."""
    estimate = seconds_by(work, lab, device)
    left = [one for one in work if lab.find(one) is None]
    failed: dict[Work, str] = {}
    told: set[str] = set()
    with track(round(sum(map(estimate, left))) or 1, "reproduce", "s of work") as bar:
        for ended in do_all(left, lab, workers, lambda one: bar.describe(f"{one.kind} {one.title}")):
            name = f"{ended.work.kind} {ended.work.title}"
            for warning in ended.warnings:
                if (text := f"{name}: {warning}") not in told:  # once, not for each seed
                    told.add(text)
                    log.warning("%s", text)
            if ended.error is not None:
                failed[ended.work] = ended.error
                log.warning("%s: %s", name, ended.error)
            bar.advance(round(estimate(ended.work)))
    return failed


def _judge(experiment: Experiment, lab: Lab, failed: dict[Work, str]) -> FindingResult:
    finding = experiment.finding
    rule = finding.rule(experiment.settings)
    about = (finding.name, experiment.paper.name, finding.source, finding.claim, finding.note, finding.unit)
    reason, values = experiment.reason, {}
    for label in experiment.figures[0] if experiment.figures else ():
        own = [figures[label] for figures in experiment.figures]
        lacking = [failed[work] for value in own for work in value.all_work() if work in failed]
        try:
            if not lacking:
                values[label] = tuple(value.read(lab) for value in own)
        except DataError as error:  # a figure that the work could not give
            lacking = [str(error)]
        if lacking and label in rule.labels():  # others stand beside those that the rule is about
            reason = reason or lacking[0]
    if reason:
        return FindingResult(*about, finding.published, (), (), rule.text, NOT_MEASURABLE, reason)
    differences = tuple(rule.judge(values))
    measured = tuple(_measured(label, own) for label, own in values.items())
    return FindingResult(*about, finding.published, measured, differences, rule.text, verdict_of(differences))


def _in_order(findings: Iterable[FindingResult]) -> tuple[FindingResult, ...]:
    """In that of the papers."""
    places = {finding.name: place for place, (_, finding) in enumerate(find_findings([ALL]))}
    return tuple(sorted(findings, key=lambda one: places.get(one.name, len(places))))


def _measured(label: str, values: tuple[float, ...]) -> Measured:
    low, high = seed_interval(values) if len(values) > 1 else (None, None)
    return Measured(label, fmean(values), low, high, values)


def _claim(folder: Path, config: ReproduceConfig) -> None:
    """Mark the folder as a reproduction's, or check that it is one at this scale."""
    marker, advice = folder / MARKER, f"Choose another {setting('output_dir')}."
    if marker.exists():
        recorded = read_record(_Marker, marker, f"'{folder}' may hold another. {advice}", ConfigChangedError)
        if recorded.scale != config.size:
            raise ConfigChangedError(
                f"'{folder}' holds a reproduction at the scale {recorded.scale}, not {config.size}; nothing was "
                f"changed. {advice}"
            )
    elif folder.exists() and (not folder.is_dir() or not all(map(is_part, folder.iterdir()))):
        raise UsageError(f"'{folder}' holds something else; nothing was changed. {advice}")
    else:
        write_json(marker, asdict(_Marker(1, config.size)))
