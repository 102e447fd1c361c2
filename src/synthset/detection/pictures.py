"""A grid of test images with what was found in them, beside what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from synthset.detection.average_precision import OVERLAP, Detections, match
from synthset.detection.voc import AnnotatedImage
from synthset.images.decoding import decode
from synthset.images.drawing import FAINT, INK, PAPER, clean, load_font, save_png, shorten

PICTURE_FILE = "detections.png"
SHOWN, ACROSS, SIDE_PX, GAP_PX, TEXT_PX = 12, 4, 320, 16, 14
LEAST_SCORE = 0.5  # of detections that are drawn
THERE, RIGHT, WRONG = (120, 120, 120), (0, 158, 115), (213, 94, 0)  # told apart by the colour-blind too


def draw_detections(
    images: Sequence[AnnotatedImage], found: Sequence[Detections], class_names: Sequence[str], path: Path
) -> Path:
    """Draw the images of a test, evenly over the set, with the detections whose score is at least 0.5.

    Objects are grey, detections green where they find an object of their class, else orange; so are repeated ones.
    Raises:
        DataError: an image that cannot be read, or a file that cannot be written.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, SHOWN).round().astype(int)).tolist()
    down, foot = -(-len(rows) // ACROSS), 2 * TEXT_PX + GAP_PX
    across = min(ACROSS, len(rows))
    step_px = SIDE_PX + TEXT_PX + GAP_PX
    sheet = Image.new("RGB", (GAP_PX + max(2, across) * (SIDE_PX + GAP_PX), GAP_PX + down * step_px + foot), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        x, y = GAP_PX + number % ACROSS * (SIDE_PX + GAP_PX), GAP_PX + number // ACROSS * step_px
        sheet.paste(_picture(images[row], found[row], class_names), (x, y))
        name = shorten(clean(images[row].name), SIDE_PX, TEXT_PX)
        draw.text((x, y + SIDE_PX + 4), name, FAINT, load_font(TEXT_PX, name))
    legend = f"grey: objects; green, orange: detections of {LEAST_SCORE} or more, right or wrong"
    draw.text(
        (GAP_PX, GAP_PX + down * step_px), shorten(legend, sheet.width - 2 * GAP_PX, TEXT_PX), INK, load_font(TEXT_PX)
    )
    return save_png(sheet, path)


def right_ones(image: AnnotatedImage, found: Detections) -> np.ndarray:
    """Which detections find an object, as the score has it, difficult ones too: bool (n,)."""
    right = np.zeros(len(found.scores), bool)
    for label in np.unique(found.labels):
        rows, own = np.flatnonzero(found.labels == label), image.labels == label
        rows = rows[np.argsort(-found.scores[rows], kind="stable")]
        hits, counted = match(found.boxes[rows], image.boxes[own], image.difficult[own], OVERLAP)
        right[rows] = hits | ~counted
    return right


def _picture(image: AnnotatedImage, found: Detections, class_names: Sequence[str]) -> Image.Image:
    """The image in a square, with its boxes; small ones are enlarged."""
    factor = SIDE_PX / max(image.width, image.height)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    square = Image.new("RGB", (SIDE_PX, SIDE_PX), (240, 240, 240))
    square.paste(decode(image.file.read_bytes()).resize(size, Image.Resampling.BICUBIC))
    draw = ImageDraw.Draw(square)
    for box in image.boxes * factor:
        _frame(draw, box, THERE, 1)
    is_right = right_ones(image, found)
    for index in np.flatnonzero(found.scores >= LEAST_SCORE).tolist():
        box, colour = found.boxes[index] * factor, RIGHT if is_right[index] else WRONG
        _frame(draw, box, colour, 2)
        words = clean(f"{class_names[int(found.labels[index])]} {found.scores[index]:.2f}")
        font = load_font(TEXT_PX, words)
        place = (min(max(0.0, float(box[0])), SIDE_PX - font.getlength(words)), max(0.0, float(box[1]) - TEXT_PX - 3))
        draw.rectangle(draw.textbbox(place, words, font), colour)
        draw.text(place, words, PAPER, font)
    return square


def _frame(draw: ImageDraw.ImageDraw, box: np.ndarray, colour: tuple[int, int, int], width: int) -> None:
    left, top, right, bottom = (float(edge) for edge in box)
    draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=width)
