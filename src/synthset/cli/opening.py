"""How the second of two sets of images is opened: its flags begin with real."""

from __future__ import annotations

from dataclasses import replace

from synthset.core.options import Nested
from synthset.images.opening import OPENING, ImagePath, Opening

PREFIX = "real_"
_FIELDS = ("split", "label_column", "label_names")
OF_REAL = Nested(
    group=OPENING, flags={name: f"{PREFIX}{name}".replace("_", "-") for name in _FIELDS}, without=("strict",)
)


def real_path(real: str | None, opening: Opening, *, strict: bool) -> ImagePath | None:
    """The path or name of the real images, if there is one, with how it is opened."""
    return None if real is None else ImagePath(real, replace(opening, strict=strict), PREFIX)
