"""The confusion matrix as a picture. Drawn with PIL alone, from the numbers of an evaluation."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from synthset.classifiers.scoring import EvaluationResult
from synthset.images.drawing import clean, load_font, save_png, shorten

SCALE = 2  # all is drawn at twice its size, for sharp screens; lengths below are in unscaled pixels
INK, FAINT, PAPER = (31, 35, 40), (101, 109, 118), (255, 255, 255)
RAMP = ((243, 246, 249), (190, 216, 236), (101, 161, 206), (36, 104, 173), (10, 50, 108))  # 0 … 100 %
MAX_CLASSES_WITH_COUNTS = 30
MAX_CLASSES_WITH_NAMES = 120
MARGIN_PX = 28
LEGEND, LEGEND_PX = "100% of the true class", 160


def draw_confusion_matrix(result: EvaluationResult, path: Path | str) -> Path:
    """Draw the matrix as a PNG: colours are shares of a row, cells hold counts, each row ends in its recall.

    With more than 30 classes the cells stay empty; with more than 120 the names are left out too.
    Returns:
        The file written.
    Raises:
        DataError: it cannot be written.
    """
    return save_png(_draw(result), Path(path))


def _draw(result: EvaluationResult) -> Image.Image:
    k = len(result.class_names)
    has_counts = k <= MAX_CLASSES_WITH_COUNTS
    cell = 60 if k <= 4 else 44 if k <= 12 else 32 if has_counts else max(3, min(18, 1080 // k))
    text = min(13, cell - 2)
    names = [_fit(name, text, 150) for name in result.class_names] if k <= MAX_CLASSES_WITH_NAMES else []
    names_px = max((_width(name, text) for name in names), default=0)
    is_upright = any(_width(name, text) > cell - 6 for name in names)  # too wide for a column

    left = MARGIN_PX + 24 + names_px + 10
    top = MARGIN_PX + 88 + (names_px if is_upright else 16 if names else 0) + 8
    side = k * cell
    headline = _headline(result)
    title = _fit(f"Confusion on {result.real}", 20, max(side, 360))
    texts_px = max(_width(headline, 13), _width(title, 20))
    content = left + max(side + (60 if has_counts else 0), LEGEND_PX)
    width = max(content, MARGIN_PX + texts_px) + MARGIN_PX
    canvas = Image.new("RGB", (width * SCALE, (top + side + 64 + MARGIN_PX) * SCALE), PAPER)

    _write(canvas, (MARGIN_PX, MARGIN_PX), title, 20, INK, "lt")
    _write(canvas, (MARGIN_PX, MARGIN_PX + 30), headline, 13, FAINT, "lt")
    _write(canvas, (left + side // 2, MARGIN_PX + 70), "predicted", 12, FAINT, "mm")
    _write(canvas, (MARGIN_PX + 8, top + side // 2), "true", 12, FAINT, "mm", upright=True)
    for i, name in enumerate(names):
        middle = i * cell + cell // 2
        _write(canvas, (left - 10, top + middle), name, text, INK, "rm")
        above = (left + middle, top - 8 if is_upright else top - 12)
        _write(canvas, above, name, text, INK, "ms", upright=is_upright)  # all on one baseline
    _draw_cells(canvas, result, left, top, cell, has_counts)
    if has_counts:
        _draw_recalls(canvas, result, left + side + 12, top, cell)
    _draw_legend(canvas, left, top + side + 26)
    return canvas


def _draw_cells(
    canvas: Image.Image, result: EvaluationResult, left: int, top: int, cell: int, has_counts: bool
) -> None:
    draw = ImageDraw.Draw(canvas)
    gap = SCALE if cell >= 12 else 0
    widest = max(len(f"{value:,}") for row in result.confusion for value in row)
    size = max(7, min(14, int((cell - 6) / (0.6 * widest))))
    for i, row in enumerate(result.confusion):
        for j, value in enumerate(row):
            share = value / max(1, sum(row))
            x, y = (left + j * cell) * SCALE, (top + i * cell) * SCALE
            box = (x + gap, y + gap, x + cell * SCALE - 1 - gap, y + cell * SCALE - 1 - gap)
            colour = _colour(share)
            draw.rounded_rectangle(box, radius=SCALE * cell // 14, fill=colour)
            if value and has_counts:  # empty cells make the mistakes stand out
                middle = (left + j * cell + cell // 2, top + i * cell + cell // 2)
                _write(canvas, middle, f"{value:,}", size, PAPER if sum(colour) < 420 else INK, "mm")


def _draw_recalls(canvas: Image.Image, result: EvaluationResult, x: int, top: int, cell: int) -> None:
    _write(canvas, (x, top - 12), "recall", 12, FAINT, "ls")
    for i, recall in enumerate(result.per_class_accuracy):
        words = "–" if recall is None else f"{recall:.0%}" if recall in (0, 1) else f"{recall:.1%}"
        _write(canvas, (x, top + i * cell + cell // 2), words, 12, FAINT, "lm")


def _draw_legend(canvas: Image.Image, left: int, top: int) -> None:
    draw = ImageDraw.Draw(canvas)
    width, height = LEGEND_PX, 8
    for x in range(width * SCALE):
        column = left * SCALE + x
        draw.line((column, top * SCALE, column, (top + height) * SCALE), _colour(x / (width * SCALE - 1)))
    _write(canvas, (left, top + height + 16), "0%", 11, FAINT, "ls")
    _write(canvas, (left + width, top + height + 16), LEGEND, 11, FAINT, "rs")


def _headline(result: EvaluationResult) -> str:
    return f"{result.accuracy:.1%} of {result.n:,} images correct, 95% interval {result.low:.1%} to {result.high:.1%}"


def _write(
    canvas: Image.Image,
    position: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    anchor: str,
    upright: bool = False,
) -> None:
    """Write at an unscaled position; `upright` turns the text to read upwards, centred on x."""
    font, (x, y) = load_font(size * SCALE), (position[0] * SCALE, position[1] * SCALE)
    if not upright:
        ImageDraw.Draw(canvas).text((x, y), text, colour, font, anchor)
        return
    box = font.getbbox(text, anchor="ls")
    ascent, descent = font.getmetrics() if isinstance(font, ImageFont.FreeTypeFont) else (size, 0)
    mask = Image.new("L", (int(box[2]) + 2, ascent + descent))
    ImageDraw.Draw(mask).text((0, ascent), text, 255, font, "ls")
    mask = mask.rotate(90, expand=True)
    below = mask.height if anchor.endswith("s") else mask.height // 2
    canvas.paste(colour, (x - mask.width // 2, y - below), mask)


def _colour(share: float) -> tuple[int, int, int]:
    position = share**0.6 * (len(RAMP) - 1)  # steeper at first, as mistakes are rare and matter most
    index = min(int(position), len(RAMP) - 2)
    low, high, part = RAMP[index], RAMP[index + 1], position - index
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return red, green, blue


def _fit(text: str, size: int, width: int) -> str:
    """On one line, in characters that can be drawn, and cut to `width`."""
    return shorten(clean(text), width * SCALE, size * SCALE)


def _width(text: str, size: int) -> int:
    return math.ceil(load_font(size * SCALE).getlength(text) / SCALE)
