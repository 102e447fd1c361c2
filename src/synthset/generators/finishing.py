"""The last that happens to images on the device: a look at each, and, on a GPU, shrinking to the stored size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synthset.core.errors import ModelError, setting
from synthset.generators.base import GeneratedImage, GenerationConfig, StoredSize
from synthset.images.batch_resize import resize_batch

BLANK_LEVELS = 2  # an image whose every channel spans no more grey levels of 255 than this shows nothing


def size_to_shrink_to(stored: StoredSize | None, config: GenerationConfig, device: torch.device) -> StoredSize | None:
    """`stored`, where a generator shall shrink to it; None where that is left to whoever stores the images.

    It shall on a GPU, from larger squares: there pixels have a way to go, and come out as Pillow's.
    """
    if stored is None or device.type != "cuda" or config.height_px != config.width_px:
        return None
    return stored if stored.side_px < config.height_px else None


def expect_numbers(finite: Tensor, config: GenerationConfig) -> bool:
    """Whether any image of a generator's first batch has only numbers; float16 where none has would never have.

    Raises:
        ModelError: none has, in float16.
    """
    if config.dtype == "float16" and not finite.any():
        raise ModelError(
            f"No image of '{config.model}' came out as numbers: float16 ends at 65,504, which its networks exceed. "
            f"Give {setting('dtype', 'bfloat16')}, or float32."
        )
    return bool(finite.any())


def finish(pixels: Tensor, finite: Tensor, flagged: Sequence[bool], stored: StoredSize | None) -> list[GeneratedImage]:
    """Images with a status each; only pixels that are to be stored leave the device.

    Args:
        pixels: uint8 (n, 3, h, w).
        finite: bool (n,), whether each had only numbers before it was rounded.
        flagged: whether the checkpoint's safety checker objects to each.
        stored: the size to shrink to; None for none.
    """
    span = pixels.amax((2, 3)) - pixels.amin((2, 3))  # (n, 3) grey levels
    blank = span.amax(1) <= BLANK_LEVELS
    if stored:
        pixels = resize_batch(pixels, stored.side_px, stored.antialias)
    arrays = pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()  # NCHW -> NHWC
    images = []
    for array, is_finite, is_flagged, is_blank in zip(arrays, finite.tolist(), flagged, blank.tolist(), strict=True):
        if not is_finite:
            images.append(GeneratedImage(None, "failed", "not a number"))
        elif is_flagged:
            images.append(GeneratedImage(None, "flagged", "safety checker"))
        elif is_blank:
            images.append(GeneratedImage(None, "blank", "one colour all over"))
        else:
            images.append(GeneratedImage(array, "ok"))
    return images
