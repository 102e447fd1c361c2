"""The confusion matrix as a picture. Drawn with PIL alone, from the numbers of an evaluation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from synthset.classifiers.scoring import EvaluationResult
from synthset.images.drawing import FAINT, INK, PAPER, SCALE, Canvas, fit, save_png, width_of

RAMP = ((243, 246, 249), (190, 216, 236), (101, 161, 206), (36, 104, 173), (10, 50, 108))  # 0 … 100 %
MAX_CLASSES_WITH_COUNTS = 30
MAX_CLASSES_WITH_NAMES = 120
LARGEST_SIDE_PX = 1080  # of the matrix where cells have no counts
MARGIN_PX = 28
LEGEND_PX = 160


def draw_confusion_matrix(result: EvaluationResult, path: Path | str) -> Path:
    """Draw the matrix as a PNG: colours are shares of a row, cells hold counts, each row ends in its recall.

    With more than 30 classes the cells stay empty; with more than 120 the names are left out too; with more than 2,160
    a pixel is the largest share of several classes.
    Returns:
        The file written.
    Raises:
        DataError: it cannot be written.
    """
    return save_png(_draw(result).image, Path(path))


def _draw(result: EvaluationResult) -> Canvas:
    k = len(result.class_names)
    has_counts = k <= MAX_CLASSES_WITH_COUNTS
    cell = 60 if k <= 4 else 44 if k <= 12 else 32 if has_counts else min(18, LARGEST_SIDE_PX * SCALE // k / SCALE)
    cells = _picture_of_cells(result, max(1, round(cell * SCALE)))
    text = int(min(13, cell - 2))
    names = [fit(name, text, 150) for name in result.class_names] if k <= MAX_CLASSES_WITH_NAMES else []
    names_px = math.ceil(max((width_of(name, text) for name in names), default=0))
    is_upright = any(width_of(name, text) > cell - 6 for name in names)  # too wide for a column

    left = MARGIN_PX + 24 + names_px + 10
    top = MARGIN_PX + 88 + (names_px if is_upright else 16 if names else 0) + 8
    side = math.ceil(cells.width / SCALE)
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
        middle = int((i + 0.5) * cell)
        canvas.write((left - 10, top + middle), name, text, INK, "rm")
        above = (left + middle, top - 8 if is_upright else top - 12)
        canvas.write(above, name, text, INK, "ms", upright=is_upright)  # all on one baseline
    canvas.image.paste(cells, (left * SCALE, top * SCALE))
    if has_counts:
        _write_counts(canvas, result, left, top, int(cell))
        _write_recalls(canvas, result, left + side + 12, top, int(cell))
    _draw_legend(canvas, left, top + side + 26)
    return canvas


def _picture_of_cells(result: EvaluationResult, cell: int) -> Image.Image:
    """The k × k cells, each of `cell` × `cell` pixels, or as many of several classes as there is room for."""
    k = len(result.class_names)
    classes_a_cell = math.ceil(k / (LARGEST_SIDE_PX * SCALE))
    side = math.ceil(k / classes_a_cell)
    places = result.counts.tocoo()
    shares = np.zeros((side, side))
    of_row = places.data / result.counts.sum(1)[places.row].clip(1)
    np.maximum.at(shares, (places.row // classes_a_cell, places.col // classes_a_cell), of_row)
    pixels = _colours(shares).repeat(cell, 0).repeat(cell, 1)
    if cell >= 12 * SCALE:
        is_gap = np.isin(np.arange(side * cell) % cell, (0, 1, cell - 2, cell - 1))
        pixels[is_gap] = pixels[:, is_gap] = PAPER
    return Image.fromarray(pixels, "RGB")


def _write_counts(canvas: Canvas, result: EvaluationResult, left: int, top: int, cell: int) -> None:
    counts = result.counts.toarray()
    colours = _colours(counts / counts.sum(1, keepdims=True).clip(1))
    size = max(7, min(14, int((cell - 6) / (0.6 * len(f"{counts.max():,}")))))
    for i, j in np.argwhere(counts).tolist():  # empty cells make the mistakes stand out
        middle = (left + j * cell + cell // 2, top + i * cell + cell // 2)
        canvas.write(middle, f"{counts[i, j]:,}", size, PAPER if colours[i, j].sum(dtype=int) < 420 else INK, "mm")


def _write_recalls(canvas: Canvas, result: EvaluationResult, x: int, top: int, cell: int) -> None:
    canvas.write((x, top - 12), "recall", 12, FAINT, "ls")
    for i, recall in enumerate(result.per_class_accuracy):
        words = "-" if recall is None else f"{recall:.0%}" if recall in (0, 1) else f"{recall:.1%}"
        canvas.write((x, top + i * cell + cell // 2), words, 12, FAINT, "lm")


def _draw_legend(canvas: Canvas, left: int, top: int) -> None:
    ramp = _colours(np.linspace(0, 1, LEGEND_PX * SCALE))
    canvas.image.paste(Image.fromarray(ramp[None].repeat(8 * SCALE, 0), "RGB"), (left * SCALE, top * SCALE))
    canvas.write((left, top + 24), "0%", 11, FAINT, "ls")
    canvas.write((left + LEGEND_PX, top + 24), "100% of the true class", 11, FAINT, "rs")


def _colours(shares: np.ndarray) -> np.ndarray:
    """The colours of shares in [0, 1], uint8 (…, 3)."""
    steps = np.arange(len(RAMP))
    position = shares**0.6 * steps[-1]  # steeper at first, as mistakes are rare and matter most
    return (
        np.stack([np.interp(position, steps, channel) for channel in zip(*RAMP, strict=True)], -1)
        .round()
        .astype(np.uint8)
    )
