"""Test a classifier on real images: accuracy with its interval, per class, and the confusion matrix.

Results are plain numbers, saved as `<name of the real set>.json` with the matrix as a picture beside it.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from synthset.classifiers.models import Classifier
from synthset.errors import DataError, UsageError
from synthset.files import atomic_write, write_json
from synthset.imageset import ImageSet

RESERVED = ("model", "config", "training")  # names of a classifier's own files


@dataclass(frozen=True)
class EvaluationResult:
    """How a classifier did on one set of real images; shares are in [0, 1].

    Attributes:
        real: name of the real set.
        class_names: the k names, in the model's order.
        n, correct, accuracy: images, those that were classified correctly, and their share.
        low, high: 95 % Wilson interval of the accuracy.
        per_class_accuracy: None for a class without real images.
        mean_class_accuracy: mean over the classes that have images.
        confusion: k × k counts; rows are true classes, columns predicted ones.
    """

    real: str
    class_names: tuple[str, ...]
    n: int
    correct: int
    accuracy: float
    low: float
    high: float
    per_class_accuracy: tuple[float | None, ...]
    mean_class_accuracy: float
    confusion: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain Python values, ready for json.dumps."""
        return asdict(self)


def evaluate(classifier: Classifier, real: ImageSet, batch_size: int = 256) -> EvaluationResult:
    """Classify every image of `real` and count.

    Real classes are matched to the model's by name, whatever their order, case and underscores.
    Raises:
        UsageError: the two sets of classes differ; the message names the differences.
        DataError: no images, or unreadable ones.
    """
    if len(real) == 0:
        raise DataError(f"Expected images in '{real.name}', found none.")
    config = classifier.config
    true = match_classes(config.class_names, real)[real.labels]
    images = real.tensor(config.image_size_px, config.antialias)
    predicted = classifier.predict(images, batch_size).argmax(1).numpy()
    return count(true, predicted, config.class_names, real.name)


def match_classes(class_names: Sequence[str], real: ImageSet) -> np.ndarray:
    """The model's class index of each of the real set's classes: int64 (k,).

    Raises:
        UsageError: the names differ by more than order, case and underscores.
    """
    ours, theirs = list(class_names), list(real.class_names)
    if set(ours) != set(theirs):
        keyed_ours, keyed_theirs = [_key(name) for name in ours], [_key(name) for name in theirs]
        missing = [name for name, key in zip(ours, keyed_ours, strict=True) if key not in keyed_theirs]
        extra = [name for name, key in zip(theirs, keyed_theirs, strict=True) if key not in keyed_ours]
        if missing or extra or len(set(keyed_ours)) < len(ours) or len(ours) != len(theirs):
            raise UsageError(
                f"Expected the model's {len(ours)} classes in '{real.name}', got {len(theirs)} "
                f"(missing: {_list(missing)}; extra: {_list(extra)}). "
                "Test on real images of the same classes, or train a model for these."
            )
        ours, theirs = keyed_ours, keyed_theirs
    index = {name: i for i, name in enumerate(ours)}
    return np.array([index[name] for name in theirs], np.int64)


def count(true: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], real: str) -> EvaluationResult:
    """Everything of an evaluation that follows from true and predicted labels (n,), each in 0..k-1."""
    k, n = len(class_names), len(true)
    confusion = np.bincount(true * k + predicted, minlength=k * k).reshape(k, k)
    totals, hits = confusion.sum(1), confusion.diagonal()
    per_class = tuple(hit / total if total else None for hit, total in zip(hits.tolist(), totals.tolist(), strict=True))
    correct = int(hits.sum())
    low, high = wilson_interval(correct, n)
    return EvaluationResult(
        real=real,
        class_names=tuple(class_names),
        n=n,
        correct=correct,
        accuracy=correct / n,
        low=low,
        high=high,
        per_class_accuracy=per_class,
        mean_class_accuracy=float(np.mean([value for value in per_class if value is not None])),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def wilson_interval(correct: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Score interval of a share: where the true share lies, given `correct` of `n` independent trials.

    centre ± half, with centre = (p + z²/2n) / (1 + z²/n) and
    half = z / (1 + z²/n) · √(p(1-p)/n + z²/4n²). Unlike p ± z·s it stays within [0, 1].
    Reference: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    Raises:
        ValueError: not 0 ≤ correct ≤ n with n ≥ 1.
    Example:
        >>> low, high = wilson_interval(90, 100)
        >>> f"{low:.4f} {high:.4f}"
        '0.8256 0.9448'
    """
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"Expected 0 <= correct <= n and n >= 1, got correct={correct}, n={n}.")
    share, shrink = correct / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # at the ends the interval touches 0 or 1 exactly; rounding would miss by an ulp
    return (0.0 if correct == 0 else centre - half), (1.0 if correct == n else centre + half)


def seed_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a mean over seeds: mean ± t·s/√n with n - 1 degrees of freedom.

    Raises:
        ValueError: fewer than two values, as one seed says nothing about their spread.
    Example:
        >>> low, high = seed_interval([0.90, 0.92, 0.94])
        >>> f"{low:.4f} {high:.4f}"
        '0.8703 0.9697'
    """
    from scipy.stats import t

    n = len(values)
    if n < 2:
        raise ValueError(f"Expected at least two seeds, got {n}.")
    mean = math.fsum(values) / n
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * spread / math.sqrt(n)
    return mean - half, mean + half


def write_evaluation(result: EvaluationResult, folder: Path | str) -> tuple[Path, Path]:
    """Write `<real set>.json` and `<real set>-confusion.png` into `folder`; gives their paths."""
    name = file_name(result.real)
    table, picture = Path(folder) / f"{name}.json", Path(folder) / f"{name}-confusion.png"
    write_json(table, result.to_json())
    draw_confusion_matrix(result, picture)
    return table, picture


def file_name(real: str) -> str:
    """A file name for a real set that may have been given as a path: no separators, never a model's file."""
    words = re.sub(r"[^\w.-]+", "-", real).strip("-._") or "real"
    words = words[-80:].strip("-._")
    return f"real-{words}" if words.lower() in RESERVED else words


# ---- the picture -------------------------------------------------------------------------------------

SCALE = 2  # all is drawn at twice its size, for sharp screens; lengths below are in unscaled pixels
INK, FAINT, PAPER = (31, 35, 40), (101, 109, 118), (255, 255, 255)
RAMP = ((243, 246, 249), (190, 216, 236), (101, 161, 206), (36, 104, 173), (10, 50, 108))  # 0 … 100 %
MAX_CLASSES_WITH_COUNTS = 30
MAX_CLASSES_WITH_NAMES = 120
MARGIN_PX = 28
LEGEND, LEGEND_PX = "100% of the true class", 160


def draw_confusion_matrix(result: EvaluationResult, path: Path | str) -> None:
    """Draw the matrix as a PNG: colours are shares of a row, cells hold counts, each row ends in its recall.

    With more than 30 classes the cells stay empty; with more than 120 the names are left out too.
    """
    buffer = io.BytesIO()
    _confusion_picture(result).save(buffer, "PNG", optimize=True)
    with atomic_write(Path(path)) as file:
        file.write(buffer.getvalue())


def _confusion_picture(result: EvaluationResult) -> Image.Image:
    k = len(result.class_names)
    has_counts = k <= MAX_CLASSES_WITH_COUNTS
    cell = 60 if k <= 4 else 44 if k <= 12 else 32 if has_counts else max(3, min(18, 1080 // k))
    text = min(13, cell - 2)
    names = [_shorten(name, text, 150) for name in result.class_names] if k <= MAX_CLASSES_WITH_NAMES else []
    names_px = max((_width(name, text) for name in names), default=0)
    is_upright = any(_width(name, text) > cell - 6 for name in names)  # too wide for a column

    left = MARGIN_PX + 24 + names_px + 10
    top = MARGIN_PX + 88 + (names_px if is_upright else 16 if names else 0) + 8
    side = k * cell
    headline = _headline(result)
    title = _shorten(f"Confusion on {result.real}", 20, max(side, 360))
    texts_px = max(_width(headline, 13), _width(title, 20))
    content = left + max(side + (60 if has_counts else 0), LEGEND_PX)
    width = max(content, MARGIN_PX + texts_px) + MARGIN_PX
    canvas = Image.new("RGB", (width * SCALE, (top + side + 64 + MARGIN_PX) * SCALE), PAPER)

    _write(canvas, (MARGIN_PX, MARGIN_PX), title, 20, INK, "lt")
    _write(canvas, (MARGIN_PX, MARGIN_PX + 30), headline, 13, FAINT, "lt")
    _write(canvas, (left + side // 2, MARGIN_PX + 70), "predicted", 12, FAINT, "mm")
    _write(canvas, (MARGIN_PX + 8, top + side // 2), "true", 12, FAINT, "mm", upright=True)
    for i, name in enumerate(names):
        middle = i * cell + cell // 2
        _write(canvas, (left - 10, top + middle), name, text, INK, "rm")
        _write(canvas, (left + middle, top - 8), name, text, INK, "mb", upright=is_upright)
    _draw_cells(canvas, result, left, top, cell, has_counts)
    if has_counts:
        _draw_recalls(canvas, result, left + side + 12, top, cell)
    _draw_legend(canvas, left, top + side + 26)
    return canvas


def _draw_cells(
    canvas: Image.Image, result: EvaluationResult, left: int, top: int, cell: int, has_counts: bool
) -> None:
    draw = ImageDraw.Draw(canvas)
    gap = SCALE if cell >= 12 else 0
    widest = max(len(f"{value:,}") for row in result.confusion for value in row)
    size = max(7, min(14, int((cell - 6) / (0.6 * widest))))
    for i, row in enumerate(result.confusion):
        for j, value in enumerate(row):
            share = value / max(1, sum(row))
            x, y = (left + j * cell) * SCALE, (top + i * cell) * SCALE
            box = (x + gap, y + gap, x + cell * SCALE - 1 - gap, y + cell * SCALE - 1 - gap)
            colour = _colour(share)
            draw.rounded_rectangle(box, radius=SCALE * cell // 14, fill=colour)
            if value and has_counts:  # empty cells make the mistakes stand out
                middle = (left + j * cell + cell // 2, top + i * cell + cell // 2)
                _write(canvas, middle, f"{value:,}", size, PAPER if sum(colour) < 420 else INK, "mm")


def _draw_recalls(canvas: Image.Image, result: EvaluationResult, x: int, top: int, cell: int) -> None:
    _write(canvas, (x, top - 8), "recall", 12, FAINT, "lb")
    for i, recall in enumerate(result.per_class_accuracy):
        words = "–" if recall is None else f"{recall:.0%}" if recall in (0, 1) else f"{recall:.1%}"
        _write(canvas, (x, top + i * cell + cell // 2), words, 12, FAINT, "lm")


def _draw_legend(canvas: Image.Image, left: int, top: int) -> None:
    draw = ImageDraw.Draw(canvas)
    width, height = LEGEND_PX, 8
    for x in range(width * SCALE):
        column = left * SCALE + x
        draw.line((column, top * SCALE, column, (top + height) * SCALE), _colour(x / (width * SCALE - 1)))
    _write(canvas, (left, top + height + 16), "0%", 11, FAINT, "ls")
    _write(canvas, (left + width, top + height + 16), LEGEND, 11, FAINT, "rs")


def _headline(result: EvaluationResult) -> str:
    return f"{result.accuracy:.1%} of {result.n:,} images correct, 95% interval {result.low:.1%} to {result.high:.1%}"


def _write(
    canvas: Image.Image,
    position: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    anchor: str,
    upright: bool = False,
) -> None:
    """Write at an unscaled position; `upright` turns the text to read upwards, centred on x."""
    font, (x, y) = _font(size), (position[0] * SCALE, position[1] * SCALE)
    if not upright:
        ImageDraw.Draw(canvas).text((x, y), text, colour, font, anchor)
        return
    box = font.getbbox(text, anchor="ls")
    ascent, descent = font.getmetrics() if isinstance(font, ImageFont.FreeTypeFont) else (size, 0)
    mask = Image.new("L", (int(box[2]) + 2, ascent + descent))
    ImageDraw.Draw(mask).text((0, ascent), text, 255, font, "ls")
    mask = mask.rotate(90, expand=True)
    below = mask.height if anchor.endswith("b") else mask.height // 2
    canvas.paste(colour, (x - mask.width // 2, y - below), mask)


def _colour(share: float) -> tuple[int, int, int]:
    position = share**0.6 * (len(RAMP) - 1)  # steeper at first, as mistakes are rare and matter most
    index = min(int(position), len(RAMP) - 2)
    low, high, part = RAMP[index], RAMP[index + 1], position - index
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return red, green, blue


def _shorten(text: str, size: int, width: int) -> str:
    """On one line, in characters that can be drawn, and cut to `width`."""
    text = " ".join(text.encode(errors="replace").decode().split())
    if _width(text, size) <= width:
        return text
    while text and _width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _width(text: str, size: int) -> int:
    return math.ceil(_font(size).getlength(text) / SCALE)


@cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size * SCALE)


def _key(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "") if names else "none"
