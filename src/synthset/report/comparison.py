"""A comparison as a page: what its files say, and its charts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthset.classifiers.facts import ModelFacts, read_facts
from synthset.comparison.results import CurveForecast, Growth, SavedComparison, curve_points, read_results
from synthset.comparison.summary import ComparisonRow, main_rows
from synthset.comparison.trials import ALL, Cell
from synthset.report.formatting import LONGEST_LABEL, label, percent
from synthset.report.parts import LEGEND_ON_TOP, NUM_COLOURS, Part, rows_layout, scatter, share_axis

MAX_CHART_ROWS = 100  # the table has all
MAX_CURVES = NUM_COLOURS
SHORTEST_VIEW = 10  # characters of a view's name beside a chart


@dataclass(frozen=True)
class HeldOut:
    """A forecast from smaller numbers of images beside what was measured then."""

    curve: CurveForecast
    images_per_class: int
    low: float
    high: float
    measured: float

    @property
    def is_inside(self) -> bool:
        """Whether the band holds what was measured."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Attributes:
        rows: all images of each view, and the equal budget; those of learning curves are in `saved` alone.
        varied: which of "architecture" and "real" tell rows apart.
        models: view, and the facts of its classifier of the first seed that learned from all images.
    """

    saved: SavedComparison
    rows: tuple[ComparisonRow, ...]
    varied: tuple[str, ...]
    models: tuple[tuple[str, ModelFacts], ...]

    @property
    def views(self) -> list[str]:
        """Names of what is compared."""
        return list(dict.fromkeys(row.view for row in self.rows))

    @property
    def shares_noise(self) -> bool:
        """Whether some images were drawn on the noise of the first view's."""
        return any(row.same_noise is not None for row in self.rows)

    @property
    def seeds(self) -> int:
        """Number of trainings behind a mean."""
        return max(row.seeds for row in self.rows)

    @property
    def reals(self) -> list[str]:
        """Names of the real sets."""
        return list(dict.fromkeys(row.real for row in self.rows))

    @property
    def held_out(self) -> list[HeldOut]:
        """Each forecast of a number that was tried too."""
        return [
            HeldOut(curve, one.images_per_class, one.low, one.high, found[one.images_per_class].score)
            for curve in self.saved.forecasts
            for found in [curve_points(curve, self.saved.rows)]
            for one in curve.held_out
            if one.images_per_class in found
        ]

    @property
    def job(self) -> str:
        """What was varied and how each was trained, as indented JSON."""
        return json.dumps(self.saved.job, indent=2, ensure_ascii=False)


def read_comparison(folder: Path) -> Comparison:
    """Read the folder of a comparison. Raises DataError if it is not finished, or a file is damaged."""
    saved = read_results(folder)
    rows = tuple(main_rows(saved.rows))
    varied = tuple(name for name in ("architecture", "real") if len({getattr(row, name) for row in saved.rows}) > 1)
    places = dict.fromkeys((row.view, row.architecture) for row in rows)
    models = [(view, read_facts(folder / Cell(view, ALL, architecture, 0).folder)) for view, architecture in places]
    return Comparison(saved, rows, varied, tuple((view, facts) for view, facts in models if facts is not None))


def build_comparison_figures(comparison: Comparison) -> dict[str, Part]:
    """Every chart there is data for, by the id of its element."""
    figures = {"scores": _scores(comparison), "curves": _curves(comparison)}
    return {name: figure for name, figure in figures.items() if figure is not None}


def _scores(comparison: Comparison) -> Part:
    """Means with whiskers, a row each; the equal budget in a colour of its own."""
    rows = comparison.rows[:MAX_CHART_ROWS]
    names = [_named(row, comparison.varied, f"{row.images:,} images") for row in rows]
    traces = []
    for title, colour, is_whole in (("all its images", "--accent", True), ("equal budget", "--real", False)):
        own = [i for i, row in enumerate(rows) if (row.budget == ALL) == is_whole]
        if not own:
            continue
        texts = [f"{label(names[i])}: {_interval(rows[i])}" for i in own]
        ends = [(rows[i].high - rows[i].score, rows[i].score - rows[i].low) for i in own]
        whiskers = Part(type="data", symmetric=False, color=colour, thickness=1.5, width=5)
        whiskers |= Part(array=[above for above, _ in ends], arrayminus=[below for _, below in ends])
        trace = scatter("markers", [rows[i].score for i in own], own, texts)
        traces.append(trace | Part(name=title, marker=Part(color=colour, size=10), error_x=whiskers))
    layout = rows_layout(names, [percent(row.score) for row in rows])
    layout["xaxis"] = share_axis([end for row in rows for end in (row.low, row.high)])
    if len(traces) > 1:
        layout["height"] += 30  # for the legend
        layout["margin"] |= Part(t=34)
    return Part(data=traces, layout=layout | Part(legend=LEGEND_ON_TOP, showlegend=len(traces) > 1))


def _curves(comparison: Comparison) -> Part | None:
    """Scores over images a class, and beyond the last of each its forecast with a band."""
    curves = comparison.saved.forecasts[:MAX_CURVES]
    if not curves:
        return None
    traces, counts = [], set()
    for i, curve in enumerate(curves):
        name, colour = label(_named(curve, comparison.varied)), f"--series-{i}"
        found = curve_points(curve, comparison.saved.rows)
        last = list(found)[-1]
        counts |= {*found, *(one.images_per_class for one in curve.further)}
        texts = [f"{name}: {count:,} images a class<br>{_interval(row)}" for count, row in found.items()]
        measured = scatter("lines+markers", list(found), [row.score for row in found.values()], texts)
        line = Part(color=colour, width=2)
        traces.append(measured | Part(name=name, line=line, marker=Part(color=colour, size=8), legendgroup=name))
        ahead = [last, *(one.images_per_class for one in curve.further)]
        texts = ["", *(f"{name}: {one.images_per_class:,} images a class<br>{_band(one)}" for one in curve.further)]
        scores = [found[last].score, *(one.score for one in curve.further)]
        dashed = scatter("lines", ahead, scores, texts) | Part(line=line | Part(dash="dash"))
        band = [found[last].score, *(one.high for one in curve.further)]
        band += [one.low for one in reversed(curve.further)]
        around = scatter("lines", [*ahead, *reversed(ahead[1:])], band, []) | Part(hoverinfo="skip", opacity=0.18)
        around |= Part(fill="toself", fillcolor=colour, line=Part(width=0))
        traces += [part | Part(showlegend=False, legendgroup=name) for part in (around, dashed)]
    layout = Part(height=400, margin=Part(l=48, r=16, t=34, b=32), legend=LEGEND_ON_TOP, showlegend=True)
    ticks = _apart(sorted(counts))
    x_axis = Part(type="log", tickvals=ticks, ticktext=[f"{count:,}" for count in ticks])
    x_axis |= Part(range=[math.log10(ticks[0]) - 0.06, math.log10(max(counts)) + 0.06])  # in powers of ten
    layout["xaxis"] = x_axis
    layout["yaxis"] = Part(tickformat=".1~%", nticks=7)
    return Part(data=traces, layout=layout)


def _apart(counts: Sequence[int]) -> list[int]:
    """Those that can be written on a logarithmic axis without running into each other."""
    span, kept = counts[-1] / counts[0], [counts[0]]
    for count in counts[1:]:
        if count / kept[-1] >= span ** (1 / 18):
            kept.append(count)
    return kept


def _named(one: ComparisonRow | CurveForecast | Growth, varied: Sequence[str], *further: str) -> str:
    """A name beside a chart, cut where it tells least: numbers of images are at its end."""
    rest = "".join(f", {part}" for part in (*(getattr(one, name) for name in varied), *further))
    room = max(LONGEST_LABEL - len(rest), SHORTEST_VIEW)
    return f"{one.view if len(one.view) <= room else one.view[: room - 1] + '…'}{rest}"


def _interval(row: ComparisonRow) -> str:
    return f"{percent(row.score)} ({percent(row.low)} to {percent(row.high)})"


def _band(one: Any) -> str:
    return f"forecast {percent(one.score)} ({percent(one.low)} to {percent(one.high)})"
