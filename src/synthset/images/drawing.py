"""What all pictures share: text that fits its room, a canvas for charts, and a PNG that is whole or not there."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from synthset.core.errors import DataError
from synthset.core.files import atomic_write

Colour = tuple[int, int, int]
Point = tuple[float, float]

SCALE = 2  # charts are drawn at twice their size, for sharp screens; their lengths are in unscaled pixels
INK, FAINT, PAPER = (31, 35, 40), (101, 109, 118), (255, 255, 255)


def save_png(picture: Image.Image, path: Path) -> Path:
    """Write `picture` and give its path. Raises DataError if the file cannot be written."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)  # 9 takes twenty times as long to save 4 % of the bytes
    try:
        with atomic_write(path) as file:
            file.write(buffer.getvalue())
    except OSError as error:
        raise DataError(f"Expected to write '{path}', got: {error}. Check space and rights.") from error
    return path


@cache
def load_font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all pictures; it comes with Pillow."""
    return ImageFont.load_default(size_px)


def clean(text: str) -> str:
    """Text on one line, in characters that can be drawn: a class name may hold anything."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:200]).split())


def shorten(text: str, room_px: float, size_px: int) -> str:
    """The text, cut with an ellipsis where it is wider than its room."""
    font = load_font(size_px)
    if font.getlength(text) <= room_px:
        return text
    while text and font.getlength(f"{text}…") > room_px:
        text = text[:-1]
    return f"{text.rstrip()}…"


# ---- charts -----------------------------------------------------------------------------------------------


def fit(text: str, size: int, room: float) -> str:
    """Text on one line, in characters that can be drawn, and cut to its room; lengths as of a Canvas."""
    return shorten(clean(text), room * SCALE, size * SCALE)


def width_of(text: str, size: int) -> float:
    """Room that a text takes on a Canvas."""
    return load_font(size * SCALE).getlength(text) / SCALE


class Canvas:
    """A chart; all lengths but those of its `image` are in unscaled pixels."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def write(self, place: Point, text: str, size: int, colour: Colour, anchor: str, upright: bool = False) -> None:
        """Write at a place, by Pillow's anchors; `upright` turns the text to read upwards, centred on x."""
        font, (x, y) = load_font(size * SCALE), (place[0] * SCALE, place[1] * SCALE)
        if not upright:
            self.draw.text((x, y), text, colour, font, anchor)
            return
        box = font.getbbox(text, anchor="ls")
        ascent, descent = font.getmetrics() if isinstance(font, ImageFont.FreeTypeFont) else (size, 0)
        mask = Image.new("L", (int(box[2]) + 2, ascent + descent))
        ImageDraw.Draw(mask).text((0, ascent), text, 255, font, "ls")
        mask = mask.rotate(90, expand=True)
        below = mask.height if anchor.endswith("s") else mask.height // 2
        self.image.paste(colour, (round(x) - mask.width // 2, round(y) - below), mask)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw a line through points."""
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self.draw.line(scaled, colour, round(width * SCALE), joint="curve")
