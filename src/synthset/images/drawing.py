"""What all pictures share: text that fits its room, a canvas for charts, and a PNG that is whole or not there."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from synthset.core.errors import DataError
from synthset.core.files import atomic_write

Colour = tuple[int, int, int]
Point = tuple[float, float]

SCALE = 2  # charts are drawn at twice their size, for sharp screens; their lengths are in unscaled pixels
_EVERYWHERE = frozenset(map(chr, range(32, 127))) | frozenset("…·“”’")  # in the font that comes with Pillow
_FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)
_FONTS = ("DejaVuSans", "NotoSans", "LiberationSans-Regular", "Arial", "arial", "PingFang", "msyh", "malgun", "Unifont")
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
def load_font(size_px: int, text: str = "") -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font for a text: the one that comes with Pillow, or where that lacks a character, one of the system's."""
    characters = _beyond_ascii(text)
    path = next((path for path in _system_fonts() if characters <= _drawable(path, characters)), None)
    return ImageFont.truetype(str(path), size_px) if characters and path else ImageFont.load_default(size_px)


def clean(text: str) -> str:
    """Text on one line, in characters that can be drawn: a class name may hold anything.

    For a character that the font with most of them lacks, its plain letter stands ("zwolf"), or its number in Unicode:
    "U+72AC", and of several in a row "U+72AC-72D7".
    """
    text = unicodedata.normalize("NFC", text[:200])
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    characters = _beyond_ascii(text)
    of_fonts = (_drawable(path, characters) for path in _system_fonts() if characters)
    lacking = characters - max(of_fonts, key=len, default=frozenset())
    runs = groupby(text, key=lambda character: character in lacking and not _plain(character))
    return "".join(
        f"U+{'-'.join(f'{ord(character):04X}' for character in run)}"
        if is_numbered
        else "".join(_plain(character) if character in lacking else character for character in run)
        for is_numbered, run in runs
    )


def _plain(character: str) -> str:
    """A letter without its marks, if it is one of ASCII."""
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()


def _beyond_ascii(text: str) -> frozenset[str]:
    return frozenset(character for character in text if character not in _EVERYWHERE)


@cache
def _system_fonts() -> tuple[Path, ...]:
    """Fonts of the system that may have other scripts, the plainest first."""
    folders = [Path(folder).expanduser() for folder in _FONT_FOLDERS]
    files = [path for folder in folders if folder.is_dir() for path in folder.rglob("*.[to]t[fc]")]
    files.sort(key=lambda path: (len(path.stem), path))  # "DejaVuSans" before "DejaVuSans-BoldOblique"
    return tuple(path for name in _FONTS for path in files if path.stem.startswith(name))[:40]


@cache
def _drawable(path: Path, characters: frozenset[str]) -> frozenset[str]:
    """Those of the characters that a font has: it draws others all alike."""
    try:
        # by itself: the other layout puts a circle below a mark, lacking or not
        font: Any = ImageFont.truetype(str(path), 16, layout_engine=ImageFont.Layout.BASIC)
        lacking = bytes(font.getmask("\uffff"))
        return frozenset(character for character in characters if bytes(font.getmask(character)) != lacking)
    except (OSError, ValueError):
        return frozenset()


def shorten(text: str, room_px: float, size_px: int) -> str:
    """The text, cut with an ellipsis where it is wider than its room."""
    font = load_font(size_px, text)
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
    return load_font(size * SCALE, text).getlength(text) / SCALE


class Canvas:
    """A chart; all lengths but those of its `image` are in unscaled pixels."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def write(self, place: Point, text: str, size: int, colour: Colour, anchor: str, upright: bool = False) -> None:
        """Write at a place, by Pillow's anchors; `upright` turns the text to read upwards, centred on x."""
        font, (x, y) = load_font(size * SCALE, text), (place[0] * SCALE, place[1] * SCALE)
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
