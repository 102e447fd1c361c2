"""How the papers drew each data set, as defaults for `create --dataset`.

Shipard et al. 2023, sections 4.3 and 5, where they drew it, and He et al. 2023, section 3.1, for the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from synthset.real import find_set


@dataclass(frozen=True)
class Preset:
    """Defaults of `create` that follow from the real set that a synthetic one shall stand in for."""

    images_per_class: int
    size_px: int | None
    satellite: bool = False
    antialias: bool = True


def preset_for(dataset: str) -> Preset:
    """The defaults for a known real set. Raises UnknownNameError."""
    real = find_set(dataset)
    # the eight-pixel digits are shown large, so that people and classifiers can see them
    size_px = 32 if real.name == "digits" else real.size_px
    is_satellite = real.name == "eurosat"  # on which section 5.3 found anti-aliasing to hurt
    return Preset(real.images_per_class, size_px, is_satellite, antialias=not is_satellite)
