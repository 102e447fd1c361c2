"""Whether two images are the same drawing: one file, the same pixels, or the same but for rounding.

Numbers are added up in another order in another batch, by another number of threads, on another machine; so the last
bits of a drawing differ, and here and there a grey level. The rule:

    a drawing is the same but for rounding where no channel of a pixel is more than `max_levels` off, and the mean of
    what they are off is at most `mean_levels`

with the limits of the number format that the networks calculate in, see TOLERANCES, which says how they were measured.
JPEG and WebP, which round each block of a picture again, add to that: see LOSSY.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

Verdict = Literal["same file", "same pixels", "same but for rounding", "differs", "not drawn"]


@dataclass(frozen=True)
class Tolerance:
    """How far two drawings of one image may lie apart, in grey levels of 0..255.

    Attributes:
        max_levels: at any channel of any pixel.
        mean_levels: in the mean over all.
    """

    max_levels: int
    mean_levels: float

    def __str__(self) -> str:
        return f"at most {self.max_levels} grey levels at a pixel, and {self.mean_levels:g} in the mean"


# float32: 40 images of the miniature in batches of 1, 5, 7, 16 and 40 were at most 1 level apart, 0.002 in the mean;
# the limits leave room for other machines. Formats of 16 bits: on a CPU the same batches gave the same pixels, but
# kernels of other devices round otherwise, and as far as bfloat16 and float32 lie apart, 0.75 in the mean, two of them
# may; the limit is twice that. The nearest two images that are not the same lie 14.8 levels apart in the mean.
_16_BITS = Tolerance(128, 1.5)
TOLERANCES = {"float32": Tolerance(4, 0.05), "bfloat16": _16_BITS, "float16": _16_BITS}
# that encoding adds: images with one level of noise at 1 % of the pixels are 7 and 0.19 apart as JPEG, 11 and 0.88 as
# WebP; the limits are twice that
LOSSY = {"jpeg": Tolerance(14, 0.4), "webp": Tolerance(22, 1.8)}


def tolerance_of(dtype: str, image_format: str) -> Tolerance:
    """The limits for images that were drawn in a number format, and stored as png, jpeg or webp."""
    drawn, encoded = TOLERANCES.get(dtype, _16_BITS), LOSSY.get(image_format, Tolerance(0, 0.0))
    return Tolerance(drawn.max_levels + encoded.max_levels, drawn.mean_levels + encoded.mean_levels)


@dataclass(frozen=True)
class Difference:
    """How far two images lie apart, in grey levels.

    Attributes:
        share: of the channels of pixels that differ at all.
    """

    max_levels: int
    mean_levels: float
    share: float


def difference(one: Image.Image, other: Image.Image) -> Difference | None:
    """How far two images lie apart; None for images of two sizes."""
    if one.size != other.size:
        return None
    apart = levels_apart(one, other)
    return Difference(int(apart.max(initial=0)), float(apart.mean()), float((apart > 0).mean()))


def levels_apart(one: Image.Image, other: Image.Image) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Grey levels between two images of one size: int16 (h, w, 3)."""
    pixels = (np.asarray(image.convert("RGB"), np.int16) for image in (one, other))
    first, second = pixels
    return np.abs(first - second)


def judge(stored: bytes, drawn: bytes, apart: Difference | None, tolerance: Tolerance) -> Verdict:
    """Whether a file is the same drawing as another.

    Args:
        stored, drawn: the files.
        apart: how far their pixels lie apart; None for images of two sizes.
    """
    if stored == drawn:
        return "same file"
    if apart is None:
        return "differs"
    if apart.max_levels == 0:
        return "same pixels"
    is_near = apart.max_levels <= tolerance.max_levels and apart.mean_levels <= tolerance.mean_levels
    return "same but for rounding" if is_near else "differs"
