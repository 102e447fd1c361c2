"""Contact sheets of single images: each with its id, class, prompt, scale and seed below it, as many pages as it takes.

Drawn with PIL alone, in whatever script class names and prompts are written, as far as a font has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from synthset.core.progress import track
from synthset.images.drawing import clean, load_font, save_png, shorten
from synthset.images.grids import wrap
from synthset.images.pictures import INK, MARGIN_PX, PAPER, QUIET_INK, TITLE_PX, thumbnail

ACROSS, DOWN = 8, 6
THUMB_PX, GAP_PX = 176, 16
NAME_PX, CAPTION_PX, LINE = 15, 12, 1.3
CAPTION_LINES = 2  # of each caption
WARNING_INK = "#a4262c"
_FILES = re.compile(r"sheet-\d{3,}\.png")


@dataclass(frozen=True)
class SheetImage:
    """An image on a sheet.

    Attributes:
        row: by which its pixels are read.
        name: of its class.
        captions: below it, each on two lines at most.
        is_rejected: whether it is, which the last caption says then.
    """

    row: int
    name: str
    captions: tuple[str, ...]
    is_rejected: bool = False


def draw_sheets(
    folder: Path, title: str, read: Callable[[int], Image.Image], images: Sequence[SheetImage]
) -> list[str]:
    """Draw pages of images into a folder, and give their names.

    Args:
        read: gives the image of a row.
    Raises:
        DataError: an image that cannot be read, or a page that cannot be written.
    """
    per_page, names = ACROSS * DOWN, list[str]()
    pages = -(-len(images) // per_page)
    with track(len(images), "drawing sheets") as bar:
        for number in range(pages):
            some = images[number * per_page : (number + 1) * per_page]
            first = number * per_page + 1
            which = f"{first:,} to {first + len(some) - 1:,} of {len(images):,}"
            names.append(f"sheet-{number + 1:03d}.png")
            save_png(_draw(f"{title}  ·  {which}", read, some), folder / names[-1])
            bar.advance(len(some))
    return names


def sheet_files(folder: Path) -> set[str] | None:
    """The files of earlier sheets; None where the folder holds other things."""
    names = {entry.name for entry in folder.iterdir()}
    return names if all(_FILES.fullmatch(name) for name in names) else None


def _draw(title: str, read: Callable[[int], Image.Image], images: Sequence[SheetImage]) -> Image.Image:
    rows = [images[start : start + ACROSS] for start in range(0, len(images), ACROSS)]
    texts = [[_lines(image) for image in row] for row in rows]
    heights = [THUMB_PX + 6 + round((NAME_PX + max(map(len, row)) * CAPTION_PX) * LINE) + GAP_PX for row in texts]
    top = MARGIN_PX + round(TITLE_PX * LINE) + 14
    columns = max(map(len, rows))
    width = 2 * MARGIN_PX + columns * (THUMB_PX + GAP_PX) - GAP_PX
    sheet = Image.new("RGB", (max(width, 560), top + sum(heights) - GAP_PX + MARGIN_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    shown = shorten(clean(title), sheet.width - 2 * MARGIN_PX, TITLE_PX)
    draw.text((MARGIN_PX, MARGIN_PX), shown, INK, load_font(TITLE_PX, shown))
    for row, lines, y in zip(rows, texts, [top + sum(heights[:i]) for i in range(len(rows))], strict=True):
        for column, (image, captions) in enumerate(zip(row, lines, strict=True)):
            x = MARGIN_PX + column * (THUMB_PX + GAP_PX)
            sheet.paste(thumbnail(read(image.row), THUMB_PX), (x, y))
            _write(draw, (x, y + THUMB_PX + 6), image, captions)
    return sheet


def _lines(image: SheetImage) -> list[tuple[str, str]]:
    """The lines below an image, each with its ink."""
    lines = []
    for number, caption in enumerate(image.captions):
        ink = WARNING_INK if image.is_rejected and number == len(image.captions) - 1 else QUIET_INK
        lines += [(line, ink) for line in wrap(clean(caption), THUMB_PX, CAPTION_PX, CAPTION_LINES)]
    return lines


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], image: SheetImage, lines: Sequence[tuple[str, str]]
) -> None:
    x, y = place
    name = shorten(clean(image.name), THUMB_PX, NAME_PX)
    draw.text((x, y), name, INK, load_font(NAME_PX, name))
    for number, (text, ink) in enumerate(lines):
        where = (x, y + round((NAME_PX + number * CAPTION_PX) * LINE) + 2)
        draw.text(where, text, ink, load_font(CAPTION_PX, text))
