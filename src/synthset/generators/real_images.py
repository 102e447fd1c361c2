"""Real images that requests name: checked, decoded, and the answer of a network about each remembered."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from PIL import Image
from torch import Tensor

from synthset.core.errors import DataError, UsageError
from synthset.images.decoding import decode


class RealImages:
    """Answers of a network about real images: each once, and each alone, so that it does not depend on the others.

    Args:
        compute: the answer about an image.
        max_remembered: how many are remembered from call to call.
    """

    def __init__(self, compute: Callable[[Image.Image], Tensor], max_remembered: int) -> None:
        self._compute = compute
        self._max_remembered = max_remembered
        self._computed: OrderedDict[str, Tensor] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._computed)

    def of(self, names: Sequence[str], files: Mapping[str, bytes]) -> list[Tensor]:
        """The answers about these images.

        Args:
            names: of the images, the SHA-256 of their files in hexadecimal.
            files: their bytes (PNG, JPEG or WebP) by that.
        Raises:
            UsageError: an image that is not among the files, or another one in its place.
            DataError: an image that does not decode.
        """
        for name in dict.fromkeys(names):
            if name not in files:
                raise UsageError(
                    f"Expected the real image {name[:12]}… that a request names, got none. Give generate_from the "
                    "files by the SHA-256 of their bytes, e.g. Dataset.initial_images()."
                )
            if name not in self._computed:
                self._computed[name] = self._compute(_open(name, files[name]))
            self._computed.move_to_end(name)
        answers = [self._computed[name] for name in names]
        while len(self._computed) > self._max_remembered:
            self._computed.popitem(last=False)
        return answers


def _open(name: str, data: bytes) -> Image.Image:
    if hashlib.sha256(data).hexdigest() != name:  # an answer is remembered by the name of its image
        raise UsageError(f"Expected the real image of SHA-256 {name[:12]}…, got another file. Give its own bytes.")
    try:
        return decode(data)
    except DataError as error:
        raise DataError(f"The real image {name[:12]}… that a request names: {error}") from error
