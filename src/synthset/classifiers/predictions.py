"""Class names and probabilities of images, and the images of people: files, PIL images, arrays."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from synthset.core.errors import DataError, UsageError, first_line
from synthset.images.archives import read_file
from synthset.images.decoding import decode, to_rgb

Picture: TypeAlias = str | Path | bytes | Image.Image | np.ndarray
"""An image: its path, its encoded bytes, a PIL image, or uint8 (h, w, 3) or (h, w)."""

_WITHOUT_RANGE = ("I", "F")  # modes of PIL whose numbers may mean any brightness


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model makes of n images.

    Attributes:
        class_names: the k names, in the order of the columns.
        probabilities: float32 (n, k), in [0, 1]; each row adds up to 1.
    """

    class_names: tuple[str, ...]
    probabilities: np.ndarray

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def labels(self) -> np.ndarray:
        """The most probable class of each image, int64 (n,) in 0..k-1."""
        return self.probabilities.argmax(1)

    @property
    def names(self) -> list[str]:
        """Its name."""
        return [self.class_names[label] for label in self.labels.tolist()]

    @property
    def confidences(self) -> np.ndarray:
        """Its probability, float32 (n,)."""
        return self.probabilities.max(1)

    def top(self, k: int) -> list[list[tuple[str, float]]]:
        """The k most probable classes of each image with their probabilities, the first first; of fewer, all."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return [
            [(self.class_names[label], float(row[label])) for label in labels]
            for labels, row in zip(order.tolist(), self.probabilities, strict=True)
        ]


def open_picture(picture: Picture) -> Image.Image:
    """An image in RGB, upright, as `decode` makes it of a file.

    Raises:
        DataError: it cannot be read.
        UsageError: an array of another shape or type, or a PIL image whose numbers have no range.
    """
    if isinstance(picture, str | Path):
        try:
            return decode(read_file(Path(picture)))
        except DataError as error:
            raise DataError(f"'{picture}': {error}") from error
    if isinstance(picture, bytes):
        return decode(picture)
    if isinstance(picture, Image.Image) and picture.mode not in _WITHOUT_RANGE:
        return _of_pil(picture)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and _is_picture(picture.shape):
        return Image.fromarray(picture).convert("RGB")
    raise _other_than_pictures(picture)


def as_pictures(pictures: Picture | Iterable[Picture]) -> list[Picture]:
    """Several images, or one.

    Raises:
        UsageError: neither, or an array of three axes that is not one image: it might be many grey ones, or one with
            its channels elsewhere.
    """
    if isinstance(pictures, str | Path | bytes | Image.Image):
        return [pictures]
    if isinstance(pictures, np.ndarray):
        if _is_picture(pictures.shape):
            return [pictures]
        if pictures.ndim != 4:
            raise _other_than_pictures(pictures)
        return list(pictures)  # (n, h, w, 3)
    if not isinstance(pictures, Iterable) or isinstance(pictures, io.IOBase):
        raise _other_than_pictures(pictures)
    return list(pictures)


def _of_pil(picture: Image.Image) -> Image.Image:
    try:
        return to_rgb(picture)
    except (OSError, SyntaxError, ValueError) as error:  # PIL reads a file when its pixels are asked for
        raise DataError(f"Expected a whole image, got one that PIL cannot read ({first_line(error)}).") from error


def _is_picture(shape: tuple[int, ...]) -> bool:
    return all(shape) and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3))


def _other_than_pictures(value: object) -> UsageError:
    got = type(value).__name__
    if isinstance(value, np.ndarray):
        got = f"{value.dtype} {value.shape}"
    elif isinstance(value, Image.Image):
        got = f"a PIL image of mode {value.mode}, whose numbers have no range"
    return UsageError(
        "Expected paths, encoded bytes, PIL images, or uint8 arrays (h, w, 3) or (h, w), one or a list of them, or one "
        f"array (n, h, w, 3), got {got}."
    )
