"""The confusion matrix as a picture. Drawn with PIL alone, from the numbers of an evaluation."""

from __future__ import annotations

import math
from pathlib import Path

from synthset.classifiers.scoring import EvaluationResult
from synthset.images.drawing import FAINT, INK, PAPER, SCALE, Canvas, Colour, fit, save_png, width_of

RAMP = ((243, 246, 249), (190, 216, 236), (101, 161, 206), (36, 104, 173), (10, 50, 108))  # 0 … 100 %
MAX_CLASSES_WITH_COUNTS = 30
MAX_CLASSES_WITH_NAMES = 120
MARGIN_PX = 28
LEGEND_PX = 160


def draw_confusion_matrix(result: EvaluationResult, path: Path | str) -> Path:
    """Draw the matrix as a PNG: colours are shares of a row, cells hold counts, each row ends in its recall.

    With more than 30 classes the cells stay empty; with more than 120 the names are left out too.
    Returns:
        The file written.
    Raises:
        DataError: it cannot be written.
    """
    return save_png(_draw(result).image, Path(path))


def _draw(result: EvaluationResult) -> Canvas:
    k = len(result.class_names)
    has_counts = k <= MAX_CLASSES_WITH_COUNTS
    cell = 60 if k <= 4 else 44 if k <= 12 else 32 if has_counts else max(3, min(18, 1080 // k))
    text = min(13, cell - 2)
    names = [fit(name, text, 150) for name in result.class_names] if k <= MAX_CLASSES_WITH_NAMES else []
    names_px = math.ceil(max((width_of(name, text) for name in names), default=0))
    is_upright = any(width_of(name, text) > cell - 6 for name in names)  # too wide for a column

    left = MARGIN_PX + 24 + names_px + 10
    top = MARGIN_PX + 88 + (names_px if is_upright else 16 if names else 0) + 8
    side = k * cell
    interval = f"95% interval {result.low:.1%} to {result.high:.1%}"
    headline = f"{result.accuracy:.1%} of {result.n:,} images correct, {interval}"
    title = fit(f"Confusion on {result.real}", 20, max(side, 360))
    texts_px = math.ceil(max(width_of(headline, 13), width_of(title, 20)))
    content = left + max(side + (60 if has_counts else 0), LEGEND_PX)
    width = max(content, MARGIN_PX + texts_px) + MARGIN_PX
    canvas = Canvas(width, top + side + 64 + MARGIN_PX)

    canvas.write((MARGIN_PX, MARGIN_PX), title, 20, INK, "lt")
    canvas.write((MARGIN_PX, MARGIN_PX + 30), headline, 13, FAINT, "lt")
    canvas.write((left + side // 2, MARGIN_PX + 70), "predicted", 12, FAINT, "mm")
    canvas.write((MARGIN_PX + 8, top + side // 2), "true", 12, FAINT, "mm", upright=True)
    for i, name in enumerate(names):
        middle = i * cell + cell // 2
        canvas.write((left - 10, top + middle), name, text, INK, "rm")
        above = (left + middle, top - 8 if is_upright else top - 12)
        canvas.write(above, name, text, INK, "ms", upright=is_upright)  # all on one baseline
    _draw_cells(canvas, result, left, top, cell, has_counts)
    if has_counts:
        _draw_recalls(canvas, result, left + side + 12, top, cell)
    _draw_legend(canvas, left, top + side + 26)
    return canvas


def _draw_cells(canvas: Canvas, result: EvaluationResult, left: int, top: int, cell: int, has_counts: bool) -> None:
    gap = SCALE if cell >= 12 else 0
    widest = max(len(f"{value:,}") for row in result.confusion for value in row)
    size = max(7, min(14, int((cell - 6) / (0.6 * widest))))
    for i, row in enumerate(result.confusion):
        for j, value in enumerate(row):
            x, y = (left + j * cell) * SCALE, (top + i * cell) * SCALE
            box = (x + gap, y + gap, x + cell * SCALE - 1 - gap, y + cell * SCALE - 1 - gap)
            colour = _colour(value / max(1, sum(row)))
            canvas.draw.rounded_rectangle(box, radius=SCALE * cell // 14, fill=colour)
            if value and has_counts:  # empty cells make the mistakes stand out
                middle = (left + j * cell + cell // 2, top + i * cell + cell // 2)
                canvas.write(middle, f"{value:,}", size, PAPER if sum(colour) < 420 else INK, "mm")


def _draw_recalls(canvas: Canvas, result: EvaluationResult, x: int, top: int, cell: int) -> None:
    canvas.write((x, top - 12), "recall", 12, FAINT, "ls")
    for i, recall in enumerate(result.per_class_accuracy):
        words = "-" if recall is None else f"{recall:.0%}" if recall in (0, 1) else f"{recall:.1%}"
        canvas.write((x, top + i * cell + cell // 2), words, 12, FAINT, "lm")


def _draw_legend(canvas: Canvas, left: int, top: int) -> None:
    steps = LEGEND_PX * SCALE
    for x in range(steps):
        column = left * SCALE + x
        canvas.draw.line((column, top * SCALE, column, (top + 8) * SCALE), _colour(x / (steps - 1)))
    canvas.write((left, top + 24), "0%", 11, FAINT, "ls")
    canvas.write((left + LEGEND_PX, top + 24), "100% of the true class", 11, FAINT, "rs")


def _colour(share: float) -> Colour:
    position = share**0.6 * (len(RAMP) - 1)  # steeper at first, as mistakes are rare and matter most
    index = min(int(position), len(RAMP) - 2)
    low, high, part = RAMP[index], RAMP[index + 1], position - index
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return red, green, blue
