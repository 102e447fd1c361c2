"""Results of a curve over shots: every tuning, and means with intervals over seeds; and its files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from synthset.classifiers.scoring import seed_interval
from synthset.core.files import write_json, write_text
from synthset.core.options import job_of
from synthset.core.versions import library_versions
from synthset.encoders.clip import Encoder
from synthset.tuning.config import TuneConfig

FORMAT = "synthset-curve-1"
JSON_FILE, CSV_FILE = "curve.json", "curve.csv"


@dataclass(frozen=True)
class CurvePoint:
    """One tuned classifier on the test part.

    Attributes:
        method: "real + synthetic", "real", or the name of a method that they are compared with.
        score: accuracy, or its mean over classes where the field uses that, in [0, 1].
        n: test images.
    """

    method: str
    shots: int
    seed: int
    score: float
    accuracy: float
    n: int


@dataclass(frozen=True)
class CurveMean:
    """A method at one number of shots: the mean over seeds, and its 95 % interval, None for a single seed."""

    method: str
    shots: int
    seeds: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class CurveResult:
    """Scores over shots.

    Attributes:
        real: name of the real set.
        metric: accuracy or mean_per_class.
        zero_shot: the score of zero-shot CLIP on the same test part.
    """

    folder: Path
    real: str
    metric: str
    zero_shot: float
    points: tuple[CurvePoint, ...]
    means: tuple[CurveMean, ...]

    @property
    def top_1_means(self) -> tuple[CurveMean, ...]:
        """The means of accuracy over images, which the papers report on every set."""
        return summarise([replace(point, score=point.accuracy) for point in self.points])


def summarise(points: Sequence[CurvePoint]) -> tuple[CurveMean, ...]:
    """The mean over seeds of each method and number of shots, with its interval (t distribution)."""
    groups: dict[tuple[str, int], list[float]] = {}
    for point in points:
        groups.setdefault((point.method, point.shots), []).append(point.score)
    means = []
    for (method, shots), scores in groups.items():
        low, high = seed_interval(scores) if len(scores) > 1 else (None, None)
        means.append(CurveMean(method, shots, len(scores), sum(scores) / len(scores), low, high))
    return tuple(means)


def write_curve(curve: CurveResult, config: TuneConfig, encoder: Encoder) -> None:
    """Write curve.csv, then curve.json, into the curve's folder.

    Args:
        config: of all tunings, but for shots and seed.
        encoder: the CLIP that was tuned.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(CurvePoint)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(point) for point in curve.points)
    write_text(curve.folder / CSV_FILE, text.getvalue())
    note = {
        "format": FORMAT,
        **asdict(curve),
        "clip": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "config": {name: value for name, value in job_of(config).items() if name not in ("shots", "seed")},
        "libraries": library_versions(),
    }
    del note["folder"]
    write_json(curve.folder / JSON_FILE, note)
