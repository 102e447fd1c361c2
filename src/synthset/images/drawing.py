"""What all pictures share: text that fits its room, and a PNG that is written whole or not at all."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from PIL import Image, ImageFont

from synthset.core.errors import DataError
from synthset.core.files import atomic_write


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
