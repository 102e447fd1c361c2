"""The plan of a reproduction: which work, in which order, and about how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthset.findings.drawing import Draw
from synthset.findings.finding import Finding, Paper
from synthset.findings.work import Cost, Lab, Value, Work, in_order

# Seconds of a unit on two cores of an Intel Xeon (family 6, model 167), where nothing was measured yet; and on a GPU,
# by its peak: a row of Stable Diffusion 1.5 is 0.80 TFLOP, a training step of ResNet-50 at 224 px 24.6 GFLOP, an image
# through a CLIP ViT-L 162 GFLOP.
CPU_SECONDS = {"unet_rows": 1.3e-3, "trained_images": 2.5e-3, "encoded_images": 4e-3}
GPU_TFLOP = {"unet_rows": 0.80, "trained_images": 0.0246, "encoded_images": 0.162}
GPU_TFLOPS, GPU_SHARE = 312.0, 0.4  # of an A100 in bfloat16, and the share of it that is reckoned with
OVERHEAD_SECONDS = {"draw": 3.0, "train": 3.0, "tune": 2.0, "diagnose": 3.0, "transfer": 4.0, "pretrain": 3.0}


@dataclass(frozen=True)
class Experiment:
    """A finding at a scale: its figures at each seed."""

    paper: Paper
    finding: Finding
    settings: Any
    figures: tuple[Mapping[str, Value], ...]
    reason: str = ""  # why it is not measured at this scale

    @property
    def work(self) -> list[Work]:
        """What its figures are read of, seed by seed."""
        return [work for own in self.figures for value in own.values() for work in value.all_work()]


@dataclass(frozen=True)
class PlannedKind:
    """All work of a kind."""

    kind: str
    pieces: int
    done: int
    cost: Cost
    seconds: float


@dataclass(frozen=True)
class ReproductionPlan:
    """What `reproduce` would do.

    Attributes:
        findings: names of those that are measured.
        unmeasurable: by name, why others are not.
        images: to be drawn.
        device: that the estimate is for.
        seconds: about how long all that is not done takes by so many workers.
    """

    scale: str
    seeds: int
    findings: tuple[str, ...]
    unmeasurable: Mapping[str, str]
    kinds: tuple[PlannedKind, ...]
    images: int
    device: str
    seconds: float
    workers: int


def experiments_of(chosen: Iterable[tuple[Paper, Finding]], scale: str, seeds: int) -> list[Experiment]:
    """The experiments behind findings at a scale."""
    settings: dict[str, Any] = {}
    found = []
    for paper, finding in chosen:
        if paper.name not in settings:
            settings[paper.name] = paper.scales[scale]()
        own = settings[paper.name]
        reason = (finding.unmeasurable or {}).get(scale, "")
        figures = () if reason else tuple(finding.figures(own, seed) for seed in range(seeds))
        found.append(Experiment(paper, finding, own, figures, reason))
    return found


def work_of(experiments: Sequence[Experiment], seeds: int) -> list[Work]:
    """All their work in order: the first seed of all before the second of any."""
    wanted = [
        work
        for seed in range(seeds)
        for one in experiments
        if one.figures
        for value in one.figures[seed].values()
        for work in value.all_work()
    ]
    return in_order(wanted)


def seconds_by(work: Sequence[Work], lab: Lab, device: str) -> Callable[[Work], float]:
    """Estimates a piece of work: by what pieces of its kind took that are done, or else by known rates."""
    measured: dict[str, list[tuple[float, float]]] = {}
    for one in work:
        if done := lab.find(one):
            measured.setdefault(one.kind, []).append((known_seconds(one, device), done.seconds))
    factors = {
        kind: sum(took for _, took in pairs) / max(1e-9, sum(known for known, _ in pairs))
        for kind, pairs in measured.items()
    }
    return lambda one: known_seconds(one, device) * factors.get(one.kind, 1.0)


def known_seconds(work: Work, device: str) -> float:
    """By the rates above, which are of one machine."""
    amounts = vars(work.cost)
    if device == "cpu":
        return OVERHEAD_SECONDS.get(work.kind, 1.0) + sum(CPU_SECONDS[unit] * n for unit, n in amounts.items())
    return sum(GPU_TFLOP[unit] * n for unit, n in amounts.items()) / (GPU_TFLOPS * GPU_SHARE)


def rehearse(
    experiments: Sequence[Experiment], scale: str, seeds: int, folder: Path, workers: int = 1
) -> ReproductionPlan:
    """The plan of what is not done yet. Nothing is written."""
    lab, work = Lab(folder), work_of(experiments, seeds)
    device = "gpu" if scale == "paper" else "cpu"
    estimate = seconds_by(work, lab, device)
    kinds = []
    for kind in dict.fromkeys(one.kind for one in work):
        own = [one for one in work if one.kind == kind]
        left = [one for one in own if lab.find(one) is None]
        cost = sum((one.cost for one in left), Cost())
        kinds.append(PlannedKind(kind, len(own), len(own) - len(left), cost, sum(map(estimate, left))))
    counts = [one.count_of() for one in work if isinstance(one, Draw) and lab.find(one) is None]
    return ReproductionPlan(
        scale,
        seeds,
        tuple(one.finding.name for one in experiments if not one.reason),
        {one.finding.name: one.reason for one in experiments if one.reason},
        tuple(kinds),
        sum(counts),
        device,
        sum(one.seconds for one in kinds) / workers,
        workers,
    )
