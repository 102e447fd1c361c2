"""How sets of images that flags name are opened; the flags of the second of two begin with real."""

from __future__ import annotations

from dataclasses import fields, replace

from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested
from synthset.images.opening import OPENING, ImagePath, Opening

PREFIX = "real_"
_FIELDS = ("split", "label_column", "label_names")
OF_REAL = Nested(
    group=OPENING, flags={name: f"{PREFIX}{name}".replace("_", "-") for name in _FIELDS}, without=("strict",)
)


def image_path(path: str | None, opening: Opening, field: str, prefix: str = "") -> ImagePath | None:
    """The path or name of images, if there is one, with how it is opened.

    Args:
        field: of the path.
        prefix: of the options' names, where another set has those without.
    Raises:
        UsageError: how to open what is not there.
    """
    if path is not None:
        return ImagePath(path, opening, prefix)
    plain = Opening()
    if given := [item.name for item in fields(Opening) if getattr(opening, item.name) != getattr(plain, item.name)]:
        named = " and ".join(setting(f"{prefix}{name}") for name in given)
        raise UsageError(f"Expected {setting(field)} with {named}. Or leave it out.")
    return None


def real_path(real: str | None, opening: Opening, *, strict: bool = False) -> ImagePath | None:
    """The real images beside others, see `image_path`; `strict` is said of both sets together."""
    return image_path(real, replace(opening, strict=strict and real is not None), "real", PREFIX)
