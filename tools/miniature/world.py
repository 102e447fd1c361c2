"""Paints a `Scene` as a 32×32 picture: the miniature's world, drawn by code.

A mask says where ink lies (pen strokes, a font's glyph, a Roman numeral, dots, a spelled word); a domain
paints the mask (photo, sketch, rock drawing, …); then come the modifiers (place, blur, exposure, …).
Masks are drawn at 128 px, painted at 64 px, and reduced to 32 px, so edges are anti-aliased.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tools.miniature.hands import write
from tools.miniature.scenes import DIGIT_NAMES, ROMAN, Scene

MASK_PX, PAINT_PX, IMAGE_PX = 128, 64, 32
# Handwriting fonts never drawn in the training world: tools/miniature/held_out.py tests classifiers on them.
HELD_OUT_FONTS = (
    "breip",
    "bwht",
    "dkg",
    "humor",
    "kristi",
    "sjfonts",
    "seto",
    "yoz",
    "kiloji",
    "delphine",
    "steve",
)
INKS = {
    "black": (0.05, 0.05, 0.06),
    "blue": (0.08, 0.14, 0.55),
    "red": (0.65, 0.08, 0.1),
    "green": (0.05, 0.38, 0.15),
    "grey": (0.35, 0.35, 0.37),
}
NOT_TEXT_FONTS = ("dingbat", "symbol", "d050000l", "emoji", "math", "icon", "wingding")
Painting = np.ndarray  # float32 (PAINT_PX, PAINT_PX, 3), 0 black … 1 white
Mask = np.ndarray  # float32 (PAINT_PX, PAINT_PX), 0 paper … 1 ink


def paint(scene: Scene, rng: Generator) -> np.ndarray:
    """The scene as uint8 (32, 32, 3)."""
    picture = PAINTERS[scene.domain](scene, rng)
    picture = _modify(picture, scene, rng)
    levels = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(levels).reduce(PAINT_PX // IMAGE_PX))


# ---- masks: where the ink lies ----------------------------------------------------------------------------


def mask_of(scene: Scene, rng: Generator, width: float | None = None, wobble: float = 0.0) -> Mask:
    """Ink coverage. `width` is the pen's, as a share of the digit's height; `wobble` shakes a redrawn line."""
    canvas = Image.new("L", (MASK_PX, MASK_PX), 0)
    height, centre = _frame(scene, rng)
    if scene.form == "pen":
        _draw_strokes(canvas, write(scene.digit, rng), height, centre, width or _pen_width(scene, rng), rng)
    elif scene.form == "dots":
        _draw_dots(canvas, scene.digit, height, centre, rng)
    else:
        text = {
            "font": str(scene.digit),
            "roman": ROMAN[scene.digit] or "0",
            "word": DIGIT_NAMES[scene.digit],
        }
        _draw_text(canvas, text[scene.form], height, centre, scene, rng)
    if scene.tilted:
        canvas = canvas.rotate(rng.choice([-1, 1]) * rng.uniform(15, 32), Image.Resampling.BILINEAR)
    if wobble:
        canvas = canvas.transform(
            canvas.size,
            Image.Transform.AFFINE,
            (
                1,
                rng.normal(0, wobble),
                rng.normal(0, 120 * wobble),
                rng.normal(0, wobble),
                1,
                rng.normal(0, 120 * wobble),
            ),
            Image.Resampling.BILINEAR,
        )
    return np.asarray(canvas.reduce(MASK_PX // PAINT_PX), np.float32) / 255


def _frame(scene: Scene, rng: Generator) -> tuple[float, np.ndarray]:
    """Height and centre of the digit in mask pixels."""
    low, high = {"small": (0.34, 0.5), "normal": (0.56, 0.98), "large": (0.95, 1.12)}[scene.size]
    height = rng.uniform(low, high) * MASK_PX * 0.94
    free = max(MASK_PX - height, 0) / 2
    if scene.place == "centered":
        offset = rng.normal(0, 0.03 * MASK_PX, 2)
    elif scene.place == "off-center":
        offset = rng.choice([-1, 1], 2) * rng.uniform(0.45, 0.95, 2) * max(free, 12)
    else:
        offset = rng.normal(0, 0.05 * MASK_PX, 2)
    return height, MASK_PX / 2 + offset


def _pen_width(scene: Scene, rng: Generator) -> float:
    low, high = {"thin": (0.025, 0.05), "normal": (0.045, 0.135), "thick": (0.13, 0.21)}[scene.thickness]
    return float(rng.uniform(low, high))


def _draw_strokes(
    canvas: Image.Image,
    strokes: list[np.ndarray],
    height: float,
    centre: np.ndarray,
    width: float,
    rng: Generator,
) -> None:
    draw = ImageDraw.Draw(canvas)
    pressure, rhythm = rng.uniform(0, 0.35), rng.uniform(0.02, 0.12)
    for stroke in strokes:
        points = stroke * height * (1 - width) + centre
        phase = rng.uniform(0, 6.28)
        widths = width * height * (1 + pressure * np.sin(phase + rhythm * np.arange(len(points))))
        for (x0, y0), (x1, y1), w in zip(points, points[1:], widths, strict=False):
            draw.line((x0, y0, x1, y1), fill=255, width=max(2, round(w)))
            draw.ellipse((x1 - w / 2, y1 - w / 2, x1 + w / 2, y1 + w / 2), fill=255)
        x, y, w = *points[0], widths[0]
        draw.ellipse((x - w / 2, y - w / 2, x + w / 2, y + w / 2), fill=255)


def _draw_dots(canvas: Image.Image, count: int, height: float, centre: np.ndarray, rng: Generator) -> None:
    draw = ImageDraw.Draw(canvas)
    columns = 1 if count == 1 else 2 if count in (2, 4) else 3
    rows = max(1, -(-count // columns))
    step = height / max(columns, rows, 2)
    radius = step * rng.uniform(0.24, 0.36)
    for i in range(count):
        in_row = min(columns, count - (i // columns) * columns)
        x = centre[0] + ((i % columns) - (in_row - 1) / 2) * step
        y = centre[1] + ((i // columns) - (rows - 1) / 2) * step
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def _draw_text(canvas: Image.Image, text: str, height: float, centre: np.ndarray, scene: Scene, rng: Generator) -> None:
    paths = fonts()
    font = _font(paths[rng.integers(len(paths))], 100)
    left, top, right, bottom = font.getbbox(text)
    glyph = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8), 0)
    ImageDraw.Draw(glyph).text((4 - left, 4 - top), text, font=font, fill=255)
    if scene.thickness == "thick":
        glyph = glyph.filter(ImageFilter.MaxFilter(7))
    scale = height / max(glyph.size)
    stretch = rng.uniform(0.85, 1.2) if len(text) == 1 else 1.0
    size = (max(4, min(MASK_PX, round(glyph.width * scale * stretch))), max(4, round(glyph.height * scale)))
    glyph = glyph.resize(size, Image.Resampling.BILINEAR).rotate(
        rng.normal(0, 5), Image.Resampling.BILINEAR, expand=True
    )
    corner = (round(centre[0] - glyph.width / 2), round(centre[1] - glyph.height / 2))
    canvas.paste(glyph, corner)


@functools.lru_cache(maxsize=512)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@functools.cache
def fonts(held_out: bool = False) -> list[str]:
    """Paths of the installed fonts that draw ten distinct digits; the held-out hands apart from the rest."""
    listed = subprocess.run(["fc-list", "--format", "%{file}\n"], capture_output=True, text=True, check=True).stdout
    files = sorted({line for line in listed.splitlines() if line.lower().endswith((".ttf", ".otf"))})
    chosen = []
    for file in files:
        is_held_out = any(word in file.lower() for word in HELD_OUT_FONTS)
        is_text = not any(word in file.lower() for word in NOT_TEXT_FONTS)
        if is_text and is_held_out == held_out and _draws_digits(file):
            chosen.append(file)
    return chosen


def _draws_digits(file: str) -> bool:
    try:
        font = ImageFont.truetype(file, 40)
        glyphs = {_glyph(font, character) for character in "0123456789"}
        letters = {_glyph(font, character) for character in "IVXzeroinfw"}
    except OSError:
        return False
    return len(glyphs) == 10 and len(letters) >= 9 and all(any(glyph) for glyph in glyphs)


def _glyph(font: ImageFont.FreeTypeFont, character: str) -> bytes:
    canvas = Image.new("L", (64, 64))
    ImageDraw.Draw(canvas).text((4, 4), character, font=font, fill=255)
    return canvas.tobytes()


# ---- painters: one a domain -------------------------------------------------------------------------------


def _plain(scene: Scene, rng: Generator) -> Painting:
    ink, paper = _ink(scene, rng), _paper(scene, rng)
    if scene.paper != "board" and rng.random() < 0.1:  # printed in the negative
        ink, paper = 1 - np.full(3, rng.uniform(0, 0.2)), np.ones_like(paper) * rng.uniform(0, 0.3)
    mask = mask_of(scene, rng) * rng.uniform(0.75, 1)
    if scene.medium == "chalk":
        mask = mask * np.clip(0.55 + 0.9 * _noise(rng, 1), 0, 1)
    elif scene.medium == "paint":
        mask = np.clip(mask * (0.85 + 0.3 * _noise(rng, 4)), 0, 1)
    return _lay(paper, mask, ink) + rng.normal(0, 0.012, (PAINT_PX, PAINT_PX, 1)).astype(np.float32)


def _photo(scene: Scene, rng: Generator) -> Painting:
    picture = _lay(_paper(scene, rng) * _tint(rng, 0.12), mask_of(scene, rng) * rng.uniform(0.8, 1), _ink(scene, rng))
    light = _gradient(rng) * rng.uniform(0.15, 0.5)
    picture = picture * (1 - light)[..., None]
    picture = _blur(picture, rng.uniform(0.3, 1.3))
    return picture + rng.normal(0, 0.03, picture.shape).astype(np.float32)


def _drawing(scene: Scene, rng: Generator) -> Painting:
    paper = np.ones((PAINT_PX, PAINT_PX, 3), np.float32) * rng.uniform(0.86, 0.98)
    grain = np.clip(0.35 + 0.75 * _noise(rng, 1), 0, 1)
    mask = mask_of(scene, rng) * grain
    shade = np.clip(_noise(rng, 8) - 0.5, 0, 1) * rng.uniform(0, 0.35)
    graphite = np.full(3, rng.uniform(0.12, 0.4))
    return _lay(paper - shade[..., None], mask, graphite)


def _painting(scene: Scene, rng: Generator) -> Painting:
    ground = _bright_colour(rng, 0.5, 1.0)[None, None] + 0.25 * (_noise(rng, 5)[..., None] - 0.5) * _bright_colour(
        rng, 0, 1
    )
    mask = mask_of(scene, rng, width=rng.uniform(0.1, 0.2) if scene.thickness == "normal" else None)
    bristles = 0.75 + 0.5 * (_noise(rng, 2) - 0.5)
    colour = _bright_colour(rng, 0.0, 0.55)
    picture = _lay(ground.astype(np.float32), np.clip(_blur(mask, 0.5) * 1.15, 0, 1), colour)
    return picture * np.where(mask > 0.5, bristles, 1)[..., None]


def _sketch(scene: Scene, rng: Generator) -> Painting:
    paper = np.ones((PAINT_PX, PAINT_PX, 3), np.float32) * rng.uniform(0.88, 1)
    state = int(rng.integers(2**32))
    picture = paper
    for line in range(int(rng.integers(2, 4))):  # the same digit, gone over again
        redrawn = np.random.default_rng(state)
        mask = mask_of(scene, redrawn, width=0.03 if scene.form == "pen" else None)
        shift = tuple(int(v) for v in rng.integers(-2, 3, 2)) if line else (0, 0)
        mask = np.roll(mask, shift, (0, 1))
        picture = _lay(picture, mask * rng.uniform(0.5, 0.95), np.full(3, rng.uniform(0.05, 0.3)))
    return picture


def _collage(scene: Scene, rng: Generator) -> Painting:
    canvas = Image.new("RGB", (PAINT_PX, PAINT_PX), _rgb(_bright_colour(rng, 0.6, 1)))
    draw = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(2, 5))):
        x, y, r = *rng.uniform(0, PAINT_PX, 2), rng.uniform(10, 34)
        angles = np.sort(rng.uniform(0, 6.28, 4))
        draw.polygon([(x + r * np.cos(a), y + r * np.sin(a)) for a in angles], fill=_rgb(_bright_colour(rng, 0.45, 1)))
    ground = np.asarray(canvas, np.float32) / 255
    mask = mask_of(scene, rng, width=rng.uniform(0.12, 0.22) if scene.form == "pen" else None)
    shadow = np.roll(_blur(mask, 1.2), (2, 2), (0, 1)) * 0.45
    ground = ground * (1 - shadow)[..., None]
    return _lay(ground, (mask > 0.4).astype(np.float32), _bright_colour(rng, 0.0, 0.45))


def _poster(scene: Scene, rng: Generator) -> Painting:
    hue = rng.uniform(0, 1)
    ground, ink = (
        _hsv(hue, rng.uniform(0.5, 1), rng.uniform(0.75, 1)),
        _hsv(hue + 0.5, rng.uniform(0.6, 1), rng.uniform(0.1, 0.5)),
    )
    if rng.random() < 0.3:
        ground, ink = ink, ground
    mask = mask_of(scene, rng, width=rng.uniform(0.11, 0.2) if scene.form == "pen" else None)
    picture = np.ones((PAINT_PX, PAINT_PX, 3), np.float32) * ground
    if rng.random() < 0.4:
        border = int(rng.integers(2, 6))
        picture[:border], picture[-border:], picture[:, :border], picture[:, -border:] = ink, ink, ink, ink
    return _lay(picture, mask, ink)


def _digital_art(scene: Scene, rng: Generator) -> Painting:
    one, two = (
        _hsv(rng.uniform(), 0.8, rng.uniform(0.1, 0.4)),
        _hsv(rng.uniform(), 0.8, rng.uniform(0.1, 0.5)),
    )
    slope = _gradient(rng)[..., None]
    picture = one * slope + two * (1 - slope)
    mask = mask_of(scene, rng)
    glow = _hsv(rng.uniform(), rng.uniform(0.4, 0.9), 1.0)
    picture = picture + (_blur(mask, 3.0) * rng.uniform(0.6, 1.2))[..., None] * glow
    return _lay(picture.astype(np.float32), mask, np.clip(glow + 0.45, 0, 1))


def _rock_drawing(scene: Scene, rng: Generator) -> Painting:
    stone = np.array([0.52, 0.42, 0.33]) * rng.uniform(0.6, 1.15) * _tint(rng, 0.2)
    texture = 0.6 + 0.5 * _noise(rng, 6) + 0.35 * (_noise(rng, 1) - 0.5)
    picture = (stone * texture[..., None]).astype(np.float32)
    mask = np.clip(_blur(mask_of(scene, rng), 0.5) * (0.35 + 0.9 * _noise(rng, 2)), 0, 1)
    colour = np.array([0.92, 0.88, 0.78]) if rng.random() < 0.65 else np.array([0.45, 0.13, 0.07])
    return _lay(picture, mask, colour * rng.uniform(0.8, 1.05))


def _stick_figure(scene: Scene, rng: Generator) -> Painting:
    paper = np.ones((PAINT_PX, PAINT_PX, 3), np.float32) * rng.uniform(0.9, 1)
    thin = Scene(**{**scene.__dict__, "thickness": "thin"})
    mask = mask_of(thin, rng, width=rng.uniform(0.025, 0.05))
    return _lay(paper, np.clip(mask * 1.2, 0, 1), np.full(3, rng.uniform(0, 0.2)))


def _rendering(scene: Scene, rng: Generator) -> Painting:
    ground = np.full(3, rng.uniform(0.55, 0.95)) * _tint(rng, 0.15)
    picture = (ground * (1 - 0.35 * _gradient(rng))[..., None]).astype(np.float32)
    mask = mask_of(scene, rng, width=rng.uniform(0.09, 0.18) if scene.form == "pen" else None)
    colour = _bright_colour(rng, 0.2, 0.8)
    dx, dy, depth = int(rng.choice([-1, 1])), 1, int(rng.integers(3, 7))
    picture = picture * (1 - 0.4 * np.roll(_blur(mask, 2.0), (dy * depth, dx * depth), (0, 1)))[..., None]
    for layer in range(depth, 0, -1):
        picture = _lay(picture, np.roll(mask, (dy * layer, dx * layer), (0, 1)), colour * 0.45)
    shine = 0.8 + 0.45 * (1 - np.linspace(0, 1, PAINT_PX))[:, None, None]
    return picture * (1 - mask[..., None]) + np.clip(colour * shine, 0, 1) * mask[..., None]


PAINTERS: dict[str, Callable[[Scene, Generator], Painting]] = {
    "plain": _plain,
    "photo": _photo,
    "drawing": _drawing,
    "painting": _painting,
    "sketch": _sketch,
    "collage": _collage,
    "poster": _poster,
    "digital art image": _digital_art,
    "rock drawing": _rock_drawing,
    "stick figure": _stick_figure,
    "3D rendering": _rendering,
}


# ---- modifiers and materials ------------------------------------------------------------------------------


def _modify(picture: Painting, scene: Scene, rng: Generator) -> Painting:
    if scene.place == "occluded":
        side = int(rng.integers(4))
        depth = int(rng.uniform(0.2, 0.36) * PAINT_PX)
        turned = np.rot90(picture, side).copy()
        turned[:depth] = _bright_colour(rng, 0.2, 0.9)
        picture = np.rot90(turned, -side)
    if scene.focus == "blurred":
        picture = _blur(picture, rng.uniform(1.8, 3.2))
    elif scene.focus == "sharp":
        picture = picture + 0.7 * (picture - _blur(picture, 1.2))
    if scene.exposure == "overexposed":
        picture = picture * rng.uniform(1.25, 1.6) + 0.15
    elif scene.exposure == "underexposed":
        picture = picture * rng.uniform(0.3, 0.55)
    return picture


def _ink(scene: Scene, rng: Generator) -> np.ndarray:
    if scene.medium == "chalk" or scene.paper == "board":
        return np.array([0.95, 0.95, 0.9]) * rng.uniform(0.85, 1.05)
    name = scene.colour
    if name == "any":
        name = rng.choice(["black", "blue", "grey", "red", "green"], p=[0.55, 0.22, 0.11, 0.07, 0.05])
    return np.clip(np.array(INKS[name]) + rng.normal(0, 0.05, 3), 0, 1)


def _paper(scene: Scene, rng: Generator) -> Painting:
    if scene.paper == "board" or scene.medium == "chalk":
        board = np.array([0.12, 0.16, 0.14]) * rng.uniform(0.5, 1.4)
        return (board + 0.06 * _noise(rng, 6)[..., None]).astype(np.float32)
    paper = np.ones((PAINT_PX, PAINT_PX, 3), np.float32) * rng.uniform(0.82, 1.0) * _tint(rng, 0.05)
    if scene.paper in ("lined", "squared"):
        line = np.array([0.6, 0.7, 0.85]) * rng.uniform(0.8, 1.1)
        step, start = int(rng.integers(9, 18)), int(rng.integers(9))
        paper[start::step] = line
        if scene.paper == "squared":
            paper[:, start::step] = line
    return paper


def _lay(ground: Painting, mask: Mask, colour: np.ndarray) -> Painting:
    cover = mask[..., None]
    return (ground * (1 - cover) + np.asarray(colour, np.float32) * cover).astype(np.float32)


@functools.cache
def _noise_bank(scale: int) -> np.ndarray:
    """96 smooth fields in 0..1 whose grain is about `scale` px; drawn once, with a fixed seed."""
    rng = np.random.default_rng(1000 + scale)
    side = max(2, PAINT_PX // scale + 2)
    fields = []
    for _ in range(96):
        coarse = Image.fromarray((rng.uniform(0, 255, (side, side))).astype(np.uint8))
        fields.append(np.asarray(coarse.resize((PAINT_PX, PAINT_PX), Image.Resampling.BICUBIC), np.float32) / 255)
    return np.stack(fields)


def _noise(rng: Generator, scale: int) -> np.ndarray:
    field = _noise_bank(scale)[rng.integers(96)]
    return np.rot90(field, int(rng.integers(4)))


def _gradient(rng: Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    axis = np.linspace(-0.7, 0.7, PAINT_PX, dtype=np.float32)
    return np.clip(0.5 + axis[None] * np.cos(angle) + axis[:, None] * np.sin(angle), 0, 1)


def _blur(array: np.ndarray, radius: float) -> np.ndarray:
    levels = Image.fromarray((np.clip(array, 0, 1) * 255).astype(np.uint8))
    return np.asarray(levels.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def _tint(rng: Generator, strength: float) -> np.ndarray:
    return 1 - rng.uniform(0, strength, 3)


def _hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    channel = np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1
    return value * (1 - saturation * (1 - np.clip(channel, 0, 1)))


def _bright_colour(rng: Generator, low: float, high: float) -> np.ndarray:
    return _hsv(rng.uniform(), rng.uniform(0.3, 1), rng.uniform(low, high))


def _rgb(colour: np.ndarray) -> tuple[int, ...]:
    return tuple(int(v * 255) for v in colour)
