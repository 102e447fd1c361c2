"""Grids: images that belong together side by side, a row each, with what tells them apart below each.

Drawn with PIL alone, like contact sheets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from synthset.images.drawing import clean, load_font, save_png, shorten
from synthset.images.pictures import INK, MARGIN_PX, MAX_WIDTH_PX, PAPER, QUIET_INK, RULE, TITLE_PX, thumbnail

HEADING_PX, LABEL_PX, CAPTION_PX = 16, 15, 12
LINE = 1.3  # height of a line of text, of its size
COLUMN_GAP_PX, ROW_GAP_PX, BLOCK_GAP_PX = 16, 14, 30
MAX_COLUMN_PX, MAX_LABEL_PX = 180, 220
HEADING_LINES, CAPTION_LINES = 3, 3
_BREAKS = re.compile(r"(?<=[ _/:-])|(?=@)")  # where a name or a prompt may go on below


@dataclass(frozen=True)
class GridCell:
    """An image, and texts below it, each on a line of its own or on several."""

    image: Image.Image
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class GridRow:
    """A row of a grid.

    Attributes:
        block: heading that it shares with the rows around it.
        label: what stands in front of it, below that heading.
        cells: one a column.
    """

    block: str
    label: str
    cells: tuple[GridCell, ...]


def draw_grid(
    path: Path, title: str, columns: Sequence[str], rows: Sequence[GridRow], footer: str = "", thumb_px: int = 112
) -> Path:
    """Draw a PNG of rows of images under the headings of columns; it is replaced whole or not at all.

    Args:
        columns: headings, at most twelve for a grid that stays within 2,000 pixels.
        rows: at least one, with a cell for each column.
        thumb_px: side of an image, about: small images are enlarged by a whole factor.
    Returns:
        The file written.
    Raises:
        DataError: it cannot be written.
    """
    layout = _lay_out(columns, rows, thumb_px)
    captions = [[_captions(cell, layout) for cell in row.cells] for row in rows]
    headings = [wrap(clean(name), layout.column_px, HEADING_PX, HEADING_LINES) for name in columns]
    top = MARGIN_PX + round((TITLE_PX + max(map(len, headings)) * HEADING_PX) * LINE) + 26
    tops, bottom = [], top
    for i, (row, texts) in enumerate(zip(rows, captions, strict=True)):
        bottom += 0 if not i else ROW_GAP_PX if row.block == rows[i - 1].block else BLOCK_GAP_PX
        tops.append(bottom)
        bottom += layout.thumb_px + 4 + round(max(map(len, texts)) * CAPTION_PX * LINE)
    texts_px = max(_width(clean(title), TITLE_PX), _width(clean(footer), CAPTION_PX))
    width = max(layout.right_px, min(MAX_WIDTH_PX - MARGIN_PX, MARGIN_PX + texts_px)) + MARGIN_PX
    below = MARGIN_PX + (round(CAPTION_PX * LINE) + 8 if footer else 0)

    sheet = Image.new("RGB", (width, bottom + below), PAPER)
    draw = ImageDraw.Draw(sheet)
    room = width - 2 * MARGIN_PX
    _write(draw, (MARGIN_PX, MARGIN_PX), [shorten(clean(title), room, TITLE_PX)], TITLE_PX, INK)
    for c, lines in enumerate(headings):
        y = top - 10 - round(len(lines) * HEADING_PX * LINE)  # the last lines stand above the images
        _write(draw, (layout.x_of(c), y), lines, HEADING_PX, INK)
    for r, (row, y) in enumerate(zip(rows, tops, strict=True)):
        _label(draw, row, rows[r - 1] if r else None, y, layout)
        for c, cell in enumerate(row.cells):
            sheet.paste(thumbnail(cell.image, layout.thumb_px), (layout.x_of(c), y))
            _write(draw, (layout.x_of(c), y + layout.thumb_px + 4), captions[r][c], CAPTION_PX, QUIET_INK)
    _write(draw, (MARGIN_PX, bottom + 16), [shorten(clean(footer), room, CAPTION_PX)], CAPTION_PX, QUIET_INK)
    return save_png(sheet, path)


@dataclass(frozen=True)
class _Layout:
    """Sizes in pixels of a grid."""

    label_px: int
    column_px: int
    thumb_px: int
    right_px: int

    def x_of(self, column: int) -> int:
        """Where a column begins."""
        return MARGIN_PX + self.label_px + COLUMN_GAP_PX + column * (self.column_px + COLUMN_GAP_PX)


def _lay_out(columns: Sequence[str], rows: Sequence[GridRow], thumb_px: int) -> _Layout:
    """Columns as wide as their images, and up to a limit as the longest word above them."""
    side = max(max(cell.image.size) for row in rows for cell in row.cells)
    thumb = side * max(1, round(thumb_px / side)) if side <= thumb_px else thumb_px
    labels = {clean(text) for row in rows for text in (row.block, row.label)}
    label_px = min(MAX_LABEL_PX, max(_width(text, LABEL_PX) for text in labels))
    left = MARGIN_PX + label_px + COLUMN_GAP_PX
    widest = max(_width(piece, HEADING_PX) for name in columns for piece in _BREAKS.split(clean(name)))
    column = max(thumb, min(MAX_COLUMN_PX, widest, (MAX_WIDTH_PX - MARGIN_PX - left) // len(columns) - COLUMN_GAP_PX))
    return _Layout(label_px, column, thumb, left + len(columns) * (column + COLUMN_GAP_PX) - COLUMN_GAP_PX)


def _captions(cell: GridCell, layout: _Layout) -> list[str]:
    wrapped = (wrap(clean(text), layout.column_px, CAPTION_PX, CAPTION_LINES) for text in cell.captions)
    return [line for lines in wrapped for line in lines]


def _label(draw: ImageDraw.ImageDraw, row: GridRow, above: GridRow | None, y: int, layout: _Layout) -> None:
    """Write what stands in front of a row; where a block begins, its heading too, below a rule."""
    lines = [(clean(row.label), QUIET_INK)]
    if above is None or above.block != row.block:
        lines = [(clean(row.block), INK), *lines]
        rule_y = y - (8 if above is None else BLOCK_GAP_PX // 2 - 2)
        draw.line((MARGIN_PX, rule_y, layout.right_px, rule_y), RULE)
    for i, (text, ink) in enumerate(lines):
        _write(
            draw, (MARGIN_PX, y + round(i * LABEL_PX * LINE)), [shorten(text, layout.label_px, LABEL_PX)], LABEL_PX, ink
        )


def _width(text: str, size_px: int) -> int:
    return math.ceil(load_font(size_px, text).getlength(text))


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str], size_px: int, ink: str) -> None:
    """Write lines below each other, the first at a place."""
    for i, line in enumerate(lines):
        draw.text((place[0], place[1] + round(i * size_px * LINE)), line, ink, load_font(size_px, line))


def wrap(text: str, room_px: int, size_px: int, most: int) -> list[str]:
    """A text in lines that fit their room, at most so many; what is too long ends with an ellipsis."""
    lines = [""]
    for piece in _BREAKS.split(text):
        if lines[-1] and len(lines) < most and _width((lines[-1] + piece).rstrip(), size_px) > room_px:
            lines.append("")
        lines[-1] += piece
    return [shorten(line.strip(), room_px, size_px) for line in lines if line.strip()]
