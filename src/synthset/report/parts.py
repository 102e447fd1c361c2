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
TURN = 0.68  # of a heat map: from here on black on the ramp is harder to read than white
NUM_COLOURS = 10  # of the style sheet, --series-0 and on
LEGEND_ON_TOP = Part(orientation="h", x=0, y=1, yanchor="bottom")


def scatter(mode: str, x: Sequence[float], y: Sequence[float], texts: Sequence[str]) -> Part:
    """Points or a line, with a hover text each."""
    return Part(type="scatter", mode=mode, x=x, y=y, text=texts, hoverinfo="text")


def bar(rows: Sequence[Part], column: str, write: Callable[[Any], str], colour: str, suffix: str = "") -> Part:
    """A bar a row; its length is the value of the column, and the set's name with `suffix` its hover text."""
    hints = [f"{label(row['set'])}{suffix}: {write(row[column])}" for row in rows]
    trace = Part(type="bar", orientation="h", x=[row[column] for row in rows], y=list(range(len(rows))))
    return trace | Part(marker=Part(color=colour), hoverinfo="text", hovertext=hints)


def written_inside(texts: Sequence[str], colour: str) -> Part:
    """Texts within the bars of a trace, upright; one that does not fit its bar is left out, see `rows_layout`."""
    inside = Part(textposition="inside", insidetextanchor="middle", textangle=0)
    return inside | Part(text=list(texts), insidetextfont=Part(color=colour))


def written_beside(texts: Sequence[str]) -> list[Part]:
    """Texts to the right of the axes, one a row, where no bar or line can cross them."""
    place = Part(xref="paper", x=1, xanchor="left", xshift=8, yref="y", showarrow=False)
    return [place | Part(y=i, text=text) for i, text in enumerate(texts)]


def share_axis(values: Sequence[float], least: float = 0.05) -> Part:
    """An axis of shares around the values, `least` wide or more, within 0 and 1."""
    low, high = min(values), max(values)
    room = max((high - low) * 0.06, (least - (high - low)) / 2)
    return Part(tickformat=".1~%", nticks=7, range=[max(-0.01, low - room), min(1.01, high + room)])


def line_across(x: float, line: Part) -> Part:
    """A line over the whole height at x."""
    return Part(type="line", x0=x, x1=x, y0=0, y1=1, line=line)


def heat_map(values: list[list[float | None]], texts: list[list[str]]) -> Part:
    """Shares in [0, 1] as colours, with a hover text each."""
    key = Part(tickformat=".0%", thickness=10, len=1, outlinewidth=0)
    trace = Part(type="heatmap", z=values, zmin=0, zmax=1, colorscale=RAMP, xgap=1, ygap=1, colorbar=key)
    return trace | Part(hovertext=texts, hoverinfo="text")


def written_on(values: list[list[float | None]], texts: list[list[str]]) -> list[Part]:
    """Texts on the cells of a heat map, as two traces: each is dark or light, as its cell lets it be read."""
    cells = [(x, y, value or 0.0, texts[y][x]) for y, row in enumerate(values) for x, value in enumerate(row)]
    traces = []
    for colour, is_high in (("--on-low", False), ("--on-high", True)):
        own = [cell for cell in cells if cell[3] and (cell[2] >= TURN) == is_high]
        trace = scatter("text", [cell[0] for cell in own], [cell[1] for cell in own], [cell[3] for cell in own])
        traces.append(trace | Part(hoverinfo="skip", textfont=Part(color=colour), showlegend=False))
    return traces


def rows_layout(names: Sequence[str], beside: Sequence[str] = ()) -> Part:
    """One row a name, the first on top; texts `beside` the axes."""
    y_axis = name_axis(names) | Part(range=[len(names) - 0.5, -0.5], showgrid=False)
    right = 24 + max((CHARACTER_PX * len(text) for text in beside), default=0)
    layout = Part(height=44 + ROW_PX * len(names), margin=Part(l=8, r=right, t=8, b=30), bargap=0.35)
    hidden = Part(mode="hide", minsize=10)  # texts within bars that are too short for them
    meta = Part(rows=True)  # by which the page knows that a row has room for two lines
    return layout | Part(xaxis=Part(), yaxis=y_axis, annotations=written_beside(beside), uniformtext=hidden, meta=meta)


def grid_layout(rows: Sequence[str], columns: Sequence[str], side: int) -> Part:
    """A grid whose cells are `side` pixels high, the first row on top."""
    thinned = len(rows) > MAX_NAMED  # too many names to write each
    longest = 0 if thinned else min(LONGEST_LABEL, max(len(name) for name in columns))
    is_upright = longest > 8 and len(columns) > 8  # slanted, they would run into each other
    below_px = round(longest * CHARACTER_PX * (1 if is_upright else 0.65))
    x_axis = Part(showgrid=False, tickangle=-90 if is_upright else -40, range=[-0.5, len(columns) - 0.5])
    y_axis = Part(showgrid=False, range=[len(rows) - 0.5, -0.5])
    layout = Part(height=side * len(rows) + below_px + 40, margin=Part(l=8, r=8, t=8, b=8))
    return layout | Part(xaxis=name_axis(columns, thinned) | x_axis, yaxis=name_axis(rows, thinned) | y_axis)


def widest(columns: Sequence[str]) -> int:
    """Pixels beyond which a grid is no wider, lest few columns be stretched."""
    return 320 + 90 * len(columns)


def name_axis(names: Sequence[str], thinned: bool = False) -> Part:
    """An axis of names, which stand at 0, 1, …; `thinned` leaves them out."""
    axis = Part(zeroline=False, automargin=True, ticks="")
    if thinned:
        return axis | Part(showticklabels=False)
    return axis | Part(tickvals=list(range(len(names))), ticktext=[label(name) for name in names])
