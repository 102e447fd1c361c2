"""The curve over shots as a picture. Drawn with PIL alone, from the numbers of a curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from PIL import Image, ImageDraw

from synthset.images.drawing import FAINT, INK, PAPER, SCALE, Canvas, Colour, Point, clean, fit, save_png, width_of
from synthset.tuning.baselines import BASELINES
from synthset.tuning.curve_results import CurveMean, CurveResult

WIDTH = 720
LEFT, RIGHT, BOTTOM = 64, 28, 56
AXES_PX = 300  # height between the axes
KEY_TOP, KEY_ROW = 52, 17  # of the legend, whose rows push the axes down
RULE = (228, 231, 235)
# apart from each other in hue and in lightness, so that they stay so for the colour-blind and in grey
COLOURS = (
    (36, 104, 173),
    (214, 106, 28),
    (20, 138, 102),
    (150, 72, 160),
    (186, 150, 20),
    (90, 96, 104),
    (190, 28, 72),
    (96, 186, 222),
)
ZERO_SHOT = "zero-shot CLIP"
BAND, WHISKER = 0.14, 0.45  # opacity of an interval
MAX_BANDS = 2  # of more than so many lines, intervals stand side by side as whiskers: bands would hide each other
DODGE_PX = 7
NAMES = {
    "real + synthetic": "real + synthetic",
    "real": "real images only",
    "random_head": "real images only, random start",
    "coop": "CoOp",
} | {name: method.label for name, method in BASELINES.items()}
ORDER = ("real + synthetic", "real")  # these come first


def draw_curve(curve: CurveResult, path: Path | str) -> Path:
    """Draw scores over shots as a PNG: a line a method, its 95 % interval over seeds, zero-shot CLIP as a level.

    Raises:
        DataError: it cannot be written.
    """
    return save_png(_draw(curve).image, Path(path))


def _draw(curve: CurveResult) -> Canvas:
    methods, beside = _methods(curve), dict[str, float]()
    colours = dict(zip(methods, cycle(COLOURS), strict=False))
    shots = sorted({mean.shots for mean in curve.means})
    low, high, step = _range(curve)
    key = _key_places(colours | {ZERO_SHOT: FAINT})
    top = key[-1][2] + 32
    bottom = top + AXES_PX
    canvas = Canvas(WIDTH, round(bottom + BOTTOM))

    def x_of(count: int) -> float:
        """Equal steps between 1, 2, 4, …; 0 stands where a half would."""
        first, last, place = (math.log2(number or 0.5) for number in (shots[0], shots[-1], count))
        share = (place - first) / (last - first) if last > first else 0.5
        return LEFT + 24 + share * (WIDTH - LEFT - RIGHT - 48)

    def y_of(score: float) -> float:
        return top + (high - min(max(score, low), high)) / (high - low) * AXES_PX

    score = "mean accuracy of the classes" if curve.metric == "mean_per_class" else "accuracy"
    canvas.write((LEFT, 18), fit(f"Tuned CLIP on {curve.real}", 18, WIDTH - LEFT - RIGHT), 18, INK, "lt")
    _draw_key(canvas, key)
    level = low
    while level <= high + 1e-9:
        canvas.line([(LEFT, y_of(level)), (WIDTH - RIGHT, y_of(level))], RULE, 1)
        canvas.write((LEFT - 8, y_of(level)), f"{level:.0%}", 12, FAINT, "rm")
        level += step
    for count in shots:
        canvas.write((x_of(count), bottom + 14), str(count), 12, FAINT, "mm")
    seeds = max(mean.seeds for mean in curve.means)
    about = f", mean of {seeds} seeds with 95% interval" if seeds > 1 else ", one seed"
    canvas.write(
        ((LEFT + WIDTH - RIGHT) / 2, bottom + BOTTOM - 22), f"real images a class; {score}{about}", 12, FAINT, "mm"
    )

    for x in range(LEFT, WIDTH - RIGHT - 4, 8):
        canvas.line([(x, y_of(curve.zero_shot)), (x + 4, y_of(curve.zero_shot))], FAINT, 1.5)
    dodge = DODGE_PX if len(methods) > MAX_BANDS else 0
    for place, (method, means) in enumerate(methods.items()):
        beside[method] = (place - (len(methods) - 1) / 2) * dodge
        intervals = [
            (x_of(m.shots) + beside[method], y_of(m.low), y_of(m.high))
            for m in means
            if m.low is not None and m.high is not None
        ]
        _draw_intervals(canvas, intervals, colours[method], as_band=not dodge)
    for method, means in reversed(methods.items()):  # the first lies on top
        points = [(x_of(mean.shots) + beside[method], y_of(mean.mean)) for mean in means]
        canvas.line(points, colours[method], 2.5)
        for x, y in points:
            box = [value * SCALE for value in (x - 4, y - 4, x + 4, y + 4)]
            canvas.draw.ellipse(box, fill=colours[method], outline=PAPER, width=SCALE)
    return canvas


def _key_places(colours: dict[str, Colour]) -> list[tuple[str, float, float, Colour]]:
    """Name, x, y and colour of each entry of the legend, in as many rows as they take."""
    places, x, y = [], float(LEFT), float(KEY_TOP)
    for name, colour in colours.items():
        width = width_of(_words(name), 12) + 42
        if x + width > WIDTH - RIGHT and x > LEFT:
            x, y = float(LEFT), y + KEY_ROW
        places.append((name, x, y, colour))
        x += width
    return places


def _words(name: str) -> str:
    return NAMES.get(name, clean(name))


def _draw_key(canvas: Canvas, places: Sequence[tuple[str, float, float, Colour]]) -> None:
    for name, x, y, colour in places:
        if name == ZERO_SHOT:
            canvas.line([(x, y), (x + 5, y)], colour, 1.5)
            canvas.line([(x + 9, y), (x + 14, y)], colour, 1.5)
        else:
            canvas.line([(x, y), (x + 14, y)], colour, 2.5)
        canvas.write((x + 20, y), _words(name), 12, INK, "lm")


def _draw_intervals(
    canvas: Canvas, intervals: Sequence[tuple[float, float, float]], colour: Colour, *, as_band: bool
) -> None:
    """Draw intervals, x with y of the low and of the high end, as one band or as whiskers; one alone has no area."""
    if as_band and len(intervals) > 1:
        outline = [(x, high) for x, _, high in intervals] + [(x, low) for x, low, _ in reversed(intervals)]
        _shade(canvas, outline, colour, BAND)
        return
    for x, low, high in intervals:
        _shade(canvas, [(x - 1, low), (x + 1, low), (x + 1, high), (x - 1, high)], colour, WHISKER)


def _shade(canvas: Canvas, outline: Sequence[Point], colour: Colour, opacity: float) -> None:
    """Fill an outline, so that what lies below shows through."""
    mask = Image.new("L", canvas.image.size)
    corners = [(x * SCALE, y * SCALE) for x, y in outline]
    ImageDraw.Draw(mask).polygon(corners, fill=round(255 * opacity))
    canvas.image.paste(colour, (0, 0), mask)


def _methods(curve: CurveResult) -> dict[str, list[CurveMean]]:
    """The means of each method by shots; the tunings first."""
    names = sorted({mean.method for mean in curve.means}, key=lambda name: (name not in ORDER, name != ORDER[0], name))
    return {name: sorted((m for m in curve.means if m.method == name), key=lambda m: m.shots) for name in names}


def _range(curve: CurveResult) -> tuple[float, float, float]:
    """The lowest and highest score of the axis, and the step of its rules."""
    scores = [curve.zero_shot, *(mean.mean for mean in curve.means)]
    # the interval of two or three seeds may be wider than anything that can be shown
    spread = max(max(scores) - min(scores), 0.02)
    for mean in curve.means:
        if mean.low is not None and mean.high is not None:
            scores += [max(mean.low, mean.mean - spread / 2), min(mean.high, mean.mean + spread / 2)]
    low, high = max(0.0, min(scores)), min(1.0, max(scores))
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / s <= 7 or s == 0.5)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return low, max(high, low + step), step
