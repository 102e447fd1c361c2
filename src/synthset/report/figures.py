"""Charts as plotly's plain dictionaries; the page's script draws them in the colours of the reader's theme.

Colours are names of CSS variables (`--accent`), which the script looks up. Positions are numbers and names are tick
labels, since plotly would merge two classes of one name and read a class "1" as a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from synthset.classifiers.scoring import SavedEvaluation
from synthset.report.formatting import ZERO, is_number, label, number, percent
from synthset.report.galleries import tell_identity
from synthset.report.parts import (
    LEGEND_ON_TOP,
    NUM_COLOURS,
    Part,
    bar,
    grid_layout,
    heat_map,
    line_across,
    rows_layout,
    scatter,
    share_axis,
    widest,
    written_inside,
    written_on,
)
from synthset.report.reading import Diagnosis

MAX_CONFUSION_CLASSES = 150  # beyond it a cell has less than five pixels, and the list of pairs says more
MAX_CONFUSION_COUNTS = 20
MAX_POINTS = 4000
MAX_COLOURED_CLASSES = 20
MAX_CURVE_POINTS = 300
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross")


def build_figures(diagnosis: Diagnosis) -> dict[str, Part]:
    """Every chart there is data for, by the id of its element; `confusion-0` is that of the first evaluation."""
    figures = {
        "accuracy": _accuracies(diagnosis.evaluations),
        "centroid-distance": _bars(diagnosis, "centroid_distance"),
        "vendi": _bars(diagnosis, "vendi_score"),
        "frechet": _frechet(diagnosis),
        "error-split": _error_split(diagnosis),
        "matrix": _matrix(diagnosis),
        "tsne": _tsne(diagnosis),
        "threshold": _threshold_curves(diagnosis),
    }
    figures |= {f"confusion-{i}": _confusion(evaluation) for i, evaluation in enumerate(diagnosis.evaluations)}
    return {name: figure for name, figure in figures.items() if figure is not None}


# ---- rows: one a test, or one a set -----------------------------------------------------------------------


def _accuracies(evaluations: Sequence[SavedEvaluation]) -> Part | None:
    if not evaluations:
        return None
    above, below = [e.high - e.accuracy for e in evaluations], [e.accuracy - e.low for e in evaluations]
    bars = Part(type="data", symmetric=False, array=above, arrayminus=below, color="--accent", thickness=1.5, width=5)
    texts = [
        f"{label(e.name)}: {percent(e.accuracy)} ({percent(e.low)} to {percent(e.high)}), {e.n:,} images"
        for e in evaluations
    ]
    trace = scatter("markers", [e.accuracy for e in evaluations], list(range(len(evaluations))), texts)
    trace |= Part(marker=Part(color="--accent", size=10), error_x=bars)
    layout = rows_layout([e.name for e in evaluations], [percent(e.accuracy) for e in evaluations])
    layout["xaxis"] = share_axis([end for e in evaluations for end in (e.low, e.high)])
    return Part(data=[trace], layout=layout)


def _bars(diagnosis: Diagnosis, column: str) -> Part | None:
    """One bar a synthetic set, and the real set as a line across."""
    rows = [row for row in diagnosis.summary.to_pylist() if is_number(row[column])]
    bars, real = _apart(rows)
    if not bars:
        return None
    layout = rows_layout([row["set"] for row in bars], [number(row[column]) for row in bars])
    end = max(row[column] for row in rows) * 1.12 or 1
    dashed, paper = Part(color="--real", width=2, dash="dash"), Part(yref="paper")
    layout["shapes"] = [line_across(row[column], dashed) | paper for row in real]
    layout["annotations"] += [_named_line(row[column] / end, f"real: {number(row[column])}") for row in real]
    layout["xaxis"] |= Part(range=[0, end], nticks=5)
    layout["margin"] |= Part(t=26)
    layout["height"] += 20
    return Part(data=[bar(bars, column, number, "--accent") | Part(showlegend=False)], layout=layout)


def _named_line(share: float, text: str) -> Part:
    """The name of a line above the axes, at a share of their width, and within it."""
    side = "left" if share < 0.25 else "right" if share > 0.75 else "center"
    name = Part(xref="paper", yref="paper", x=share, y=1, xanchor=side, yanchor="bottom", showarrow=False)
    return name | Part(text=text, font=Part(color="--real"))


def _frechet(diagnosis: Diagnosis) -> Part | None:
    return _stacked(diagnosis, (("frechet_mean", "means apart"), ("frechet_covariance", "spreads apart")), number)


def _error_split(diagnosis: Diagnosis) -> Part | None:
    """None where no image is misread, whose bars would have no length."""
    parts = (("diversity_error", "by diversity"), ("shift_error", "by centroid shift"))
    figure = _stacked(diagnosis, parts, percent)
    if figure:
        figure["layout"]["xaxis"] |= Part(tickformat=".1~%", nticks=7)
    return figure


def _stacked(diagnosis: Diagnosis, parts: Sequence[tuple[str, str]], write: Callable[[Any], str]) -> Part | None:
    """Bars of several columns end to end, one row a synthetic set; None where all are 0."""
    measured = [row for row in diagnosis.summary.to_pylist() if all(is_number(row[column]) for column, _ in parts)]
    rows, _ = _apart(measured)
    if not any(abs(row[column]) > ZERO for row in rows for column, _ in parts):
        return None
    traces = []
    for i, (column, name) in enumerate(parts):
        texts = [write(row[column]) if abs(row[column]) > ZERO else "" for row in rows]
        trace = bar(rows, column, write, f"--series-{i}", f", {name}") | Part(name=name)
        traces.append(trace | written_inside(texts, f"--on-series-{i}"))
    layout = rows_layout([row["set"] for row in rows]) | Part(barmode="relative")
    layout["height"] += 30  # for the legend
    layout["margin"] |= Part(t=34)
    return Part(data=traces, layout=layout | Part(legend=LEGEND_ON_TOP | Part(traceorder="normal")))


def _apart(rows: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """Rows of synthetic and of real sets."""
    return [row for row in rows if row["kind"] != "real"], [row for row in rows if row["kind"] == "real"]


# ---- grids ------------------------------------------------------------------------------------------------


def _matrix(diagnosis: Diagnosis) -> Part | None:
    rows = diagnosis.matrix.to_pylist()
    if not rows:
        return None
    references = list(dict.fromkeys(row["reference"] for row in rows))
    queries = list(dict.fromkeys(row["query"] for row in rows))
    cells = {(row["reference"], row["query"]): row for row in rows}
    grid = [[cells.get((reference, query)) for query in queries] for reference in references]
    values = [[cell and cell["centroid_accuracy"] for cell in line] for line in grid]
    traces = [heat_map(values, [[_matrix_text(cell) for cell in line] for line in grid])]
    if len(queries) <= 14:
        traces += written_on(values, [[f"{100 * v:.1f}" if is_number(v) else "" for v in line] for line in values])
    return Part(data=traces, layout=grid_layout(references, queries, 36), widest=widest(queries))


def _matrix_text(cell: Part | None) -> str:
    if cell is None:
        return ""
    return (
        f"experiment {cell['experiment']}<br>reference {label(cell['reference'], 60)}<br>"
        f"query {label(cell['query'], 60)}<br>{percent(cell['centroid_accuracy'])} "
        f"({percent(cell['low'])} to {percent(cell['high'])})"
    )


def _confusion(evaluation: SavedEvaluation) -> Part | None:
    classes = evaluation.class_names
    k = len(classes)
    if k > MAX_CONFUSION_CLASSES:
        return None
    confusion = evaluation.counts.toarray().tolist()
    totals = [sum(row) for row in confusion]
    shares = [[count / total if total else None for count in row] for row, total in zip(confusion, totals, strict=True)]
    names = [label(name, 40) for name in classes]
    texts = [
        [f"{names[i]}<br>taken for {names[j]}:<br>{count:,} of {totals[i]:,}" for j, count in enumerate(row)]
        for i, row in enumerate(confusion)
    ]
    traces = [heat_map(shares, texts)]
    if k <= MAX_CONFUSION_COUNTS:
        traces += written_on(shares, [[f"{count:,}" if count else "" for count in row] for row in confusion])
    side = 34 if k <= MAX_CONFUSION_COUNTS else max(5, min(24, 760 // k))
    return Part(data=traces, layout=grid_layout(classes, classes, side), widest=widest(classes))


# ---- points and curves ------------------------------------------------------------------------------------


def _tsne(diagnosis: Diagnosis) -> Part | None:
    """One trace a set and class, so that the legend switches classes and the page's boxes switch sets."""
    if diagnosis.tsne is None or not diagnosis.tsne.num_rows:
        return None
    total = diagnosis.tsne.num_rows
    points = diagnosis.tsne.take(list(range(0, total, -(-total // MAX_POINTS)))).to_pylist()
    by_class = len(diagnosis.info.class_names) <= MAX_COLOURED_CLASSES
    groups: dict[tuple[str, int], list[Part]] = {}
    for row in points:
        groups.setdefault((row["set"], row["class_index"] if by_class else 0), []).append(row)
    sets = list(dict.fromkeys(name for name, _ in groups))
    real = {row["set"] for row in points if row["kind"] == "real"}
    names = [label(name) for name in diagnosis.info.class_names]
    ordered = sorted(groups, key=lambda key: (key[1], sets.index(key[0])))
    traces, in_legend = [], set()
    for key in ordered:
        (set_name, index), rows = key, groups[key]
        family = index if by_class else sets.index(set_name)
        told = [f"<br>{label(text, 160)}" if (text := tell_identity(row)) else "" for row in rows]
        texts = [
            f"{label(set_name)}<br>{names[row['class_index']]}{more}" for row, more in zip(rows, told, strict=True)
        ]
        trace = scatter("markers", [row["x"] for row in rows], [row["y"] for row in rows], texts)
        trace |= Part(legendgroup=str(family), showlegend=family not in in_legend)
        trace |= Part(name=names[index] if by_class else label(set_name))
        traces.append(trace | Part(marker=_mark(family, sets.index(set_name), is_real=set_name in real)))
        in_legend.add(family)
    toggles = [
        Part(label=name, real=name in real, traces=[i for i, key in enumerate(ordered) if key[0] == name])
        for name in sets
    ]
    bare = Part(showticklabels=False, showgrid=False, zeroline=False, showline=False, fixedrange=False)
    layout = Part(height=560, margin=Part(l=8, r=8, t=36, b=8), xaxis=bare, yaxis=bare | Part(scaleanchor="x"))
    layout |= Part(dragmode="pan", hovermode="closest", legend=Part(itemsizing="constant"))
    shown = Part(points=len(points), total=total)
    return Part(data=traces, layout=layout, toggles=toggles, zoom=True, shown=shown, by_class=by_class)


def _mark(family: int, number_of_set: int, *, is_real: bool) -> Part:
    """Real images are open circles; synthetic ones are filled, each set of its own form."""
    symbol = "circle-open" if is_real else SYMBOLS[number_of_set % len(SYMBOLS)]
    colour, line = f"--series-{family % NUM_COLOURS}", Part(width=1.5 if is_real else 0)
    return Part(color=colour, size=7, opacity=0.75, symbol=symbol, line=line)


def _threshold_curves(diagnosis: Diagnosis) -> Part | None:
    """For each set and method the share that would be kept at each threshold: its saved scores, sorted."""
    table = diagnosis.filters
    if table is None or not table.num_rows:
        return None
    thresholds = {(run.set, run.method): run.config.get("threshold") for run in diagnosis.info.filters}
    groups: dict[tuple[str, str], list[float]] = {}
    columns = (table.column(name).to_pylist() for name in ("set", "method", "score"))
    for set_name, method, score in zip(*columns, strict=True):
        groups.setdefault((set_name, method or ""), []).append(score)
    traces, shapes = [], []
    for i, ((set_name, method), values) in enumerate(groups.items()):
        scores = sorted(filter(is_number, values))
        if not scores:
            continue
        n, colour = len(scores), f"--series-{i % NUM_COLOURS}"
        picked = sorted({*range(0, n, max(1, n // MAX_CURVE_POINTS)), n - 1})
        texts = [f"{percent((n - j) / n)} score {number(scores[j])} or more" for j in picked]
        trace = scatter("lines", [scores[j] for j in picked], [(n - j) / n for j in picked], texts)
        trace |= Part(name=f"{label(set_name)} · {label(method)}", hoverinfo="text+name", showlegend=True)
        traces.append(trace | Part(line=Part(color=colour, shape="vh", width=2)))
        threshold = thresholds.get((set_name, method))
        if isinstance(threshold, int | float):
            shapes.append(line_across(threshold, Part(color=colour, dash="dot", width=1.5)))
    if not traces:
        return None
    layout = Part(height=320, margin=Part(l=48, r=16, t=34, b=32), shapes=shapes, legend=LEGEND_ON_TOP)
    layout["xaxis"] = Part(nticks=8)
    layout["yaxis"] = Part(tickformat=".0%", range=[0, 1.02])
    return Part(data=traces, layout=layout)
