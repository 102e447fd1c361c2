"""Requests to draw, real images to draw from, and a look at what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from synthset.dataset.records import Request
from synthset.generators.base import GeneratedImage
from synthset.images.decoding import encode


def make_request(
    prompt: str = "", negative_prompt: str = "", guidance_scale: float = 7.5, seed: int = 1, **options: Any
) -> Request:
    return Request(0, "cat", 0, "base", 0, prompt, negative_prompt, guidance_scale, seed, **options)


def picture(seed: int, width_px: int = 32) -> bytes:
    """A file of coloured patches, 32 pixels high."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return encode(np.asarray(Image.fromarray(patches).resize((width_px, 32), Image.Resampling.NEAREST)))


def pixels_of(images: Sequence[GeneratedImage]) -> list[np.ndarray]:
    assert [image.status for image in images] == ["ok"] * len(images)
    return [image.pixels for image in images if image.pixels is not None]


def difference(one: Any, other: Any) -> int:
    """The largest, in grey levels."""
    return int(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())
