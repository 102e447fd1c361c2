"""Charts as plotly's plain dictionaries; the page's script draws them in the colours of the reader's theme.

Colours are names of CSS variables (`--accent`), which the script looks up. Positions are numbers and names are tick
labels, since plotly would merge two classes of one name and read a class "1" as a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthset.report.formatting import LONGEST_LABEL, is_number, label, number, percent
from synthset.report.reading import Diagnosis, Evaluation

Figure = dict[str, Any]

ROW_PX = 34
CHARACTER_PX = 7
MAX_NAMED = 60
MAX_CONFUSION_CLASSES = 150  # beyond it a cell has less than five pixels, and the list of pairs says more
MAX_CONFUSION_COUNTS = 20
MAX_POINTS = 4000
MAX_COLOURED_CLASSES = 20
MAX_CURVE_POINTS = 300
NUM_COLOURS = 10
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross")
RAMP = [[i / 4, f"--ramp-{i}"] for i in range(5)]


def build_figures(diagnosis: Diagnosis) -> dict[str, Figure]:
    """Every chart there is data for, by the id of its element; `confusion-0` is that of the first evaluation."""
    figures = {
        "accuracy": _accuracies(diagnosis.evaluations),
        "centroid-distance": _bars(diagnosis, "centroid_distance", "Centroid Distance"),
        "vendi": _bars(diagnosis, "vendi_score", "Vendi score"),
        "frechet": _frechet(diagnosis),
        "error-split": _error_split(diagnosis),
        "matrix": _matrix(diagnosis),
        "tsne": _tsne(diagnosis),
        "threshold": _threshold_curves(diagnosis),
    }
    for i, evaluation in enumerate(diagnosis.evaluations):
        figures[f"confusion-{i}"] = _confusion(evaluation)
    return {name: figure for name, figure in figures.items() if figure is not None}


def _accuracies(evaluations: Sequence[Evaluation]) -> Figure | None:
    if not evaluations:
        return None
    values = [item.accuracy for item in evaluations]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": values,
        "y": list(range(len(values))),
        "marker": {"color": "--accent", "size": 10},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [item.high - item.accuracy for item in evaluations],
            "arrayminus": [item.accuracy - item.low for item in evaluations],
            "color": "--accent",
            "thickness": 1.5,
            "width": 5,
        },
        "text": [
            f"{label(e.label)}: {percent(e.accuracy)} ({percent(e.low)} to {percent(e.high)}), {e.n:,} images"
            for e in evaluations
        ],
        "hoverinfo": "text",
    }
    layout = _rows_layout([item.label for item in evaluations], "accuracy and 95 % interval")
    layout["xaxis"]["tickformat"] = ".0%"
    return {"data": [trace], "layout": layout}


def _bars(diagnosis: Diagnosis, column: str, title: str) -> Figure | None:
    """One bar a synthetic set, and the real set as a line across."""
    rows = diagnosis.summary.to_pylist()
    bars = [row for row in rows if row["kind"] != "real" and is_number(row[column])]
    lines = [row for row in rows if row["kind"] == "real" and is_number(row[column])]
    if not bars:
        return None
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [row[column] for row in bars],
        "y": list(range(len(bars))),
        "marker": {"color": "--accent"},
        "text": [number(row[column]) for row in bars],
        "textposition": "auto",
        "hoverinfo": "text",
        "hovertext": [f"{label(row['set'])}: {number(row[column])}" for row in bars],
        "showlegend": False,
    }
    layout = _rows_layout([row["set"] for row in bars], title)
    layout["shapes"] = [
        {
            "type": "line",
            "x0": row[column],
            "x1": row[column],
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"color": "--real", "width": 2, "dash": "dash"},
        }
        for row in lines
    ]
    layout["annotations"] = [
        {
            "x": row[column],
            "y": 1,
            "yref": "paper",
            "yanchor": "bottom",
            "showarrow": False,
            "text": f"real: {number(row[column])}",
            "font": {"color": "--real"},
        }
        for row in lines
    ]
    largest = max(row[column] for row in [*bars, *lines])
    layout["xaxis"] |= {"range": [0, largest * 1.12 or 1], "nticks": 5}
    layout["margin"] |= {"t": 26}
    return {"data": [trace], "layout": layout}


def _frechet(diagnosis: Diagnosis) -> Figure | None:
    parts = (("frechet_mean", "means apart", "--series-0"), ("frechet_covariance", "spreads apart", "--series-1"))
    return _stacked(diagnosis, parts, "Fréchet distance to the real set", number)


def _error_split(diagnosis: Diagnosis) -> Figure | None:
    parts = (
        ("diversity_error", "diversity (errs against own centroids)", "--series-0"),
        ("shift_error", "centroid shift (errs against prompts only)", "--series-1"),
    )
    figure = _stacked(diagnosis, parts, "share of the images that are misread", percent)
    if figure:
        figure["layout"]["xaxis"]["tickformat"] = ".0%"
    return figure


def _stacked(diagnosis: Diagnosis, parts: Sequence[tuple[str, str, str]], title: str, write: Any) -> Figure | None:
    rows = [
        row
        for row in diagnosis.summary.to_pylist()
        if row["kind"] != "real" and all(is_number(row[column]) for column, _, _ in parts)
    ]
    if not rows:
        return None
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "x": [row[column] for row in rows],
            "y": list(range(len(rows))),
            "marker": {"color": colour},
            "text": [write(row[column]) for row in rows],
            "textposition": "inside",
            "hoverinfo": "text",
            "hovertext": [f"{label(row['set'])}, {name}: {write(row[column])}" for row in rows],
        }
        for column, name, colour in parts
    ]
    layout = _rows_layout([row["set"] for row in rows], title)
    layout["barmode"] = "relative"
    layout["height"] += 30  # for the legend
    layout["margin"] |= {"t": 34}
    layout["legend"] = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal"}
    return {"data": traces, "layout": layout}


def _matrix(diagnosis: Diagnosis) -> Figure | None:
    rows = diagnosis.matrix.to_pylist()
    if not rows:
        return None
    references = list(dict.fromkeys(row["reference"] for row in rows))
    queries = list(dict.fromkeys(row["query"] for row in rows))
    cells = {(row["reference"], row["query"]): row for row in rows}
    grid = [[cells.get((reference, query)) for query in queries] for reference in references]
    texts = [[_matrix_text(cell) for cell in line] for line in grid]
    trace = _heat_map([[cell and cell["centroid_accuracy"] for cell in line] for line in grid], texts)
    if len(queries) <= 14:
        values = [[percent(cell["centroid_accuracy"]) if cell else "" for cell in line] for line in grid]
        trace |= {"text": values, "texttemplate": "%{text}"}
    return {"data": [trace], "layout": _grid_layout(references, queries, "reference", "query", 36)}


def _matrix_text(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    return (
        f"experiment {cell['experiment']}<br>reference {label(cell['reference'], 60)}<br>"
        f"query {label(cell['query'], 60)}<br>{percent(cell['centroid_accuracy'])} "
        f"({percent(cell['low'])} to {percent(cell['high'])})"
    )


def _confusion(evaluation: Evaluation) -> Figure | None:
    k = len(evaluation.class_names)
    if k > MAX_CONFUSION_CLASSES:
        return None
    totals = [sum(row) for row in evaluation.confusion]
    shares = [
        [count / total if total else None for count in row]
        for row, total in zip(evaluation.confusion, totals, strict=True)
    ]
    names = [label(name, 40) for name in evaluation.class_names]
    texts = [
        [f"{names[i]}<br>taken for {names[j]}:<br>{count:,} of {totals[i]:,}" for j, count in enumerate(row)]
        for i, row in enumerate(evaluation.confusion)
    ]
    trace = _heat_map(shares, texts)
    if k <= MAX_CONFUSION_COUNTS:
        counts = [[f"{count:,}" if count else "" for count in row] for row in evaluation.confusion]
        trace |= {"text": counts, "texttemplate": "%{text}"}
    side = 34 if k <= MAX_CONFUSION_COUNTS else max(5, min(24, 760 // k))
    layout = _grid_layout(evaluation.class_names, evaluation.class_names, "true class", "predicted class", side)
    return {"data": [trace], "layout": layout}


def _tsne(diagnosis: Diagnosis) -> Figure | None:
    """One trace a set and class, so that the legend switches classes and the page's boxes switch sets."""
    if diagnosis.tsne is None or not diagnosis.tsne.num_rows:
        return None
    step = -(-diagnosis.tsne.num_rows // MAX_POINTS)
    table = diagnosis.tsne.take(list(range(0, diagnosis.tsne.num_rows, step)))
    k = len(diagnosis.class_names)
    by_class = k <= MAX_COLOURED_CLASSES
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        groups.setdefault((row["set"], row["class_index"] if by_class else 0), []).append(row)
    sets = list(dict.fromkeys(name for name, _ in groups))
    names = [label(name) for name in diagnosis.class_names]
    ordered = sorted(groups, key=lambda key: (key[1], sets.index(key[0])))
    traces, in_legend = [], set()
    for set_name, index in ordered:
        rows = groups[set_name, index]
        family = index if by_class else sets.index(set_name)
        texts = [f"{label(set_name)}<br>{names[row['class_index']]}" for row in rows]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [row["x"] for row in rows],
                "y": [row["y"] for row in rows],
                "name": names[index] if by_class else label(set_name),
                "legendgroup": str(family),
                "showlegend": family not in in_legend,
                "text": texts,
                "hoverinfo": "text",
                "marker": _mark(family, sets.index(set_name), is_real=rows[0]["kind"] == "real"),
            }
        )
        in_legend.add(family)
    toggles = [
        {
            "label": name,
            "real": any(key[0] == name and rows[0]["kind"] == "real" for key, rows in groups.items()),
            "traces": [i for i, key in enumerate(ordered) if key[0] == name],
        }
        for name in sets
    ]
    bare = {"showticklabels": False, "showgrid": False, "zeroline": False, "showline": False, "fixedrange": False}
    layout = {
        "height": 560,
        "margin": {"l": 8, "r": 8, "t": 36, "b": 8},
        "xaxis": bare,
        "yaxis": bare | {"scaleanchor": "x"},
        "dragmode": "pan",
        "hovermode": "closest",
        "legend": {"itemsizing": "constant"},
    }
    shown = {"points": table.num_rows, "total": diagnosis.tsne.num_rows}
    return {"data": traces, "layout": layout, "toggles": toggles, "zoom": True, "shown": shown, "by_class": by_class}


def _mark(family: int, number_of_set: int, *, is_real: bool) -> dict[str, Any]:
    """Real images are open circles; synthetic ones are filled, each set of its own form."""
    return {
        "color": f"--series-{family % NUM_COLOURS}",
        "size": 7,
        "opacity": 0.75,
        "symbol": "circle-open" if is_real else SYMBOLS[number_of_set % len(SYMBOLS)],
        "line": {"width": 1.5 if is_real else 0},
    }


def _threshold_curves(diagnosis: Diagnosis) -> Figure | None:
    """For each set and method the share that would be kept at each threshold: its saved scores, sorted."""
    table = diagnosis.filters
    if table is None or not table.num_rows:
        return None
    thresholds = {(item.get("set"), item.get("method")): item["config"] for item in diagnosis.filters_info}
    traces, shapes = [], []
    groups: dict[tuple[str, str], list[float]] = {}
    columns = (table.column(name).to_pylist() for name in ("set", "method", "score"))
    for set_name, method, score in zip(*columns, strict=True):
        groups.setdefault((set_name, method or ""), []).append(score)
    for i, ((set_name, method), values) in enumerate(groups.items()):
        scores = sorted(filter(is_number, values))
        if not scores:
            continue
        n, colour = len(scores), f"--series-{i % NUM_COLOURS}"
        step = max(1, n // MAX_CURVE_POINTS)
        picked = sorted({*range(0, n, step), n - 1})
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"{label(set_name)} · {label(method)}",
                "x": [scores[j] for j in picked],
                "y": [(n - j) / n for j in picked],
                "line": {"color": colour, "shape": "vh", "width": 2},
                "text": [f"{percent((n - j) / n)} score {number(scores[j])} or more" for j in picked],
                "hoverinfo": "text+name",
                "showlegend": True,
            }
        )
        threshold = thresholds.get((set_name, method), {}).get("threshold")
        if isinstance(threshold, int | float):
            line = {"color": colour, "dash": "dot", "width": 1.5}
            shapes.append({"type": "line", "x0": threshold, "x1": threshold, "y0": 0, "y1": 1, "line": line})
    if not traces:
        return None
    layout = {
        "height": 340,
        "margin": {"l": 64, "r": 16, "t": 34, "b": 52},
        "xaxis": {"title": {"text": "score"}},
        "yaxis": {"title": {"text": "share with this score or more"}, "tickformat": ".0%", "range": [0, 1.02]},
        "shapes": shapes,
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
    }
    return {"data": traces, "layout": layout}


def _heat_map(values: list[list[float | None]], texts: list[list[str]]) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "z": values,
        "zmin": 0,
        "zmax": 1,
        "colorscale": RAMP,
        "xgap": 1,
        "ygap": 1,
        "hovertext": texts,
        "hoverinfo": "text",
        "colorbar": {"tickformat": ".0%", "thickness": 10, "len": 1, "outlinewidth": 0},
    }


def _rows_layout(names: Sequence[str], title: str) -> dict[str, Any]:
    """One row a name, the first on top."""
    return {
        "height": 70 + ROW_PX * len(names),
        "margin": {"l": 8, "r": 16, "t": 8, "b": 48},
        "xaxis": {"title": {"text": title}},
        "yaxis": _name_axis(names) | {"range": [len(names) - 0.5, -0.5], "showgrid": False},
        "bargap": 0.35,
    }


def _grid_layout(rows: Sequence[str], columns: Sequence[str], row_title: str, column_title: str, side: int) -> Figure:
    thinned = len(rows) > MAX_NAMED  # too many names to write each
    longest = 0 if thinned else min(LONGEST_LABEL, max(len(name) for name in columns))
    is_upright = longest > 8 and len(columns) > 8  # slanted, they would run into each other
    below_px = round(longest * CHARACTER_PX * (1 if is_upright else 0.65))
    return {
        "height": side * len(rows) + below_px + 70,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "xaxis": _name_axis(columns, thinned)
        | {"title": {"text": column_title}, "showgrid": False, "tickangle": -90 if is_upright else -40},
        "yaxis": _name_axis(rows, thinned)
        | {
            "title": {"text": row_title, "standoff": 14},
            "range": [len(rows) - 0.5, -0.5],
            "showgrid": False,
        },
    }


def _name_axis(names: Sequence[str], thinned: bool = False) -> dict[str, Any]:
    axis = {"zeroline": False, "automargin": True, "ticks": ""}
    if thinned:
        return axis | {"showticklabels": False}
    return axis | {"tickvals": list(range(len(names))), "ticktext": [label(name) for name in names]}
