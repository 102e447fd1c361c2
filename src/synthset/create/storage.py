"""How an image is stored: its size, its format, its name, and the row that it stands in."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from PIL import Image

from synthset.create.config import CreateConfig
from synthset.dataset.records import Request, stored_row
from synthset.images.decoding import encode, resize

PNG_UP_TO_PX = 64  # below this PNG is small anyway; above it JPEG saves ten times the disk


def encode_image(pixels: np.ndarray, config: CreateConfig) -> tuple[bytes, str]:
    """The bytes of an image as it is stored, and their format."""
    if config.resize_px is not None:
        pixels = np.asarray(resize(Image.fromarray(pixels), config.resize_px, config.antialias))
    image_format = format_of(config.image_format, max(pixels.shape[:2]))
    return encode(pixels, image_format, config.quality), image_format


def format_of(image_format: str, side_px: int) -> str:
    """The format that images with this longer side are stored in: of "auto", the one that it takes."""
    if image_format != "auto":
        return image_format
    return "png" if side_px <= PNG_UP_TO_PX else "jpeg"


def image_row(request: Request, data: bytes, image_format: str, attempts: int) -> dict[str, Any]:
    """The row of a shard for an image: its request as it was drawn at last, and the outcome."""
    # built from numbers and known words: a class name never becomes a path
    name = f"{request.class_index:04d}-{request.strategy.replace(':', '_')}-{request.index:06d}.{image_format}"
    digest = hashlib.sha256(data).hexdigest()
    return stored_row(request) | {"image": {"bytes": data, "path": name}, "attempts": attempts, "sha256": digest}
