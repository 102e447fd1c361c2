"""Methods of pre-training, by name: the views that each is given, and how it is usually trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variation:
    """How far views vary; the defaults are MoCo v2's (Chen et al. 2020).

    Attributes:
        brightness, contrast, saturation: factors are in 1 - x .. 1 + x.
        hue: shifts are in -x .. x, as shares of the circle.
        jitter_share, grey_share, blur_share, mirror_share: shares of the images that are varied so.
        sigma: smallest and largest standard deviation of the blur, in pixels of images of BLUR_PX.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    jitter_share: float = 0.8
    grey_share: float = 0.2
    blur_share: float = 0.5
    mirror_share: float = 0.5
    sigma: tuple[float, float] = (0.1, 2.0)


NOTHING_BUT_A_MIRROR = Variation(0, 0, 0, 0, jitter_share=0, grey_share=0, blur_share=0)


@dataclass(frozen=True)
class Method:
    """A method of pre-training.

    Attributes:
        summary: a line about it.
        views: crops of each image.
        smallest_crop: smallest share of an image's area that a crop shows.
        variation: of the views; mirrors where the settings have them.
        epochs, warmup_epochs, learning_rate: as it is usually trained; the rate for 256 images a step.
    """

    summary: str
    views: int
    smallest_crop: float
    variation: Variation
    epochs: int
    warmup_epochs: float
    learning_rate: float


METHODS = {
    "supervised": Method("the classes of the images", 1, 0.08, NOTHING_BUT_A_MIRROR, 90, 5.0, 0.1),
    "moco": Method("MoCo v2, without labels", 2, 0.2, Variation(), 200, 0.0, 0.03),
}
