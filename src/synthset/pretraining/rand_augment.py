"""RandAugment: two operations of fifteen, drawn for each image, at about one magnitude (Cubuk et al. 2020).

As DeiT is trained with it, which timm calls rand-m9-mstd0.5-inc1: each operation is done with a chance of one half, its
magnitude is from a normal distribution, and changes grow with it. The operations are timm's; the draws are ours, for
timm's are from Python's global random state, which threads would share.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from timm.data import auto_augment as ops

OPERATIONS_AN_IMAGE = 2
DRAWS = 4  # of an operation: which, whether, how far from the magnitude, which direction
CHANCE, SPREAD, HIGHEST = 0.5, 0.5, 10.0
_FILL = (124, 116, 104)  # ImageNet's mean colour
_AROUND = {"fillcolor": _FILL, "resample": Image.Resampling.BICUBIC}

# of an image, and a strength in -1..1 whose sign is drawn
OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "auto_contrast": lambda image, _: ops.auto_contrast(image),
    "equalize": lambda image, _: ops.equalize(image),
    "invert": lambda image, _: ops.invert(image),
    "rotate": lambda image, strength: ops.rotate(image, 30 * strength, **_AROUND),
    "posterize": lambda image, strength: ops.posterize(image, 4 - int(4 * abs(strength))),
    "solarize": lambda image, strength: ops.solarize(image, 256 - int(256 * abs(strength))),
    "solarize_add": lambda image, strength: ops.solarize_add(image, int(110 * abs(strength))),
    "color": lambda image, strength: ops.color(image, 1 + 0.9 * strength),
    "contrast": lambda image, strength: ops.contrast(image, 1 + 0.9 * strength),
    "brightness": lambda image, strength: ops.brightness(image, 1 + 0.9 * strength),
    "sharpness": lambda image, strength: ops.sharpness(image, 1 + 0.9 * strength),
    "shear_x": lambda image, strength: ops.shear_x(image, 0.3 * strength, **_AROUND),
    "shear_y": lambda image, strength: ops.shear_y(image, 0.3 * strength, **_AROUND),
    "translate_x": lambda image, strength: ops.translate_x_rel(image, 0.45 * strength, **_AROUND),
    "translate_y": lambda image, strength: ops.translate_y_rel(image, 0.45 * strength, **_AROUND),
}


def draw(generator: np.random.Generator, n: int) -> np.ndarray:
    """Draws for n images: float64 (n, OPERATIONS_AN_IMAGE, DRAWS), the third normal, the others in [0, 1)."""
    draws = generator.random((n, OPERATIONS_AN_IMAGE, DRAWS))
    draws[:, :, 2] = generator.normal(size=(n, OPERATIONS_AN_IMAGE))
    return draws


def rand_augment(image: Image.Image, magnitude: float, draws: np.ndarray) -> Image.Image:
    """An image by its draws, (OPERATIONS_AN_IMAGE, DRAWS).

    Args:
        magnitude: in 0..HIGHEST, around which that of each operation is.
    """
    for which, chance, deviation, direction in draws.tolist():
        if chance < CHANCE:
            strength = min(max(magnitude + SPREAD * deviation, 0), HIGHEST) / HIGHEST
            operation = list(OPERATIONS.values())[int(which * len(OPERATIONS))]
            image = operation(image, strength if direction < 0.5 else -strength)
    return image
