"""Findings as pictures, from saved results alone: the papers' figures, and every difference with its interval."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from synthset.findings.results import FindingResult
from synthset.findings.rules import CONTRADICTED, NOT_SHOWN, SHOWN
from synthset.images.drawing import FAINT, INK, PAPER, SCALE, Canvas, Colour, fit, save_png, width_of

WIDTH = 700  # as a page of paper has it
MARGIN = 20
RULE = (228, 231, 235)
OURS = (36, 104, 173)
# apart from each other in hue and in lightness, so that they stay so for the colour-blind and in grey
TRICKS: Mapping[str, Colour] = {
    "base": (90, 96, 104),
    "class name": (186, 150, 20),
    "multi-domain": (20, 138, 102),
    "random guidance": (214, 106, 28),
    "all combined": OURS,
}
VERDICTS: Mapping[str, Colour] = {SHOWN: (26, 107, 60), NOT_SHOWN: (101, 109, 118), CONTRADICTED: (180, 35, 24)}
_GAIN = re.compile(r"gain at (\d+) shots?")
MOST_LABEL = 290  # room of a difference's name
_WIDEST = 0.6  # of an axis of shares: intervals of few seeds may be wider than anything that can be


@dataclass(frozen=True)
class Picture:
    """A picture of findings.

    Attributes:
        file: its name in the folder of the reproduction.
        caption: what it shows, in words.
    """

    file: str
    caption: str


@dataclass(frozen=True)
class _Mark:
    """A value with its interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None
    seeds: tuple[float, ...] = ()

    @property
    def ends(self) -> tuple[float, ...]:
        """All that an axis must show."""
        return tuple(value for value in (self.value, self.low, self.high, *self.seeds) if value is not None)


def draw_pictures(findings: Sequence[FindingResult], folder: Path) -> list[Picture]:
    """Draw what there are figures for. Raises DataError if a picture cannot be written."""
    found = {one.name: one for one in findings}
    canvases: list[tuple[Picture, Canvas | None]] = [
        (Picture("table2.png", "F1 to F4: each trick and all of them combined, here and in the paper"), _tricks(found)),
        (Picture("figure1.png", "F16: what synthetic images add, over real shots of a class"), _gains(found)),
        (Picture("figure5.png", "F26: diversity of the sets, here and in the paper"), _distances(found)),
    ]
    for paper in dict.fromkeys(one.paper for one in findings):
        own = [one for one in findings if one.paper == paper]
        caption = f"All differences that the verdicts on {paper} turn on, with their 95 % intervals"
        canvases.append((Picture(f"differences-{paper}.png", caption), _forest(own, paper)))
    drawn = []
    for picture, canvas in canvases:
        path = folder / picture.file
        if canvas is None:
            path.unlink(missing_ok=True)  # of an earlier run, whose figures are no more
        else:
            save_png(canvas.image, path)
            drawn.append(picture)
    return drawn


# ---- Table 2 of Shipard et al. -----------------------------------------------------------------------------


def _tricks(findings: Mapping[str, FindingResult]) -> Canvas | None:
    """Bars of the tricks, a group for each task; the paper's are paler."""
    own = [findings[name] for name in ("F1", "F2", "F3", "F4") if name in findings]
    ours = _grouped({item.label: _Mark(item.mean, item.low, item.high) for one in own for item in one.measured})
    theirs = _grouped({item.label: _Mark(item.value) for one in own for item in one.published})
    groups = [(task or "here", marks, "here" if task else "") for task, marks in ours.items()]
    groups += [(task, marks, "the paper") for task, marks in theirs.items()]
    if not ours:
        return None
    left, top, height = 52, 82, 230
    canvas = Canvas(WIDTH, top + height + 50)
    canvas.write((MARGIN, 18), "Accuracy on real images by trick", 18, INK, "lt")
    _key(canvas, TRICKS, 54)
    room = (WIDTH - MARGIN - left) / sum(len(marks) + 1 for _, marks, _ in groups)

    digits = ".1f" if room > width_of("88.8", 10) else ".0f"

    def y_of(share: float) -> float:
        return top + height * (1 - min(max(share, 0.0), 1.0))

    for level in range(0, 101, 20):
        canvas.line([(left, y_of(level / 100)), (WIDTH - MARGIN, y_of(level / 100))], RULE, 1)
        canvas.write((left - 8, y_of(level / 100)), f"{level}%", 12, FAINT, "rm")
    x = left + room / 2
    for task, marks, whose in groups:
        middle = x + room * len(marks) / 2
        name = fit(task, 12, room * (len(marks) + 0.9))
        canvas.write((middle, y_of(0) + 16), name, 12, INK, "mm")
        canvas.write((middle, y_of(0) + 32), whose, 11, FAINT, "mm")
        for trick, mark in marks.items():
            colour = _pale(TRICKS[trick]) if whose == "the paper" else TRICKS[trick]
            _bar(canvas, (x, room), (y_of(mark.value), y_of(0)), colour)
            highest = mark.value if mark.high is None else max(mark.value, mark.high)
            if mark.low is not None and mark.high is not None:
                canvas.line([(x + room / 2, y_of(mark.low)), (x + room / 2, y_of(mark.high))], INK, 1)
            canvas.write((x + room / 2, y_of(highest) - 8), f"{100 * mark.value:{digits}}", 10, INK, "mm")
            x += room
        x += room
    return canvas


def _grouped(marks: Mapping[str, _Mark]) -> dict[str, dict[str, _Mark]]:
    """By task, and in it by trick, in the order of the tricks: labels are "base" or "base, CIFAR-10"."""
    groups: dict[str, dict[str, _Mark]] = {}
    for trick in TRICKS:
        for label, mark in marks.items():
            name, _, task = label.partition(", ")
            if name == trick:
                groups.setdefault(task, {})[trick] = mark
    return groups


def _bar(canvas: Canvas, across: tuple[float, float], along: tuple[float, float], colour: Colour) -> None:
    (x, room), (high, low) = across, along
    canvas.draw.rectangle([value * SCALE for value in (x + room * 0.08, high, x + room * 0.92, low)], fill=colour)


def _pale(colour: Colour) -> Colour:
    red, green, blue = (round(255 - (255 - part) * 0.45) for part in colour)
    return red, green, blue


# ---- Figure 1 of He et al. ---------------------------------------------------------------------------------


def _gains(findings: Mapping[str, FindingResult]) -> Canvas | None:
    """Gain over shots, with whiskers, and where there is none as a line."""
    measured = findings["F16"].measured if "F16" in findings else ()
    marks = {
        int(match[1]): _Mark(item.mean, item.low, item.high, item.values)
        for item in measured
        if (match := _GAIN.fullmatch(item.label))
    }
    if not marks:
        return None
    left, top, height = 64, 60, 240
    canvas = Canvas(WIDTH, top + height + 52)
    low, high, step = _axis([0.0, *(end for mark in marks.values() for end in _within(mark))])

    def y_of(gain: float) -> float:
        return top + height * (high - min(max(gain, low), high)) / (high - low)

    canvas.write((MARGIN, 18), "Accuracy that synthetic images add to real ones", 18, INK, "lt")
    for level in _levels(low, high, step):
        colour = FAINT if abs(level) < step / 2 else RULE
        canvas.line([(left, y_of(level)), (WIDTH - MARGIN, y_of(level))], colour, 1)
        canvas.write((left - 8, y_of(level)), _points(level), 12, FAINT, "rm")
    counts = sorted(marks)
    gap = (WIDTH - MARGIN - left) / len(counts)
    places = [(left + gap * (i + 0.5), y_of(marks[count].value)) for i, count in enumerate(counts)]
    canvas.line(places, OURS, 2.5)
    for (x, y), count in zip(places, counts, strict=True):
        mark = marks[count]
        _whisker(canvas, [(x, y_of(end)) for end in (mark.low, mark.high) if end is not None], OURS)
        for value in mark.seeds if len(mark.seeds) > 1 else ():
            _dot(canvas, x + 10, y_of(value), 2.5, FAINT)
        _dot(canvas, x, y, 4, OURS)
        canvas.write((x, top + height + 14), f"{count:,}", 12, FAINT, "mm")
    about = "real images a class; points of accuracy, 95 % interval over seeds, each seed in grey"
    canvas.write(((left + WIDTH - MARGIN) / 2, top + height + 36), about, 12, FAINT, "mm")
    return canvas


# ---- Figure 5 of Marwood et al. ----------------------------------------------------------------------------


def _distances(findings: Mapping[str, FindingResult]) -> Canvas | None:
    """Centroid Distance of each set on an axis of ours, and beside it on the paper's, which is of another encoder."""
    one = findings.get("F26")
    if one is None or not one.measured:
        return None
    ours = {item.label: _Mark(item.mean, item.low, item.high, item.values) for item in one.measured}
    theirs = {item.label: _Mark(item.value) for item in one.published}
    row, top = 34, 84
    canvas = Canvas(WIDTH, top + row * len(ours) + 60)
    canvas.write((MARGIN, 18), "Centroid Distance of the sets", 18, INK, "lt")
    left = MARGIN + max(width_of(label, 12) for label in ours) + 16
    half = (WIDTH - 2 * MARGIN - left - 40) / 2
    panels = (("here", ours, left, OURS), ("the paper", theirs, left + half + 40, _pale(OURS)))
    for name, marks, start, colour in panels:
        canvas.write((start + half / 2, 58), name, 12, INK, "mm")
        low, high, step = _axis([0.0, *(end for mark in marks.values() for end in mark.ends)], most=4)
        end = top + row * len(ours)

        def x_of(value: float, start: float = start, low: float = low, high: float = high) -> float:
            return start + half * (value - low) / (high - low)

        for level in _levels(low, high, step):
            canvas.line([(x_of(level), top), (x_of(level), end)], RULE, 1)
            canvas.write((x_of(level), end + 14), f"{level:.3g}", 12, FAINT, "mm")
        for place, label in enumerate(ours):
            y = top + row * (place + 0.5)
            if mark := marks.get(label):
                _whisker(canvas, [(x_of(end), y) for end in (mark.low, mark.high) if end is not None], colour)
                for value in mark.seeds if len(mark.seeds) > 1 else ():
                    _dot(canvas, x_of(value), y + 9, 2.5, FAINT)
                _dot(canvas, x_of(mark.value), y, 4, colour)
    about = "95 % interval over seeds, each seed in grey; the paper's encoder is another, and so is its axis"
    canvas.write((WIDTH / 2, top + row * len(ours) + 42), about, 12, FAINT, "mm")
    for place, label in enumerate(ours):
        canvas.write((left - 14, top + row * (place + 0.5)), label, 12, INK, "rm")
    return canvas


# ---- all differences ---------------------------------------------------------------------------------------


def _forest(findings: Sequence[FindingResult], paper: str) -> Canvas | None:
    """A row for each difference: shares on one axis, other figures each on an axis of its own, zero upright."""
    rows = [(one, item) for one in findings for item in one.differences]
    if not rows:
        return None
    row, top, bottom = 22, 84, 84 + 22 * len(rows)
    marks = [_Mark(item.mean, item.low, item.high) for _, item in rows]
    values = [_written(one.unit, mark) for (one, _), mark in zip(rows, marks, strict=True)]
    left = MARGIN + 40 + min(MOST_LABEL, max(width_of(item.label, 11) for _, item in rows)) + 12
    right = WIDTH - MARGIN - max(width_of(value, 11) for value in values) - 14
    middle = (left + right) / 2
    canvas = Canvas(WIDTH, bottom + 48)
    canvas.write((MARGIN, 18), f"Differences behind the verdicts, {paper}", 18, INK, "lt")
    _key(canvas, VERDICTS, 54)
    shares = [
        abs(end) for (one, _), mark in zip(rows, marks, strict=True) for end in mark.ends if one.unit == "percent"
    ]
    _, reach, step = _axis([0.0, min(_WIDEST, max(shares, default=0.0))], most=3)
    canvas.line([(middle, top - 6), (middle, bottom)], FAINT, 1)
    for level in [sign * step * i for i in range(1, round(reach / step) + 1) for sign in (-1, 1)] if shares else ():
        x = middle + level / reach * (right - left) / 2
        canvas.line([(x, top - 6), (x, bottom)], RULE, 1)
        canvas.write((x, bottom + 14), _points(level), 12, FAINT, "mm")
    canvas.write((middle, bottom + 14), "0", 12, FAINT, "mm")
    canvas.write((WIDTH / 2, bottom + 36), _axes_in_words({one.unit for one, _ in rows}), 12, FAINT, "mm")
    name = ""
    for place, ((one, item), mark) in enumerate(zip(rows, marks, strict=True)):
        y, colour = top + row * (place + 0.5), VERDICTS.get(item.verdict, FAINT)
        if one.name != name:
            canvas.write((MARGIN, y), one.name, 12, INK, "lm")
            name = one.name
        canvas.write((left - 12, y), fit(item.label, 11, MOST_LABEL), 11, INK, "rm")
        limit = reach if one.unit == "percent" else 1.1 * max(map(abs, mark.ends)) or 1.0
        low, high = (
            None if end is None else middle + end / limit * (right - left) / 2 for end in (mark.low, mark.high)
        )
        place_of = _Mark(middle + mark.value / limit * (right - left) / 2, low, high)
        _row(canvas, place_of, (left, right, y), colour)
        if one.unit != "percent":
            _dot(canvas, min(max(place_of.value, left), right), y, 2, PAPER)
        canvas.write((right + 14, y), values[place], 11, INK, "lm")
    return canvas


def _axes_in_words(units: Collection[str]) -> str:
    """What the axis of all differences shows, by their units.

    >>> _axes_in_words({"percent"}), _axes_in_words({"number"})
    ('points of a hundred', 'open dots are of units of their own, each on an axis of its own')
    """
    words = ["points of a hundred"] * ("percent" in units)
    if set(units) - {"percent"}:
        words.append(f"open dots are of {'other units' if words else 'units of their own'}, each on an axis of its own")
    return "; ".join(words)


def _row(canvas: Canvas, mark: _Mark, room: tuple[float, float, float], colour: Colour) -> None:
    """A mark by its places on the canvas; what goes beyond an end is cut, and an arrow says so."""
    left, right, y = room
    if mark.low is not None and mark.high is not None:
        canvas.line([(min(max(end, left), right), y) for end in (mark.low, mark.high)], colour, 2)
        for end, side in ((mark.low, 1), (mark.high, -1)):
            x, width = min(max(end, left), right), 0 if left <= end <= right else 5 * side
            canvas.line([(x + width, y - 4), (x, y), (x + width, y + 4)], colour, 1.5)
    _dot(canvas, min(max(mark.value, left), right), y, 4, colour)


def _written(unit: str, mark: _Mark) -> str:
    def number(value: float) -> str:
        if unit == "percent":
            return f"{100 * value:+.1f}"
        return f"{value:+.2g}" if abs(value) < 99.5 else f"{value:+,.0f}"

    interval = "" if mark.low is None or mark.high is None else f" ({number(mark.low)} to {number(mark.high)})"
    return f"{number(mark.value)}{interval}"


# ---- what the pictures share -------------------------------------------------------------------------------


def _within(mark: _Mark) -> Iterator[float]:
    """The ends of a mark, not farther from its value than an axis of shares may be long."""
    for end in mark.ends:
        yield min(max(end, mark.value - _WIDEST), mark.value + _WIDEST)


def _axis(values: Sequence[float], most: int = 6) -> tuple[float, float, float]:
    """The lowest and highest value of an axis, and the step of its at most so many rules.

    >>> _axis([0.0, 0.9]), _axis([-3.0, 4.0], most=4)
    ((0.0, 1.0, 0.2), (-5.0, 5.0, 5.0))
    """
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    size = 10.0 ** math.floor(math.log10(span / most))
    step = next(size * factor for factor in (1, 2, 5, 10, 20) if span / (size * factor) <= most - 1 or factor == 20)
    low = math.floor(low / step + 1e-9) * step
    return low, max(math.ceil(high / step - 1e-9) * step, low + step), step


def _points(share: float) -> str:
    return f"{100 * share:+.3g}" if abs(share) > 1e-9 else "0"


def _levels(low: float, high: float, step: float) -> Iterator[float]:
    return (low + i * step for i in range(round((high - low) / step) + 1))


def _key(canvas: Canvas, colours: Mapping[str, Colour], y: float) -> None:
    """What each colour means, in a row."""
    x = float(MARGIN)
    for name, colour in colours.items():
        canvas.draw.rectangle([value * SCALE for value in (x, y - 5, x + 10, y + 5)], fill=colour)
        canvas.write((x + 16, y), name, 12, INK, "lm")
        x += width_of(name, 12) + 40


def _whisker(canvas: Canvas, ends: Sequence[tuple[float, float]], colour: Colour) -> None:
    for start, end in pairwise(ends):
        canvas.line([start, end], colour, 1.5)


def _dot(canvas: Canvas, x: float, y: float, radius: float, colour: Colour) -> None:
    box = [value * SCALE for value in (x - radius, y - radius, x + radius, y + radius)]
    canvas.draw.ellipse(box, fill=colour, outline=PAPER, width=SCALE)
