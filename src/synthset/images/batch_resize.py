"""The resizing of `images.resize` for whole batches of squares, on whatever device they are, to the very same pixels.

A GPU that drew 512 × 512 pixels of which 32 × 32 are stored then sends a 256th over, and no core of the machine
spends time on it. Pillow rounds to whole grey levels after each of its two passes, so what it computes are sums of
whole numbers; in float64 they are exact in any order.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

BITS = 22  # of Pillow's weights after the point
VALUES_AT_ONCE = 2**22  # 32 MB in float64


def resize_batch(pixels: Tensor, side_px: int, antialias: bool = True) -> Tensor:
    """What `images.resize` makes of each image.

    Squares only: where the axes shrink differently, Pillow's versions differ in which they pass first.

    Args:
        pixels: uint8 (n, c, side, side).
        side_px: the new side.
        antialias: see `images.resize`.
    Returns:
        uint8 (n, c, side_px, side_px) on the same device, equal to Pillow's on x86-64. Elsewhere compilers may fuse
        the products and sums of its interpolation without anti-aliasing, which can make a grey level of difference.
    Raises:
        ValueError: the images are no squares.
    Reference: Pillow's resampling (two passes, along rows first) and its affine transform with a bilinear filter.
    """
    height, width = pixels.shape[2:]
    if height != width:
        raise ValueError(f"Expected squares, got images of {width} × {height} pixels.")
    if side_px == width:
        return pixels
    resize = _resample if antialias else _interpolate
    count = max(1, VALUES_AT_ONCE // pixels[0].numel())
    return torch.cat([resize(part, side_px) for part in pixels.split(count)])


def _resample(pixels: Tensor, side_px: int) -> Tensor:
    weights = _weights(pixels.shape[3], side_px).to(pixels.device)
    along_rows = _round(pixels.double() @ weights.mT)
    return _round(weights @ along_rows).to(torch.uint8)


def _round(sums: Tensor) -> Tensor:
    return ((sums + 2 ** (BITS - 1)) / 2**BITS).floor().clamp(0, 255)


@lru_cache(maxsize=16)
def _weights(size: int, new_size: int) -> Tensor:
    """Of each old pixel in each new one, float64 (new_size, size): whole numbers, shares of 2**BITS."""
    scale = size / new_size
    stretch = max(1.0, scale)  # when shrinking, the kernel spans as many more pixels
    weights = np.zeros((new_size, size))
    for new in range(new_size):
        centre = (new + 0.5) * scale
        first = max(0, int(centre - 2 * stretch + 0.5))
        last = min(size, int(centre + 2 * stretch + 0.5))
        kernel = np.array([_cubic((old - centre + 0.5) / stretch) for old in range(first, last)])
        weights[new, first:last] = kernel / kernel.sum()
    shares = weights * 2**BITS
    return torch.from_numpy(np.trunc(shares + np.copysign(0.5, shares)))


def _cubic(x: float) -> float:
    """Cubic convolution with a = -1/2, Keys 1981."""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return (((5 - x) * x - 8) * x + 4) / 2 if x < 2 else 0.0


def _interpolate(pixels: Tensor, side_px: int) -> Tensor:
    """Bilinear between the four old pixels around the centre of each new one."""
    size = pixels.shape[3]
    centres = (torch.arange(side_px, dtype=torch.float64) + 0.5) * (size / side_px) - 0.5
    before = centres.floor()
    share = (centres - before).to(pixels.device)  # of the pixel after the centre
    first, second = torch.stack([before, before + 1]).long().clamp(0, size - 1).to(pixels.device)

    def along_rows(ys: Tensor) -> Tensor:
        rows = pixels[:, :, ys].double()
        left = rows[..., first]
        return left + (rows[..., second] - left) * share

    upper = along_rows(first)
    return (upper + (along_rows(second) - upper) * share[:, None]).to(torch.uint8)  # Pillow cuts off the rest, too
