"""A comparison as pictures: means with whiskers, and learning curves with the band of their forecast."""

from __future__ import annotations

import math
from itertools import cycle, pairwise
from pathlib import Path

from PIL import Image, ImageDraw

from synthset.comparison.results import ComparisonResult, CurveForecast
from synthset.comparison.summary import ComparisonRow
from synthset.comparison.trials import ALL
from synthset.images.drawing import FAINT, INK, PAPER, SCALE, Canvas, Colour, fit, save_png, width_of

WIDTH, ROW, TOP, BOTTOM, RIGHT = 760, 24, 62, 46, 72
LABEL_ROOM = 300
PLOT = (64, 28, 84, 56)  # left, right, top and bottom margins of a learning curve
HEIGHT = 440
RULE = (228, 231, 235)
# apart from each other in hue and in lightness, so that they stay so for the colour-blind and in grey
COLOURS = ((36, 104, 173), (214, 106, 28), (20, 138, 102), (150, 72, 160), (186, 150, 20), (90, 96, 104))
MOST_ROWS = 60  # of one picture


def draw_comparison(result: ComparisonResult, path: Path) -> Path:
    """Draw the mean of each row with its interval, all on one axis. Raises DataError if it cannot be written."""
    rows = _shown(result)
    low, high, step = _axis([value for row in rows for value in (row.low, row.score, row.high) if value is not None])
    labels = [_label(row, result) for row in rows]
    left = min(LABEL_ROOM, max(width_of(fit(label, 12, LABEL_ROOM), 12) for label in labels)) + 28
    canvas = Canvas(WIDTH, TOP + ROW * len(rows) + BOTTOM)
    bottom = TOP + ROW * len(rows)

    def x_of(score: float) -> float:
        return left + (min(max(score, low), high) - low) / (high - low) * (WIDTH - RIGHT - left)

    seeds = max(row.seeds for row in rows)
    canvas.write((20, 20), "Accuracy on real images", 18, INK, "lt")
    about = f"mean of {seeds} seeds with its 95% interval" if seeds > 1 else "one seed"
    canvas.write((20, 44), about, 12, FAINT, "lt")
    level = low
    while level <= high + 1e-9:
        canvas.line([(x_of(level), TOP), (x_of(level), bottom)], RULE, 1)
        canvas.write((x_of(level), bottom + 14), f"{level:.0%}", 12, FAINT, "mm")
        level += step
    for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
        y = TOP + ROW * (place + 0.5)
        colour = COLOURS[0] if row.budget == ALL else COLOURS[1]
        canvas.write((left - 16, y), fit(label, 12, LABEL_ROOM), 12, INK, "rm")
        if row.low is not None and row.high is not None:
            canvas.line([(x_of(row.low), y), (x_of(row.high), y)], colour, 2)
        _dot(canvas, x_of(row.score), y, colour)
        canvas.write((WIDTH - RIGHT + 14, y), f"{row.score:.1%}", 12, INK, "lm")
    return save_png(canvas.image, path)


def _shown(result: ComparisonResult) -> list[ComparisonRow]:
    """The rows of the comparison itself; those of learning curves have a picture of their own."""
    budgets = {row.budget for row in result.rows}
    equal = next((b for b in sorted(budgets) if b != ALL and _is_in_all(result, b)), None)
    return [row for row in result.rows if row.budget in (ALL, equal)][:MOST_ROWS]


def _is_in_all(result: ComparisonResult, budget: int) -> bool:
    return {row.view for row in result.rows} == {row.view for row in result.rows if row.budget == budget}


def _label(row: ComparisonRow, result: ComparisonResult) -> str:
    """What tells the row from the others."""
    varied = [name for name in ("architecture", "real") if len({getattr(one, name) for one in result.rows}) > 1]
    return ", ".join([row.view, *(getattr(row, name) for name in varied), f"{row.images:,} images"])


def draw_curves(result: ComparisonResult, path: Path) -> Path:
    """Draw the score over images a class, with the forecast's band. Raises DataError if it cannot be written."""
    curves = result.forecasts[: len(COLOURS)]
    points = {_name(curve, result): _points(curve, result) for curve in curves}
    values = [score for line in points.values() for _, score in line]
    values += [end for curve in curves for one in curve.further for end in (one.low, one.high)]
    counts = [count for line in points.values() for count, _ in line]
    counts += [one.images_per_class for curve in curves for one in curve.further]
    canvas = Canvas(WIDTH, HEIGHT)
    if not values:
        canvas.write((20, 20), "No curve: fewer than two numbers of images", 18, INK, "lt")
        return save_png(canvas.image, path)
    low, high, step = _axis(values)
    left, right, top, bottom = PLOT
    first, last = math.log(min(counts)), math.log(max(counts))

    def x_of(count: float) -> float:
        share = (math.log(count) - first) / (last - first) if last > first else 0.5
        return left + 24 + share * (WIDTH - left - right - 48)

    def y_of(score: float) -> float:
        return top + (high - min(max(score, low), high)) / (high - low) * (HEIGHT - top - bottom)

    canvas.write((left, 18), "Accuracy over images a class", 18, INK, "lt")
    level = low
    while level <= high + 1e-9:
        canvas.line([(left, y_of(level)), (WIDTH - right, y_of(level))], RULE, 1)
        canvas.write((left - 8, y_of(level)), f"{level:.0%}", 12, FAINT, "rm")
        level += step
    for count in sorted(set(counts)):
        canvas.write((x_of(count), HEIGHT - bottom + 14), f"{count:,}", 12, FAINT, "mm")
    canvas.write(
        ((left + WIDTH - right) / 2, HEIGHT - 22), "images a class; forecasts with a 90% band", 12, FAINT, "mm"
    )
    x = float(left)
    for colour, (name, line), curve in zip(cycle(COLOURS), points.items(), curves, strict=False):
        _band(canvas, [(x_of(one.images_per_class), y_of(one.low), y_of(one.high)) for one in curve.further], colour)
        places = [(x_of(count), y_of(score)) for count, score in line]
        ahead = [places[-1], *((x_of(one.images_per_class), y_of(one.score)) for one in curve.further)]
        canvas.line(places, colour, 2.5)
        for start, end in pairwise(ahead):
            _dashes(canvas, start, end, colour)
        for place in places:
            _dot(canvas, *place, colour)
        canvas.line([(x, 56), (x + 14, 56)], colour, 2.5)
        canvas.write((x + 20, 56), fit(name, 12, 220), 12, INK, "lm")
        x += width_of(fit(name, 12, 220), 12) + 42
    return save_png(canvas.image, path)


def _points(curve: CurveForecast, result: ComparisonResult) -> list[tuple[int, float]]:
    rows = [
        row
        for row in result.rows
        if (row.view, row.architecture, row.real) == (curve.view, curve.architecture, curve.real)
    ]
    return sorted((row.budget or curve.images_per_class, row.score) for row in rows)


def _name(curve: CurveForecast, result: ComparisonResult) -> str:
    names = [
        getattr(curve, name)
        for name in ("view", "architecture", "real")
        if len({getattr(one, name) for one in result.forecasts}) > 1
    ]
    return ", ".join(names) or curve.view


def _axis(values: list[float]) -> tuple[float, float, float]:
    """The lowest and highest value of an axis, and the step of its rules."""
    low, high = max(0.0, min(values)), min(1.0, max(values))
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / s <= 7 or s == 0.2)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return low, max(high, low + step), step


def _dot(canvas: Canvas, x: float, y: float, colour: Colour) -> None:
    box = [value * SCALE for value in (x - 4, y - 4, x + 4, y + 4)]
    canvas.draw.ellipse(box, fill=colour, outline=PAPER, width=SCALE)


def _dashes(canvas: Canvas, start: tuple[float, float], end: tuple[float, float], colour: Colour) -> None:
    length = math.dist(start, end)
    for begin in range(0, int(length), 10):
        parts = [(begin + offset) / length for offset in (0, min(5, length - begin))]
        canvas.line([tuple(a + (b - a) * part for a, b in zip(start, end, strict=True)) for part in parts], colour, 2)  # pyright: ignore[reportArgumentType]


def _band(canvas: Canvas, intervals: list[tuple[float, float, float]], colour: Colour) -> None:
    """Shade intervals, x with y of the low and of the high end; one alone is a whisker."""
    if not intervals:
        return
    if len(intervals) == 1:
        ((x, low, high),) = intervals
        intervals = [(x - 2, low, high), (x + 2, low, high)]
    mask = Image.new("L", canvas.image.size)
    outline = [(x, high) for x, _, high in intervals] + [(x, low) for x, low, _ in reversed(intervals)]
    ImageDraw.Draw(mask).polygon([(x * SCALE, y * SCALE) for x, y in outline], fill=round(255 * 0.16))
    canvas.image.paste(colour, (0, 0), mask)
