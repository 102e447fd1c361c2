"""Augmentation of whole batches on their device, each image its own draw from one generator.

A recipe is an entry of AUGMENTATIONS. Geometry is one gather or one resampling for the whole batch; colours are
broadcast arithmetic.

Where several processes share a batch, each draws for all of it and keeps what its images need, so that an image
comes out the same however many they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from synthset.core.errors import UnknownNameError

BENDS = 4  # points a side that shifts of strokes are drawn for


@dataclass(frozen=True)
class Share:
    """Which images of a batch are here: those from `start` on, of `num_images`."""

    start: int
    num_images: int


@dataclass(frozen=True)
class Draws:
    """Random numbers for the n images that are here, drawn as if the whole batch were.

    Shapes are those of the whole batch, whose `num_images` stand at dimension `dim`; only the n are given.
    `native_px` is the side of the images as they came, if they were resized: enlarged, they are no finer.
    """

    generator: Generator
    device: torch.device
    n: int
    share: Share
    native_px: int | None = None

    @property
    def num_images(self) -> int:
        """Images of the whole batch."""
        return self.share.num_images

    def uniform(self, low: float, high: float, shape: tuple[int, ...], dim: int = 0) -> Tensor:
        """Floats in [low, high)."""
        return self._ours(torch.rand(shape, generator=self.generator, device=self.device), dim) * (high - low) + low

    def integers(self, low: int, high: int, shape: tuple[int, ...], dim: int = 0) -> Tensor:
        """Whole numbers low..high, both included."""
        return self._ours(torch.randint(low, high + 1, shape, generator=self.generator, device=self.device), dim)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """From the standard normal distribution; in memory that may be changed."""
        return self._ours(torch.randn(shape, generator=self.generator, device=self.device), 0)

    def _ours(self, drawn: Tensor, dim: int) -> Tensor:
        return drawn.narrow(dim, self.share.start, self.n)


def augment(
    images: Tensor, recipe: str, generator: Generator, share: Share | None = None, native_px: int | None = None
) -> Tensor:
    """Draw a variation of each image.

    Args:
        images: uint8 (n, 3, h, w).
        recipe: a key of AUGMENTATIONS.
        generator: on the images' device; the result depends on it, the share and the images alone.
        share: where the images lie in the batch that is drawn for; all of it by default.
        native_px: their longer side as they came, where they were enlarged; lower resolutions are lower than that.
    Returns:
        float32 (n, 3, h, w) in [0, 1], in memory of its own.
    Raises:
        UnknownNameError: no such recipe.
    """
    if recipe not in AUGMENTATIONS:
        raise UnknownNameError("augmentation", recipe, AUGMENTATIONS)
    n = len(images)
    return AUGMENTATIONS[recipe].apply(images, Draws(generator, images.device, n, share or Share(0, n), native_px))


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [0, 1]."""
    return images.float().div_(255)


def flip_and_shift(images: Tensor, draws: Draws) -> Tensor:
    """Half of the images mirrored, each shifted by up to 12.5 % of its side onto black: as CIFAR is trained.

    Padding, crop and flip are one gather of pixels.
    """
    n, c, h, w = images.shape
    pad = max(1, round(max(h, w) / 8))
    padded = F.pad(images, (pad, pad, pad, pad))
    top, left = draws.integers(0, 2 * pad, (2, draws.num_images, 1), dim=1)
    rows = torch.arange(h, device=images.device) + top  # (n, h)
    columns = torch.arange(w, device=images.device).expand(n, w)
    mirrored = draws.uniform(0, 1, (draws.num_images, 1)) < 0.5
    columns = torch.where(mirrored, w - 1 - columns, columns) + left  # (n, w)
    positions = (rows * padded.shape[-1])[:, :, None] + columns[:, None]  # (n, h, w) of each padded image
    positions = positions.view(n, 1, h * w).expand(n, c, h * w)  # faster than an index of rows and columns
    return to_float(padded.flatten(2).gather(2, positions).view(n, c, h, w))


def flip_and_resized_crop(images: Tensor, draws: Draws) -> Tensor:
    """Half of the images mirrored; of each, 8 to 100 % of the area with an aspect of 3:4 to 4:3, enlarged.

    What the code that was released with Shipard et al. 2023 trains with.
    """
    n = len(images)
    area = draws.uniform(0.08, 1, (draws.num_images,))
    aspect = draws.uniform(math.log(3 / 4), math.log(4 / 3), (draws.num_images,)).exp()
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    mirrored = draws.uniform(0, 1, (draws.num_images,)) < 0.5
    x, y = draws.uniform(-1, 1, (2, draws.num_images), dim=1)
    matrices = torch.zeros(n, 2, 3, device=images.device)
    matrices[:, 0, 0] = torch.where(mirrored, -width, width)
    matrices[:, 1, 1] = height
    matrices[:, 0, 2] = x * (1 - width)  # the crop stays inside the image
    matrices[:, 1, 2] = y * (1 - height)
    return _resample(to_float(images), matrices).clamp_(0, 1)


def write_differently(images: Tensor, draws: Draws, resolutions: tuple[float, ...], bend: float = 0.0) -> Tensor:
    """Digits and letters as another hand, pen, paper and camera would have them; never mirrored.

    In this order: grey, from a mixture of the channels that is drawn, since what is written does not depend on
    its colour (grey images stay as they are); rotation and shear of up to 15°, scale 0.75 to 1.15, stretch of up
    to 10 %, shift of up to 10 %; strokes bent (Simard et al. 2003) by shifts of standard deviation `bend`, where 2 is
    the side, at 4 × 4 points and smooth in between; one of the lower `resolutions`, as shares of the side that the
    images came with, for half of them; gamma, contrast and brightness; inverted for one in ten; noise.
    """
    grey = _to_grey(to_float(images), draws)
    written = _resample(grey, _handwriting_matrices(draws), _bends(draws, *images.shape[-2:]) * bend if bend else None)
    written = _lower_resolution(written, draws, resolutions).clamp_(0, 1)

    gamma = draws.uniform(math.log(0.6), math.log(1.6), (draws.num_images, 1, 1, 1)).exp()
    contrast = draws.uniform(0.6, 1.2, (draws.num_images, 1, 1, 1))
    brightness = draws.uniform(-0.15, 0.15, (draws.num_images, 1, 1, 1))
    inverted = draws.uniform(0, 1, (draws.num_images, 1, 1, 1)) < 0.1
    noise_std = draws.uniform(0, 0.08, (draws.num_images, 1, 1, 1))

    # (written ** gamma - 0.5) * contrast + 0.5 + brightness, or 1 minus that, as slope and offset
    slope = torch.where(inverted, -contrast, contrast)
    offset = torch.where(inverted, 0.5 - brightness, 0.5 + brightness) - slope / 2
    noise = draws.normal((draws.num_images, *written.shape[1:]))
    return noise.mul_(noise_std).addcmul_(written.pow_(gamma), slope).add_(offset).clamp_(0, 1)


@dataclass(frozen=True)
class Augmentation:
    """A recipe: uint8 images (n, 3, h, w) and draws to float32 in [0, 1] of the same shape; and a line about it."""

    apply: Callable[[Tensor, Draws], Tensor]
    summary: str


AUGMENTATIONS = {
    "none": Augmentation(lambda images, _: to_float(images), "images as they are"),
    "standard": Augmentation(flip_and_shift, "mirrored, and shifted by up to 12.5 % of the side"),
    "resized_crop": Augmentation(
        flip_and_resized_crop,
        "that of the code of Shipard et al. 2023: mirrored; a crop of 8 to 100 % of the area, enlarged",
    ),
    "handwriting": Augmentation(
        partial(write_differently, resolutions=(3 / 4, 1 / 2, 3 / 8, 1 / 4), bend=0.1),
        "written by another hand, never mirrored: for digits and letters",
    ),
    "digits": Augmentation(
        partial(write_differently, resolutions=(3 / 4, 1 / 2, 3 / 8)),
        "handwriting of earlier versions, not as blurred and not bent",
    ),
}


def _to_grey(images: Tensor, draws: Draws) -> Tensor:
    """(n, 3, h, w) with three equal channels: a mixture of the three, its weights drawn for each image."""
    weights = draws.uniform(0, 1, (draws.num_images, 3, 1, 1))
    grey = (images * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True).clamp_min(1e-6)
    return grey.expand_as(images).contiguous()


def _handwriting_matrices(draws: Draws) -> Tensor:
    """Inverse affine maps (n, 2, 3), from output to input positions, as affine_grid asks."""
    degrees = math.pi / 180
    angle = draws.uniform(-15, 15, (draws.num_images,)) * degrees
    shear = (draws.uniform(-15, 15, (draws.num_images,)) * degrees).tan()
    stretch = draws.uniform(math.log(0.9), math.log(1.1), (draws.num_images,)).exp()
    scale = draws.uniform(math.log(0.75), math.log(1.15), (draws.num_images,)).exp()
    shift = draws.uniform(-0.2, 0.2, (draws.num_images, 2))  # the image spans -1..1, so this is 10 % of its side
    cos, sin = angle.cos(), angle.sin()
    rows = (
        torch.stack((cos, cos * shear - sin), 1) / (scale * stretch)[:, None],
        torch.stack((sin, sin * shear + cos), 1) * (stretch / scale)[:, None],
    )
    return torch.cat((torch.stack(rows, 1), shift[:, :, None]), 2)


def _bends(draws: Draws, h: int, w: int) -> Tensor:
    """Smooth shifts (n, h, w, 2) whose standard deviation is 1 at BENDS × BENDS points."""
    shifts = draws.normal((draws.num_images, 2, BENDS, BENDS))
    down, across = (_between(side).to(draws.device) for side in (h, w))
    return (down @ shifts @ across.mT).permute(0, 2, 3, 1)


@cache
def _between(side: int) -> Tensor:
    """A matrix (side, BENDS) that makes a smooth curve through values at BENDS points, from one end to the other."""
    points = torch.eye(BENDS)[None, :, :, None]  # each point's own curve
    curves = F.interpolate(points, (side, 1), mode="bicubic", align_corners=True)
    return curves[0, :, :, 0].T.contiguous()


def _resample(images: Tensor, matrices: Tensor, shifts: Tensor | None = None) -> Tensor:
    """One bilinear resampling of the batch; beyond the border its pixels repeat, so the paper goes on.

    Args:
        shifts: (n, h, w, 2), of where each pixel is taken from beside the affine map; the side is 2.
    """
    h, w = images.shape[-2:]
    x, y = (2 * torch.arange(side, device=images.device) + 1 for side in (w, h))  # centres of pixels, in halves
    from_x = (x / w - 1)[:, None] * matrices[:, None, :, 0]  # (n, w, 2)
    from_y = (y / h - 1)[:, None] * matrices[:, None, :, 1] + matrices[:, None, :, 2]  # (n, h, 2)
    grid = from_x[:, None] + from_y[:, :, None]  # as affine_grid, at a fifth of its time
    if shifts is not None:
        grid += shifts
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _lower_resolution(images: Tensor, draws: Draws, resolutions: tuple[float, ...]) -> Tensor:
    """Half of the images shrunk to one of these shares of their native side and enlarged again, not below 8 px.

    Both are linear, so each image takes two small matrix products, whatever was drawn for it.
    """
    _, _, h, w = images.shape
    native_px = min(w, draws.native_px or w)
    sizes = tuple(max(8, round(native_px * share)) for share in resolutions)
    choice = draws.integers(0, 2 * len(sizes) - 1, (draws.num_images,))  # the upper half keep the image
    rows, columns = (_blurs(side, w, sizes).to(images.device)[choice, None] for side in (h, w))  # n1hh, n1ww
    return rows @ images @ columns.mT


@cache
def _blurs(side: int, width: int, sizes: tuple[int, ...]) -> Tensor:
    """Matrices (2r, side, side) that lower one side of images of that width to r sizes' resolution; half keep it."""
    identity = torch.eye(side)
    blurs = [_shrink_and_enlarge(identity, size) if size < width else identity for size in sizes]
    return torch.stack([*blurs, *[identity] * len(sizes)])


def _shrink_and_enlarge(columns: Tensor, size: int) -> Tensor:
    """Each column (side, k) with anti-aliasing to `size` and bicubically back."""
    side, k = columns.shape
    small = F.interpolate(columns[None, None], size=(size, k), mode="bilinear", antialias=True)
    return F.interpolate(small, size=(side, k), mode="bicubic", align_corners=False)[0, 0]
