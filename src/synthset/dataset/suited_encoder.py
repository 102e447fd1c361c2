"""The encoder that is meant where none is named: the miniature's, for what the miniature drew and for digits alone.

It has seen nothing but digits, so of photographs its opinion is noise, and a number that is none must not be given.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from synthset.core.errors import UsageError, setting
from synthset.core.files import to_path
from synthset.dataset.manifest import read_manifest
from synthset.dataset.reader import is_dataset
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath
from synthset.miniature import DIGITS, NAME
from synthset.real.sets import match_set


def suited_encoder(named: str | None, option: str, drawn_by: Iterable[str | None], real: object = None) -> str:
    """The name of the encoder that was named, or that is meant.

    Args:
        option: the field that names it.
        drawn_by: the models that drew the images, as far as they are known; see model_of().
        real: real images beside them, by name, path or as a set.
    Raises:
        UsageError: none was named, and the miniature's has not seen such images.
    """
    if named is not None:
        return named
    if NAME in drawn_by or _is_of_digits(real):
        return NAME
    raise UsageError(
        f"Expected {setting(option)} by name: its default, the miniature's, knows digits alone, and these images were "
        f"not drawn by the miniature. Give {setting(option, 'RN50')} for photographs, whose 102 million "
        f"weights are fetched once, or offline {setting(option, 'local-dir:FOLDER')} with those of a CLIP, or "
        f"{setting(option, NAME)} if they show digits."
    )


def model_of(data: object) -> str | None:
    """The model that drew a Synthset dataset; None for anything else."""
    if not isinstance(data, str | Path | ImagePath) or not is_dataset(str(data)):
        return None
    return read_manifest(to_path(str(data)))["job"]["generation"].get("model")


def _is_of_digits(real: object) -> bool:
    """Whether real images are a known set of digits."""
    if isinstance(real, ImageSet):
        return real.class_names == DIGITS and match_set(real.name) is not None
    known = match_set(str(real)) if real is not None else None
    return known is not None and known.class_names == DIGITS
