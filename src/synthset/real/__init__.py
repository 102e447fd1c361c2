"""Real images to test on and to draw shots from: by name, or from a path with an image folder or Parquet files.

`digits` comes with scikit-learn and needs no network; the other names are loaded from the Hugging Face hub
or its cache. The class names of all of them are known here, so that a synthetic dataset can be made for a real set
that is not at hand.

    sets.py      the table of the sets that have a name
    names/       their class names
    hub.py       a set from the hub
    few_shot.py  halves and shots
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from synthset.core.errors import DataError, UsageError
from synthset.core.options import with_options
from synthset.images.archives import ENDINGS, exists
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, Opening, load_path
from synthset.images.splits import FOR_TESTS
from synthset.real.few_shot import few_shot, split
from synthset.real.hub import load_hub
from synthset.real.sets import SET, RealSet, class_names_of, find_set, known_sets, match_set, unknown_set

__all__ = ["RealSet", "class_names_of", "few_shot", "find_set", "known_sets", "load_real", "match_set", "split"]

log = logging.getLogger("synthset")


def load_real(name_or_path: str | Path, split: str | None = None, **options: Any) -> ImageSet:
    """Labelled real images, by a name of `known_sets()` or from a path.

    A path may be a folder with one folder of PNG, JPEG or WebP images a class; a Parquet file, or a folder
    of them, with an image and a label column; or a dataset that Synthset made. Where a folder is called
    like a set, write `set:digits` or `./digits`.

    Args:
        name_or_path: `cifar10`, `CIFAR-10`, … or a path.
        split: `train`, `test`, …, of a known set also several as `train+validation`; by default the test split, or
            else the validation split.
        options: further fields of images.opening.Opening, e.g. `label_column="fine_label"`.
    Raises:
        UnknownNameError: neither a name nor a path.
        UsageError: a split that the set has not.
        DataError: nothing to read there, or a hub that cannot be reached.
    """
    return open_set(ImagePath(str(name_or_path), with_options(Opening(split=split), options)), FOR_TESTS)


def open_set(source: str | Path | ImagePath, defaults: Sequence[str] = ()) -> ImageSet:
    """As `load_real`, with another choice of split for a path that has several: `defaults` are taken in turn."""
    source = ImagePath.of(source)
    name, opening = source.path, source.opening
    real = match_set(name)
    if real:
        if not name.startswith(SET) and existing_path(name):
            raise UsageError(
                f"'{name}' is the name of a real set, and lies here too: it could be either. Write {SET}{real.name} "
                f"for the real set, or ./{name} for what lies here."
            )
        if opening.label_column or opening.label_names:
            raise UsageError(f"Expected no other labels of '{real.name}', whose classes are known. Leave them out.")
        images = _load_digits(opening.split) if real.name == "digits" else load_hub(real, opening.split)
        log.debug("%s", images.summary)
        return images
    path = existing_path(name)
    if path:
        images = load_path(source, defaults)
        if images.kind != "real":
            log.warning("'%s' holds %s images where real ones are expected", images.name, images.kind)
        return images
    if re.search(r"[/\\]|^[.~]", name) or name.lower().endswith((".parquet", *ENDINGS)):
        raise DataError(
            f"Expected a folder, an archive or a Parquet file at '{name}', found nothing. "
            f"Sets known by name: {', '.join(known_sets())}."
        )
    raise unknown_set(name)


def _load_digits(split: str | None) -> ImageSet:
    if split:
        raise UsageError(f"Expected no split for 'digits', which is one set, got '{split}'. Leave it out.")
    return _digits()


@cache
def _digits() -> ImageSet:
    """1,797 digits of 8×8 pixels, dark ink on light paper."""
    from sklearn.datasets import load_digits

    ink, labels = load_digits(return_X_y=True)  # (1797, 64) in 0..16
    pixels = np.rint(255 - ink * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    files = [encode(image) for image in pixels]
    labels = np.asarray(labels, np.int64)
    return ImageSet("digits", class_names_of("digits"), labels, files.__getitem__, origin="row {}".format)


def existing_path(name: str | Path | ImagePath) -> Path | None:
    """The path, with the user's home for ~, if anything is there."""
    try:
        path = Path(name).expanduser()
        return path if str(name).strip() and exists(path) else None
    except (OSError, ValueError, RuntimeError):  # too long, with a null byte, or the home of nobody
        return None
