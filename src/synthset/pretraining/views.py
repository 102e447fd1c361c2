"""Colours and sharpness of crops, varied for a whole batch at once on its device, each image by draws of its own.

The operations are torchvision's for one image and one factor, which here are many: brightness, contrast, saturation
and hue in an order that is drawn too, grey, blur, mirror. Draws are for the whole batch, and are numbers on the CPU, so
that an image comes out the same on any device and however many processes share the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthset.pretraining.methods import Variation

GREY = (0.2989, 0.587, 0.114)  # weights of the channels, as torchvision has them (ITU-R 601-2)
BLUR_PX = 224  # side of the images that sigma is said for
TAPS = 13


@dataclass(frozen=True, eq=False)
class Draws:
    """What was drawn for n images.

    Attributes:
        order: int64 (n, 4): the operations of JITTER, as they are done.
        factors: float32 (n, 4): what each of them is done with, by its number.
        sigma: float32 (n,).
        jittered, grey, blurred, mirrored: bool (n,).
    """

    order: Tensor
    factors: Tensor
    sigma: Tensor
    jittered: Tensor
    grey: Tensor
    blurred: Tensor
    mirrored: Tensor

    @staticmethod
    def of(variation: Variation, n: int, seed: int) -> Draws:
        """Draws for n images, by a generator of their own."""
        generator = np.random.default_rng(seed)
        order = generator.permuted(np.tile(np.arange(4), (n, 1)), axis=1)
        spread = np.array([variation.brightness, variation.contrast, variation.saturation, variation.hue])
        factors = np.array([1, 1, 1, 0]) + spread * generator.uniform(-1, 1, (n, 4))
        sigma = generator.uniform(*variation.sigma, n)
        v, chance = variation, generator.random((4, n))
        shares = (v.jitter_share, v.grey_share, v.blur_share, v.mirror_share)
        masks = [torch.from_numpy(drawn < share) for drawn, share in zip(chance, shares, strict=True)]
        return Draws(
            torch.from_numpy(order), torch.from_numpy(factors).float(), torch.from_numpy(sigma).float(), *masks
        )

    def at(self, places: np.ndarray, device: torch.device) -> Draws:
        """Those of some of the images, on a device."""
        rows = torch.from_numpy(places)
        return Draws(*(getattr(self, name)[rows].to(device) for name in self.__dataclass_fields__))


def vary(images: Tensor, draws: Draws) -> Tensor:
    """The images by their draws.

    Args:
        images: uint8 (n, 3, h, h).
    Returns:
        float32 (n, 3, h, h) in [0, 1].
    """
    varied = images.float().div_(255)
    for place in range(4):
        for number, change in enumerate(JITTER):
            rows = torch.nonzero(draws.jittered & (draws.order[:, place] == number)).flatten()
            if len(rows) and not _does_nothing(number, draws.factors[rows, number]):
                varied[rows] = change(varied[rows], draws.factors[rows, number].view(-1, 1, 1))
    rows = torch.nonzero(draws.grey).flatten()
    varied[rows] = _grey(varied[rows])[:, None]
    rows = torch.nonzero(draws.blurred).flatten()
    if len(rows):
        varied[rows] = blur(varied[rows], draws.sigma[rows] * (images.shape[-1] / BLUR_PX))
    return torch.where(draws.mirrored[:, None, None, None], varied.flip(-1), varied)


def _does_nothing(number: int, factors: Tensor) -> bool:
    return bool((factors == (0 if number == HUE else 1)).all())


def _grey(images: Tensor) -> Tensor:
    """(n, 3, h, w) to (n, h, w)."""
    red, green, blue = images.unbind(1)
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue


def brighten(images: Tensor, factor: Tensor) -> Tensor:
    """Times a factor (n, 1, 1)."""
    return (images * factor[:, None]).clamp_(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Away from the mean of its grey, by a factor (n, 1, 1)."""
    mean = _grey(images).mean((1, 2), keepdim=True)[:, None]
    return torch.lerp(mean, images, factor[:, None]).clamp_(0, 1)


def saturate(images: Tensor, factor: Tensor) -> Tensor:
    """Away from its grey, by a factor (n, 1, 1)."""
    return torch.lerp(_grey(images)[:, None].expand_as(images), images, factor[:, None]).clamp_(0, 1)


def shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Hue, a place on a circle of length 1, moved by (n, 1, 1); value and saturation stay."""
    red, green, blue = images.unbind(1)
    largest, chroma = images.amax(1), images.amax(1) - images.amin(1)
    scale = 1 / chroma.clamp_min(1e-12)
    sixth = torch.where(
        largest == red,
        (green - blue) * scale,
        torch.where(largest == green, 2 + (blue - red) * scale, 4 + (red - green) * scale),
    )
    hue = torch.where(chroma > 0, sixth, 0) + 6 * shift
    # each channel falls from the largest by so much of the chroma as its colour is away on the circle
    falls = [((hue + turn) % 6) for turn in (5, 3, 1)]
    return torch.stack([largest - chroma * torch.minimum(fall, 4 - fall).clamp(0, 1) for fall in falls], 1)


JITTER = (brighten, contrast, saturate, shift_hue)
HUE = JITTER.index(shift_hue)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of standard deviation `sigma` (n,), in pixels; at the border images are mirrored.

    A matrix for each image, along rows and along columns: two products, however many standard deviations there are.
    """
    side = images.shape[-1]
    matrices = _blur_matrices(sigma, side)
    return matrices[:, None] @ images @ matrices[:, None].mT


def _blur_matrices(sigma: Tensor, side: int) -> Tensor:
    """(n, side, side), each row of which says what a pixel is a mean of."""
    reach = min(TAPS // 2, side - 1)
    offsets = torch.arange(-reach, reach + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-3)[:, None]) ** 2)
    weights = weights / weights.sum(1, keepdim=True)
    positions = torch.arange(side, device=sigma.device)[:, None] + offsets  # (side, taps)
    positions = positions.abs()
    positions = torch.where(positions >= side, 2 * (side - 1) - positions, positions)
    one_hot = F.one_hot(positions, side).to(weights.dtype)  # (side, taps, side)
    return torch.einsum("nt,stp->nsp", weights, one_hot)
