"""A comparison as pictures: means with whiskers, and learning curves with the band of their forecast."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from synthset.comparison.results import ComparisonResult, CurveForecast, curve_points
from synthset.comparison.summary import ComparisonRow, main_rows
from synthset.comparison.trials import ALL
from synthset.images.drawing import FAINT, INK, PAPER, SCALE, Canvas, Colour, fit, save_png, width_of

WIDTH, ROW, TOP, BOTTOM, RIGHT = 760, 24, 76, 46, 72
LABEL_ROOM = 300
KEY_ROW, KEY_GAP = 20, 42
PLOT = (64, 28, 84, 56)  # left, right, top and bottom margins of a learning curve
HEIGHT = 360  # of a learning curve, below the top margin
RULE = (228, 231, 235)
# apart from each other in hue and in lightness, so that they stay so for the colour-blind and in grey
COLOURS = ((36, 104, 173), (214, 106, 28), (20, 138, 102), (150, 72, 160), (186, 150, 20), (90, 96, 104))
MOST_ROWS = 60  # of one picture


def draw_comparison(result: ComparisonResult, path: Path) -> Path:
    """Draw the mean of each row with its interval, all on one axis. Raises DataError if it cannot be written."""
    rows = main_rows(result.rows)[:MOST_ROWS]
    low, high, step = _axis([value for row in rows for value in (row.low, row.score, row.high) if value is not None])
    labels = [_label(row, result) for row in rows]
    left = max(width_of(label, 12) for label in labels) + 36
    bottom = TOP + ROW * len(rows)
    canvas = Canvas(WIDTH, bottom + BOTTOM)

    def x_of(score: float) -> float:
        return left + (min(max(score, low), high) - low) / (high - low) * (WIDTH - RIGHT - left)

    seeds = max(row.seeds for row in rows)
    canvas.write((20, 20), "Accuracy on real images", 18, INK, "lt")
    about = f"mean of {seeds} seeds with its 95% interval" if seeds > 1 else "with the 95% interval over test images"
    canvas.write((20, 46), about, 12, FAINT, "lt")
    if equal := max(row.budget for row in rows):
        key = [("all its images", COLOURS[0]), (f"equal: {equal:,} images a class", COLOURS[1])]
        _key(canvas, key, WIDTH - RIGHT - _key_width(key), WIDTH, 52)
    for level in _levels(low, high, step):
        canvas.line([(x_of(level), TOP), (x_of(level), bottom)], RULE, 1)
        canvas.write((x_of(level), bottom + 14), f"{level:.0%}", 12, FAINT, "mm")
    for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
        y = TOP + ROW * (place + 0.5)
        colour = COLOURS[0] if row.budget == ALL else COLOURS[1]
        canvas.write((left - 16, y), label, 12, INK, "rm")
        if row.low is not None and row.high is not None:
            ends = x_of(row.low), x_of(row.high)
            canvas.line([(end, y) for end in ends], colour, 2)
            for end in ends:
                canvas.line([(end, y - 4), (end, y + 4)], colour, 1.5)
        _dot(canvas, x_of(row.score), y, colour)
        canvas.write((WIDTH - RIGHT + 14, y), f"{row.score:.1%}", 12, INK, "lm")
    return save_png(canvas.image, path)


def _label(row: ComparisonRow, result: ComparisonResult) -> str:
    """What tells the row from the others."""
    return _named(row, result.rows, f"{row.images:,} images")


def _named(one: ComparisonRow | CurveForecast, all_of_them: Sequence[Any], *further: str) -> str:
    """The view, cut to what room is left to it, and what else tells one from the others."""
    varied = [name for name in ("architecture", "real") if len({getattr(other, name) for other in all_of_them}) > 1]
    rest = "".join(f", {part}" for part in (*(getattr(one, name) for name in varied), *further))
    rest = fit(rest, 12, LABEL_ROOM * 3 / 4)
    return fit(one.view, 12, LABEL_ROOM - width_of(rest, 12)) + rest


def draw_curves(result: ComparisonResult, path: Path) -> Path:
    """Draw the score over images a class, with the forecast's band. Raises DataError if it cannot be written."""
    curves = result.forecasts[: len(COLOURS)]
    lines = [[(n, row.score) for n, row in curve_points(curve, result.rows).items()] for curve in curves]
    values = [score for line in lines for _, score in line]
    values += [end for curve in curves for one in curve.further for end in (one.low, one.high)]
    counts = {count for line in lines for count, _ in line}
    counts |= {one.images_per_class for curve in curves for one in curve.further}
    if not values:
        canvas = Canvas(WIDTH, TOP)
        canvas.write((20, 20), "No curve: fewer than two numbers of images", 18, INK, "lt")
        return save_png(canvas.image, path)
    low, high, step = _axis(values)
    left, right, top, bottom = PLOT
    key = [(_named(curve, curves), colour) for curve, colour in zip(curves, COLOURS, strict=False)]
    top += KEY_ROW * (_key_rows(key, left, WIDTH - right) - 1)
    canvas = Canvas(WIDTH, top + HEIGHT)
    first, last = math.log(min(counts)), math.log(max(counts))

    def x_of(count: float) -> float:
        share = (math.log(count) - first) / (last - first) if last > first else 0.5
        return left + 24 + share * (WIDTH - left - right - 48)

    def y_of(score: float) -> float:
        return top + (high - min(max(score, low), high)) / (high - low) * (HEIGHT - bottom)

    canvas.write((left, 18), "Accuracy over images a class", 18, INK, "lt")
    _key(canvas, key, left, WIDTH - right, 58)
    for level in _levels(low, high, step):
        canvas.line([(left, y_of(level)), (WIDTH - right, y_of(level))], RULE, 1)
        canvas.write((left - 8, y_of(level)), f"{level:.0%}", 12, FAINT, "rm")
    end = -math.inf
    for count in sorted(counts):
        half = width_of(f"{count:,}", 12) / 2
        if x_of(count) - half > end + 6:  # where two would run into each other, the first alone
            canvas.write((x_of(count), top + HEIGHT - bottom + 14), f"{count:,}", 12, FAINT, "mm")
            end = x_of(count) + half
    about = "images a class; dashed: the forecast with its 90% band"
    canvas.write(((left + WIDTH - right) / 2, top + HEIGHT - 22), about, 12, FAINT, "mm")
    for curve, line, colour in zip(curves, lines, COLOURS, strict=False):
        places = [(x_of(count), y_of(score)) for count, score in line]
        further = [(x_of(one.images_per_class), y_of(one.low), y_of(one.high)) for one in curve.further]
        # what was measured is certain, and from there on it is less and less so
        _band(canvas, [(places[-1][0], places[-1][1], places[-1][1]), *further], colour)
        canvas.line(places, colour, 2.5)
        ahead = [places[-1], *((x_of(one.images_per_class), y_of(one.score)) for one in curve.further)]
        for start, target in pairwise(ahead):
            _dashes(canvas, start, target, colour)
        for place in places:
            _dot(canvas, *place, colour)
    return save_png(canvas.image, path)


def _axis(values: list[float]) -> tuple[float, float, float]:
    """The lowest and highest value of an axis, and the step of its rules."""
    low, high = max(0.0, min(values)), min(1.0, max(values))
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / s <= 7 or s == 0.2)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return low, max(high, low + step), step


def _levels(low: float, high: float, step: float) -> Iterator[float]:
    """Where the rules of an axis are."""
    return (low + i * step for i in range(round((high - low) / step) + 1))


def _key(canvas: Canvas, entries: Sequence[tuple[str, Colour]], left: float, right: float, y: float) -> None:
    """Draw what each colour means, in as many rows as that takes."""
    for (name, colour), (x, row) in zip(entries, _key_places(entries, left, right), strict=True):
        middle = y + row * KEY_ROW
        canvas.line([(x, middle), (x + 14, middle)], colour, 2.5)
        canvas.write((x + 20, middle), name, 12, INK, "lm")


def _key_places(entries: Sequence[tuple[str, Colour]], left: float, right: float) -> list[tuple[float, int]]:
    """x and row of each entry."""
    places, x, row = [], left, 0
    for name, _ in entries:
        if x + 20 + width_of(name, 12) > right and x > left:
            x, row = left, row + 1
        places.append((x, row))
        x += width_of(name, 12) + KEY_GAP
    return places


def _key_rows(entries: Sequence[tuple[str, Colour]], left: float, right: float) -> int:
    return 1 + max(row for _, row in _key_places(entries, left, right))


def _key_width(entries: Sequence[tuple[str, Colour]]) -> float:
    return sum(width_of(name, 12) + KEY_GAP for name, _ in entries) - KEY_GAP + 20


def _dot(canvas: Canvas, x: float, y: float, colour: Colour) -> None:
    box = [value * SCALE for value in (x - 4, y - 4, x + 4, y + 4)]
    canvas.draw.ellipse(box, fill=colour, outline=PAPER, width=SCALE)


def _dashes(canvas: Canvas, start: tuple[float, float], end: tuple[float, float], colour: Colour) -> None:
    length = math.dist(start, end)
    for begin in range(0, int(length), 10):
        parts = [(begin + offset) / length for offset in (0, min(5, length - begin))]
        canvas.line([tuple(a + (b - a) * part for a, b in zip(start, end, strict=True)) for part in parts], colour, 2)  # pyright: ignore[reportArgumentType]


def _band(canvas: Canvas, intervals: list[tuple[float, float, float]], colour: Colour) -> None:
    """Shade intervals, x with y of the low and of the high end."""
    if len(intervals) < 2:
        return
    mask = Image.new("L", canvas.image.size)
    outline = [(x, high) for x, _, high in intervals] + [(x, low) for x, low, _ in reversed(intervals)]
    ImageDraw.Draw(mask).polygon([(x * SCALE, y * SCALE) for x, y in outline], fill=round(255 * 0.16))
    canvas.image.paste(colour, (0, 0), mask)
