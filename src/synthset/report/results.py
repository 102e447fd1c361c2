"""Results of models on real images as a page: transfers, detectors, curves over shots; of one folder or of several."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from synthset.core.json_records import Share, read_record
from synthset.detection.pictures import PICTURE_FILE
from synthset.detection.scores import RESULTS_FILE, Scores
from synthset.report.best import Best, Scored, best_of
from synthset.report.formatting import label, percent
from synthset.report.galleries import Thumbnail, as_thumbnail
from synthset.report.parts import (
    LEGEND_ON_TOP,
    NUM_COLOURS,
    Part,
    grid_layout,
    heat_map,
    rows_layout,
    scatter,
    share_axis,
    widest,
    written_on,
)
from synthset.transfer.results import MARKER as OF_TRANSFER
from synthset.transfer.results import RESULT, Trial
from synthset.tuning.curve_results import JSON_FILE as CURVE_FILE
from synthset.tuning.curve_results import CurveMean

TRAINING_FILE = "training.json"  # that a finished detector has
MAX_PICTURE_BYTES = 6_000_000
MAX_PICTURES_BYTES = 24_000_000  # of all together; base64 adds a third
DODGE = 0.03  # of the whiskers of one number of shots, in steps between two of them
WAYS = {"finetune": "fine-tuned", "linear": "linear probe", "knn": "nearest neighbours"}

Result = TypeVar("Result")


@dataclass(frozen=True)
class SavedTransfer:
    """transfer.json, as far as it is shown; see transfer.results.TransferResult."""

    model: str
    architecture: str
    mode: str
    real: str
    seen: str
    shots: int | None
    trials: tuple[Trial, ...]
    score: Share
    low: Share
    high: Share

    def __post_init__(self) -> None:
        if not self.trials:
            raise ValueError("no trials")

    @property
    def way(self) -> str:
        """How, in words."""
        return WAYS.get(self.mode, self.mode)


@dataclass(frozen=True)
class SavedCurve:
    """curve.json, as far as it is shown; see tuning.curve_results.CurveResult."""

    format: Literal["synthset-curve-1"]
    real: str
    metric: str
    zero_shot: Share
    means: tuple[CurveMean, ...]
    clip: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    libraries: Mapping[str, Any] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """What was tried, in the order of the file."""
        return list(dict.fromkeys(mean.method for mean in self.means))

    @property
    def settings(self) -> str:
        """How each was tuned, as indented JSON."""
        return json.dumps(dict(self.config), indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class SavedDetector:
    """results.json of a detector, with its picture, which is left out where it is missing or large."""

    scores: Scores
    picture: Thumbnail | None


@dataclass(frozen=True)
class Results:
    """What lies in a folder, or in the folders in it, each by its name.

    Attributes:
        unfinished: names of folders with a transfer that was not finished.
    """

    transfers: tuple[tuple[str, SavedTransfer], ...]
    detectors: tuple[tuple[str, SavedDetector], ...]
    curves: tuple[tuple[str, SavedCurve], ...]
    unfinished: tuple[str, ...]

    @property
    def bests(self) -> list[Best]:
        """The best transfer of each way, real set and number of shots."""
        groups: dict[tuple[str, str, int | None], list[Scored]] = {}
        for name, one in self.transfers:
            groups.setdefault((one.real, one.way, one.shots), []).append(Scored(name, one.score, one.low, one.high))
        found = [
            best_of(
                f"accuracy on {real}, {way}, {'all images' if shots is None else f'{shots} images a class'}", several
            )
            for (real, way, shots), several in groups.items()
        ]
        return [one for one in found if one is not None]


def read_results_of_models(folder: Path) -> Results | None:
    """What lies in a folder and in those in it, one level down; None where there is nothing of the kind.

    Raises:
        DataError: a file is damaged.
    """
    inner = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    places = [folder] if _kinds(folder) or (folder / OF_TRANSFER).is_file() else inner
    transfers = _read_all(
        places, "transfer", lambda path: read_record(SavedTransfer, path / RESULT, _again("transfer"))
    )
    curves = _read_all(places, "curve", lambda path: read_record(SavedCurve, path / CURVE_FILE, _again("tune")))
    left, detectors = MAX_PICTURES_BYTES, []
    for name, path in [(path.resolve().name, path) for path in places if "detector" in _kinds(path)]:
        scores = read_record(Scores, path / RESULTS_FILE, _again("detect"))
        picture = _read_picture(path, min(left, MAX_PICTURE_BYTES))
        left -= len(picture.uri) if picture else 0
        detectors.append((name, SavedDetector(scores, picture)))
    open_ones = [
        path.resolve().name for path in places if (path / OF_TRANSFER).is_file() and not (path / RESULT).is_file()
    ]
    results = Results(transfers, tuple(detectors), curves, tuple(open_ones))
    return results if transfers or detectors or curves else None


def _again(command: str) -> str:
    return f"Run 'synthset {command}' again."


def _kinds(folder: Path) -> set[str]:
    marks = {"transfer": (RESULT, OF_TRANSFER), "detector": (RESULTS_FILE, TRAINING_FILE), "curve": (CURVE_FILE,)}
    return {kind for kind, names in marks.items() if all((folder / name).is_file() for name in names)}


def _read_all(places: Sequence[Path], kind: str, read: Callable[[Path], Result]) -> tuple[tuple[str, Result], ...]:
    return tuple((path.resolve().name, read(path)) for path in places if kind in _kinds(path))


def _read_picture(folder: Path, most_bytes: int) -> Thumbnail | None:
    path = folder / PICTURE_FILE
    if not path.is_file() or path.stat().st_size > most_bytes:
        return None
    return as_thumbnail(path.read_bytes(), "", path)


# ---- charts -----------------------------------------------------------------------------------------------


def build_result_figures(results: Results) -> dict[str, Part]:
    """Every chart there is data for, by the id of its element."""
    figures = {"transfers": _transfers(results.transfers), "precision": _precision(results.detectors)}
    figures |= {f"curve-{i}": _curve(curve) for i, (_, curve) in enumerate(results.curves)}
    return {name: figure for name, figure in figures.items() if figure is not None}


def _transfers(transfers: Sequence[tuple[str, SavedTransfer]]) -> Part | None:
    """Means with whiskers, and the seeds behind them as open circles."""
    if not transfers:
        return None
    names = [f"{name}, {one.way}" for name, one in transfers]
    texts = [
        f"{label(name)}: {percent(one.score)} ({percent(one.low)} to {percent(one.high)})"
        for name, (_, one) in zip(names, transfers, strict=True)
    ]
    ends = [(one.high - one.score, one.score - one.low) for _, one in transfers]
    whiskers = Part(type="data", symmetric=False, color="--accent", thickness=1.5, width=5)
    whiskers |= Part(array=[above for above, _ in ends], arrayminus=[below for _, below in ends])
    means = scatter("markers", [one.score for _, one in transfers], list(range(len(transfers))), texts)
    means |= Part(marker=Part(color="--accent", size=10), error_x=whiskers, showlegend=False)
    seeds = [(i, trial) for i, (_, one) in enumerate(transfers) if len(one.trials) > 1 for trial in one.trials]
    hints = [f"seed {trial.seed}: {percent(trial.score)}" for _, trial in seeds]
    around = scatter("markers", [trial.score for _, trial in seeds], [i for i, _ in seeds], hints)
    around |= Part(marker=Part(color="--quiet", size=6, symbol="circle-open"), showlegend=False)
    layout = rows_layout(names, [percent(one.score) for _, one in transfers])
    shown = [value for _, one in transfers for value in (one.low, one.high, *(trial.score for trial in one.trials))]
    layout["xaxis"] = share_axis(shown)
    return Part(data=[means, around], layout=layout)


def _precision(detectors: Sequence[tuple[str, SavedDetector]]) -> Part | None:
    """Average precision by class, a column a detector."""
    if not detectors:
        return None
    found = [{one.class_name: one.at_eleven for one in saved.scores.classes} for _, saved in detectors]
    classes = list(dict.fromkeys(name for one in found for name in one))
    names = [name for name, _ in detectors]
    values = [[one.get(class_name) for one in found] for class_name in classes]
    texts = [
        [f"{label(class_name)}<br>{label(name)}: {percent(value)}" for name, value in zip(names, row, strict=True)]
        for class_name, row in zip(classes, values, strict=True)
    ]
    shown = [["" if value is None else f"{100 * value:.1f}" for value in row] for row in values]
    traces = [heat_map(values, texts), *written_on(values, shown)]
    return Part(data=traces, layout=grid_layout(classes, names, 26), widest=widest(names))


def _curve(curve: SavedCurve) -> Part | None:
    """A line a method over shots with the interval of each mean, and zero-shot CLIP as a level."""
    shots = sorted({mean.shots for mean in curve.means})
    if not shots:
        return None
    traces: list[Part] = []
    for i, method in enumerate(curve.methods):
        means = sorted((mean for mean in curve.means if mean.method == method), key=lambda mean: mean.shots)
        colour = f"--series-{i % NUM_COLOURS}"
        texts = [f"{label(method)}, {mean.shots} shots: {_mean_text(mean)}" for mean in means]
        beside = (i - (len(curve.methods) - 1) / 2) * DODGE
        places = [shots.index(mean.shots) + beside for mean in means]
        trace = scatter("lines+markers", places, [mean.mean for mean in means], texts)
        above = [0 if mean.high is None else mean.high - mean.mean for mean in means]
        below = [0 if mean.low is None else mean.mean - mean.low for mean in means]
        whiskers = Part(type="data", symmetric=False, array=above, arrayminus=below, thickness=1, width=4, color=colour)
        trace |= Part(name=label(method), line=Part(color=colour, width=2), marker=Part(color=colour, size=8))
        traces.append(trace | Part(error_y=whiskers))
    ends = [0, len(shots) - 1] if len(shots) > 1 else [-0.5, 0.5]
    level = scatter("lines", ends, [curve.zero_shot] * 2, [f"zero-shot CLIP: {percent(curve.zero_shot)}"] * 2)
    traces.append(level | Part(name="zero-shot CLIP", line=Part(color="--quiet", dash="dot", width=2)))
    layout = Part(height=380, margin=Part(l=48, r=16, t=34, b=32), legend=LEGEND_ON_TOP, showlegend=True)
    layout["xaxis"] = Part(tickvals=list(range(len(shots))), ticktext=[f"{count}" for count in shots], zeroline=False)
    layout["xaxis"] |= Part(range=[-0.3, len(shots) - 0.7])
    layout["yaxis"] = share_axis(_ends(curve))
    return Part(data=traces, layout=layout)


def _ends(curve: SavedCurve) -> list[float]:
    """Values that the axis must show: of two or three seeds an interval may be wider than anything that can be."""
    scores = [curve.zero_shot, *(mean.mean for mean in curve.means)]
    spread = max(max(scores) - min(scores), 0.02)
    for mean in curve.means:
        if mean.low is not None and mean.high is not None:
            scores += [max(mean.low, mean.mean - spread), min(mean.high, mean.mean + spread)]
    return scores


def _mean_text(mean: Any) -> str:
    interval = "" if mean.low is None else f" ({percent(mean.low)} to {percent(mean.high)})"
    return f"{percent(mean.mean)}{interval}"
