"""Contact sheets: what a set looks like at a glance, a row a class and a column a strategy.

Drawn with PIL alone. Pixels of small images stay crisp: they are enlarged by whole factors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from synthset.core.errors import UsageError
from synthset.core.files import to_path
from synthset.images.drawing import clean, load_font, save_png, shorten
from synthset.images.imageset import ImageSet

MAX_WIDTH_PX = 2000
MAX_CLASSES = 20
MAX_STRATEGIES = 12

INK = "#1a1a1a"
QUIET_INK = "#6b6b6b"
PAPER = "#ffffff"
MAT = "#e6e6e6"  # between and behind images, which may be as white as the paper
RULE = "#e2e2e2"

MARGIN_PX = 24
GAP_PX = 3  # between the images of a cell
CELL_GAP_PX = 14
LABEL_GAP_PX = 18
TEXT_PX = 17
TITLE_PX = 22
FOOTER_PX = 14


@dataclass(frozen=True)
class _Layout:
    """Sizes in pixels of a sheet whose cells are mosaics of `across` × `down` thumbnails."""

    label_px: int
    thumb_px: int
    across: int
    down: int

    @property
    def cell_width_px(self) -> int:
        return self.across * self.thumb_px + (self.across - 1) * GAP_PX

    @property
    def cell_height_px(self) -> int:
        return self.down * self.thumb_px + (self.down - 1) * GAP_PX


def draw_contact_sheet(images: ImageSet, path: str | Path, *, per_cell: int | None = None, thumb_px: int = 64) -> Path:
    """Draw a PNG with the first images of each class (rows) and strategy (columns) of `images`.

    The columns are the words of `images.groups` in the order in which they first appear, or one column
    where there are none. At most 20 classes and 12 strategies are drawn, and the footer says what was
    left out; the sheet is at most 2,000 pixels wide. The same set always gives the same sheet.

    Args:
        images: what to show; only the images shown are decoded.
        path: the PNG to write; it is replaced whole or not at all.
        per_cell: how many images of each class and strategy; by default 6, or 10 where there is one column.
        thumb_px: the side of an image on the sheet, about: small images are enlarged by a whole factor.
    Returns:
        The file written.
    Raises:
        UsageError: no images, or sizes below 1.
        DataError: an image that cannot be read, or a file that cannot be written.
    """
    if not len(images):
        raise UsageError(f"Expected images to draw in '{images.name}', found none.")
    if thumb_px < 1 or (per_cell is not None and per_cell < 1):
        raise UsageError(f"Expected sizes of at least 1, got per_cell={per_cell}, thumb_px={thumb_px}.")
    strategies = list(dict.fromkeys(images.groups)) or [""]
    classes = images.class_names[:MAX_CLASSES]
    columns = strategies[:MAX_STRATEGIES]
    cells = _choose(images, len(classes), columns, per_cell or (6 if len(columns) > 1 else 10))
    thumbs = {row: images.image(row) for cell in cells.values() for row in cell}
    layout = _fit(classes, len(columns), max(map(len, cells.values())), thumb_px, list(thumbs.values()))
    sheet = _draw(images, classes, columns, cells, thumbs, layout, len(strategies))
    return save_png(sheet, to_path(path))


def _choose(images: ImageSet, num_classes: int, columns: list[str], per_cell: int) -> dict[tuple[int, str], list[int]]:
    """The first rows of each (class, strategy)."""
    groups = np.array(images.groups or [""] * len(images))
    return {
        (label, column): np.flatnonzero((images.labels == label) & (groups == column))[:per_cell].tolist()
        for label in range(num_classes)
        for column in columns
    }


def _fit(classes: tuple[str, ...], num_columns: int, per_cell: int, thumb_px: int, shown: list[Image.Image]) -> _Layout:
    """The largest thumbnails up to `thumb_px` with which the sheet stays within its width."""
    names = [clean(name) for name in classes]
    label_px = min(260, max(60, *(round(load_font(TEXT_PX, name).getlength(name)) + 1 for name in names)))
    down = 1 if num_columns == 1 and per_cell <= 12 else 2
    if per_cell > 12:
        down = round(np.sqrt(per_cell / 2))
    across = -(-per_cell // min(down, per_cell))
    free_px = MAX_WIDTH_PX - 2 * MARGIN_PX - label_px - LABEL_GAP_PX - (num_columns - 1) * CELL_GAP_PX
    room_px = max(4, (free_px // num_columns - (across - 1) * GAP_PX) // across)
    side = max(max(image.size) for image in shown)
    whole = side * max(1, round(thumb_px / side)) if side <= thumb_px else thumb_px
    if whole > room_px:
        whole = side * (room_px // side) if side <= room_px else room_px
    return _Layout(label_px, whole, across, -(-per_cell // across))


def _draw(
    images: ImageSet,
    classes: tuple[str, ...],
    columns: list[str],
    cells: dict[tuple[int, str], list[int]],
    thumbs: dict[int, Image.Image],
    layout: _Layout,
    num_strategies: int,
) -> Image.Image:
    left = MARGIN_PX + layout.label_px + LABEL_GAP_PX
    step_x, step_y = layout.cell_width_px + CELL_GAP_PX, layout.cell_height_px + CELL_GAP_PX
    title = _title(images, num_strategies)
    footer = _footer(images, len(columns), num_strategies)
    grid_right = left + len(columns) * step_x - CELL_GAP_PX
    texts = ((title, TITLE_PX), (footer, FOOTER_PX))
    texts_right = MARGIN_PX + max(math.ceil(load_font(size_px, text).getlength(text)) for text, size_px in texts)
    width = max(grid_right, min(MAX_WIDTH_PX - MARGIN_PX, texts_right)) + MARGIN_PX
    header_y = MARGIN_PX + TITLE_PX + 18
    top = header_y + (TEXT_PX + 12 if columns != [""] else 0)
    bottom = top + len(classes) * step_y - CELL_GAP_PX
    height = bottom + MARGIN_PX + (FOOTER_PX + 12 if footer else 0)

    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    room = width - 2 * MARGIN_PX
    draw.text((MARGIN_PX, MARGIN_PX), shorten(title, room, TITLE_PX), INK, load_font(TITLE_PX, title))
    for c, column in enumerate(columns):
        x = left + c * step_x
        label = shorten(clean(column), layout.cell_width_px, TEXT_PX)
        draw.text((x, header_y), label, QUIET_INK, load_font(TEXT_PX, label))
    for r, name in enumerate(classes):
        y = top + r * step_y
        if r:
            rule_y = y - CELL_GAP_PX // 2
            draw.line((MARGIN_PX, rule_y, grid_right, rule_y), RULE)
        label, middle = shorten(clean(name), layout.label_px, TEXT_PX), y + layout.cell_height_px // 2
        draw.text((MARGIN_PX, middle), label, INK, load_font(TEXT_PX, label), anchor="lm")
        for c, column in enumerate(columns):
            x = left + c * step_x
            if cells[r, column]:
                draw.rectangle((x, y, x + layout.cell_width_px - 1, y + layout.cell_height_px - 1), MAT)
            for i, row in enumerate(cells[r, column]):
                down, across = divmod(i, layout.across)
                step = layout.thumb_px + GAP_PX
                sheet.paste(thumbnail(thumbs[row], layout.thumb_px), (x + across * step, y + down * step))
    if footer:
        y = bottom + MARGIN_PX - 4
        draw.text((MARGIN_PX, y), shorten(footer, room, FOOTER_PX), QUIET_INK, load_font(FOOTER_PX))
    return sheet


def thumbnail(image: Image.Image, side_px: int) -> Image.Image:
    """The image centred in a square: enlarged by a whole factor, or shrunk with anti-aliasing."""
    longest = max(image.size)
    if longest <= side_px:
        factor = side_px // longest
        scaled = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    else:
        size = tuple(max(1, round(side * side_px / longest)) for side in image.size)
        scaled = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (side_px, side_px), MAT)
    square.paste(scaled, ((side_px - scaled.width) // 2, (side_px - scaled.height) // 2))
    return square


def _title(images: ImageSet, num_strategies: int) -> str:
    parts = [clean(Path(images.name).name or images.name), _count(len(images.class_names), "class", "classes")]
    if images.groups:
        parts.append(_count(num_strategies, "strategy", "strategies"))
    return "  ·  ".join([*parts, _count(len(images), "image", "images")])


def _footer(images: ImageSet, shown_strategies: int, num_strategies: int) -> str:
    left_out = []
    if len(images.class_names) > MAX_CLASSES:
        left_out.append(f"the first {MAX_CLASSES} of {len(images.class_names):,} classes")
    if num_strategies > shown_strategies:
        left_out.append(f"the first {shown_strategies} of {num_strategies} strategies")
    return f"Shown: {' and '.join(left_out)}." if left_out else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
