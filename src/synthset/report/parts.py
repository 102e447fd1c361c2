"""Parts of charts that several have: traces and axes, as plotly's plain dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from synthset.report.formatting import LONGEST_LABEL, label

Part = dict[str, Any]  # a figure or a part of one: plotly's options by name

ROW_PX = 34
CHARACTER_PX = 7
MAX_NAMED = 60
RAMP = [[i / 4, f"--ramp-{i}"] for i in range(5)]
NUM_COLOURS = 10  # of the style sheet, --series-0 and on
LEGEND_ON_TOP = Part(orientation="h", x=0, y=1, yanchor="bottom")


def scatter(mode: str, x: Sequence[float], y: Sequence[float], texts: Sequence[str]) -> Part:
    """Points or a line, with a hover text each."""
    return Part(type="scatter", mode=mode, x=x, y=y, text=texts, hoverinfo="text")


def bar(rows: Sequence[Part], column: str, write: Callable[[Any], str], colour: str, suffix: str = "") -> Part:
    """A bar a row; its length is the value of the column, and the set's name with `suffix` its hover text."""
    texts = [write(row[column]) for row in rows]
    hints = [f"{label(row['set'])}{suffix}: {text}" for row, text in zip(rows, texts, strict=True)]
    trace = Part(type="bar", orientation="h", x=[row[column] for row in rows], y=list(range(len(rows))))
    return trace | Part(marker=Part(color=colour), text=texts, hoverinfo="text", hovertext=hints)


def line_across(x: float, line: Part) -> Part:
    """A line over the whole height at x."""
    return Part(type="line", x0=x, x1=x, y0=0, y1=1, line=line)


def heat_map(values: list[list[float | None]], texts: list[list[str]]) -> Part:
    """Shares in [0, 1] as colours, with a hover text each."""
    key = Part(tickformat=".0%", thickness=10, len=1, outlinewidth=0)
    trace = Part(type="heatmap", z=values, zmin=0, zmax=1, colorscale=RAMP, xgap=1, ygap=1, colorbar=key)
    return trace | Part(hovertext=texts, hoverinfo="text")


def written(texts: list[list[str]]) -> Part:
    """Texts in the cells of a heat map."""
    return Part(text=texts, texttemplate="%{text}")


def rows_layout(names: Sequence[str], title: str) -> Part:
    """One row a name, the first on top."""
    y_axis = name_axis(names) | Part(range=[len(names) - 0.5, -0.5], showgrid=False)
    layout = Part(height=70 + ROW_PX * len(names), margin=Part(l=8, r=16, t=8, b=48), bargap=0.35)
    return layout | Part(xaxis=Part(title=Part(text=title)), yaxis=y_axis)


def grid_layout(rows: Sequence[str], columns: Sequence[str], row_title: str, column_title: str, side: int) -> Part:
    """A grid whose cells are `side` pixels, the first row on top."""
    thinned = len(rows) > MAX_NAMED  # too many names to write each
    longest = 0 if thinned else min(LONGEST_LABEL, max(len(name) for name in columns))
    is_upright = longest > 8 and len(columns) > 8  # slanted, they would run into each other
    below_px = round(longest * CHARACTER_PX * (1 if is_upright else 0.65))
    x_axis = Part(title=Part(text=column_title), showgrid=False, tickangle=-90 if is_upright else -40)
    y_axis = Part(title=Part(text=row_title, standoff=14), showgrid=False, range=[len(rows) - 0.5, -0.5])
    layout = Part(height=side * len(rows) + below_px + 70, margin=Part(l=8, r=8, t=8, b=8))
    return layout | Part(xaxis=name_axis(columns, thinned) | x_axis, yaxis=name_axis(rows, thinned) | y_axis)


def name_axis(names: Sequence[str], thinned: bool = False) -> Part:
    """An axis of names, which stand at 0, 1, …; `thinned` leaves them out."""
    axis = Part(zeroline=False, automargin=True, ticks="")
    if thinned:
        return axis | Part(showticklabels=False)
    return axis | Part(tickvals=list(range(len(names))), ticktext=[label(name) for name in names])
