"""What all pictures share: text that fits its room, a canvas for charts, and a PNG that is whole or not there.

A class name may be of any script. Its font is looked for among those of the machine: the plain ones by name, then with
fontconfig, which knows what each has. What no font has stands as its number in Unicode, and is said once.
"""

from __future__ import annotations

import io
import logging
import re
import shutil
import struct
import subprocess
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, features

from synthset.core.errors import DataError
from synthset.core.files import atomic_write

log = logging.getLogger("synthset")

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
_STYLED = re.compile(r"[-_ ]?(Bold|Black|Thin|Medium|(Extra|Semi|Demi)?Light|Condensed|Italic|Oblique|Mono).*")
_MOST_FONTS = 200  # that are opened to see what they have
_FONTCONFIG_SECONDS = 5.0
_JOINERS = "\u200c\u200d"
# scripts of India and its neighbours, whose letters change by those beside them, and change places: the first
# character of each, and its names in OpenType; a font that has the characters but not the script draws loose parts
_SHAPED = {
    0x0900: ("deva", "dev2"),
    0x0980: ("beng", "bng2"),
    0x0A00: ("guru", "gur2"),
    0x0A80: ("gujr", "gjr2"),
    0x0B00: ("orya", "ory2"),
    0x0B80: ("taml", "tml2"),
    0x0C00: ("telu", "tel2"),
    0x0C80: ("knda", "knd2"),
    0x0D00: ("mlym", "mlm2"),
    0x0D80: ("sinh",),
    0x0F00: ("tibt",),
    0x1000: ("mymr", "mym2"),
    0x1780: ("khmr",),
}
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
    path = next((path for path in _fonts_for(characters) if characters <= _drawable(path, characters)), None)
    return ImageFont.truetype(str(path), size_px) if characters and path else ImageFont.load_default(size_px)


def clean(text: str) -> str:
    """Text on one line, in characters that can be drawn: a class name may hold anything.

    For a character that the font with most of them lacks, its plain letter stands ("zwolf"), or its number in Unicode:
    "U+72AC", and of several in a row "U+72AC-72D7". A warning says so, once; and where this Pillow cannot join letters
    or write from right to left.
    """
    text = unicodedata.normalize("NFC", text[:200])
    text = "".join(c for c in text if unicodedata.category(c) != "Cf" or (c in _JOINERS and _shapes()))
    text = " ".join("".join(c if c.isprintable() or c in _JOINERS else " " for c in text).split())
    lacking = _lacking(text)
    if lacking and any(not _plain(character) for character in lacking):
        _tell_lacking(text)
    elif _must_be_shaped(text) and not _shapes():
        _tell_unshaped(text)
    text = "".join(c for c in text if c not in _JOINERS) if lacking else text  # numbers are not joined
    runs = groupby(text, key=lambda character: character in lacking and not _plain(character))
    return "".join(
        f"U+{'-'.join(f'{ord(character):04X}' for character in run)}"
        if is_numbered
        else "".join(_plain(character) if character in lacking else character for character in run)
        for is_numbered, run in runs
    )


@cache  # a chart writes a name several times
def _lacking(text: str) -> frozenset[str]:
    """Characters that the font with most of them lacks."""
    characters, most = _beyond_ascii(text), frozenset[str]()
    for path in _fonts_for(characters):
        most = max(most, _drawable(path, characters), key=len)
        if characters == most:
            break
    return characters - most


@cache
def _shapes() -> bool:
    """Whether Pillow joins letters and writes from right to left: by Raqm, which it may be built without."""
    return bool(features.check("raqm"))


def _must_be_shaped(text: str) -> bool:
    return any(_script_of(c) or unicodedata.bidirectional(c) in ("R", "AL") for c in text)


def _script_of(character: str) -> tuple[str, ...]:
    """The names in OpenType of the script of a character, if that must be shaped."""
    return _SHAPED.get(ord(character) // 128 * 128, ()) if "\u0900" <= character < "\u1800" else ()


_told: set[str] = set()


def _tell_lacking(text: str) -> None:
    if "lacking" not in _told:
        _told.add("lacking")
        log.warning(
            "No font of this machine has all of '%s': in pictures the numbers of its letters in Unicode stand for "
            "them. Install a font of the script, such as Noto Sans.",
            text,
        )


def _tell_unshaped(text: str) -> None:
    if "unshaped" not in _told:
        _told.add("unshaped")
        log.warning(
            "This Pillow is built without Raqm: letters of '%s' stand one by one in pictures, from left to right. "
            "Install a Pillow with it, as the wheels of PyPI are.",
            text,
        )


def _plain(character: str) -> str:
    """A letter without its marks, if it is one of ASCII."""
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()


def _beyond_ascii(text: str) -> frozenset[str]:
    return frozenset(character for character in text if character not in _EVERYWHERE and character not in _JOINERS)


def _fonts_for(characters: frozenset[str]) -> Iterator[Path]:
    """Fonts that may have characters, the plainest first; none for what every font has."""
    if characters:
        yield from _system_fonts()
        yield from _of_fontconfig("".join(sorted(characters)))


@cache
def _of_fontconfig(characters: str) -> tuple[Path, ...]:
    """Fonts that have characters, as fontconfig ranks them; none where it is not installed."""
    program = shutil.which("fc-match")
    if program is None:
        return ()
    charset = " ".join(f"{ord(character):x}" for character in characters)
    command = [program, "--sort", "--format", "%{file}\n", f"sans-serif:charset={charset}"]
    try:
        found = subprocess.run(command, capture_output=True, timeout=_FONTCONFIG_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    lines = found.decode("utf-8", "surrogateescape").splitlines()
    return tuple(path for path in map(Path, lines) if path.suffix.lower() in (".ttf", ".otf", ".ttc"))[:20]


@cache
def _system_fonts() -> tuple[Path, ...]:
    """Fonts of the system that may have other scripts, the plainest first."""
    folders = [Path(folder).expanduser() for folder in _FONT_FOLDERS]
    files = [path for folder in folders if folder.is_dir() for path in folder.rglob("*.[to]t[fc]")]
    files.sort(key=lambda path: (len(path.stem), path))  # "DejaVuSans" before "DejaVuSans-BoldOblique"
    plain = [path for path in files if not _STYLED.search(path.stem)]
    return tuple(path for name in _FONTS for path in plain if path.stem.startswith(name))[:_MOST_FONTS]


@cache
def _drawable(path: Path, characters: frozenset[str]) -> frozenset[str]:
    """Those of the characters that a font has: it draws others all alike."""
    try:
        # by itself: the other layout puts a circle below a mark, lacking or not
        font: Any = ImageFont.truetype(str(path), 16, layout_engine=ImageFont.Layout.BASIC)
        lacking = bytes(font.getmask("\uffff"))
        scripts = _scripts_in(path.read_bytes()) if _shapes() and any(map(_script_of, characters)) else set[str]()
    except (OSError, ValueError, struct.error):
        return frozenset()
    return frozenset(
        character
        for character in characters
        if bytes(mask := font.getmask(character)) != lacking
        and (mask.getbbox() is not None or character.isspace() or unicodedata.category(character) == "Mn")
        and (not _shapes() or not _script_of(character) or scripts.intersection(_script_of(character)))
    )


def _scripts_in(font: bytes) -> set[str]:
    """The scripts that a font, the first of a collection, has rules for: the names in its table GSUB, see OpenType."""
    begin = struct.unpack_from(">I", font, 12)[0] if font.startswith(b"ttcf") else 0
    (num_tables,) = struct.unpack_from(">H", font, begin + 4)
    for place in range(begin + 12, begin + 12 + 16 * num_tables, 16):
        tag, _, table, _ = struct.unpack_from(">4sIII", font, place)
        if tag == b"GSUB":
            scripts = table + struct.unpack_from(">H", font, table + 4)[0]
            (count,) = struct.unpack_from(">H", font, scripts)
            tags = (font[scripts + 2 + 6 * i : scripts + 6 + 6 * i] for i in range(count))
            return {name.decode("latin-1").strip() for name in tags}
    return set()


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
