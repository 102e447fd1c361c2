"""Encoders of other packages: their vectors are checked, and their fingerprints cover the package's version."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthset.core.plug_ins import PlugIn

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

_MOST_OFF = 1e-3  # of the norm of a unit vector


@dataclass(frozen=True)
class PlugInEncoder:
    """An encoder of another package; see `clip.Encoder`."""

    name: str
    plug_in: PlugIn
    encoder: Any

    @property
    def fingerprint(self) -> str:
        """Over the encoder's own, and the package that it is of: what another version gave is not taken for its."""
        parts = [self.plug_in.package, self.plug_in.version, self.name, str(self.encoder.fingerprint)]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    @property
    def dimension(self) -> int:
        """Length d of its vectors."""
        return int(self.encoder.dimension)

    @property
    def logit_scale(self) -> float:
        """Factor of cosines before a softmax over classes."""
        return float(self.encoder.logit_scale)

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """float32 (n, d) unit rows, on the CPU."""
        return self._checked(self.plug_in.call(self.encoder.images, images), len(images))

    def texts(self, texts: Sequence[str]) -> Tensor:
        """float32 (n, d) unit rows, on the CPU."""
        return self._checked(self.plug_in.call(self.encoder.texts, texts), len(texts))

    def _checked(self, rows: Any, count: int) -> Tensor:
        import torch

        shape = (count, self.dimension)
        is_right = isinstance(rows, torch.Tensor) and rows.dtype == torch.float32 and tuple(rows.shape) == shape
        if not is_right or not bool(((rows.norm(dim=1) - 1).abs() <= _MOST_OFF).all()):
            kind = f"{getattr(rows, 'dtype', type(rows).__name__)} {tuple(getattr(rows, 'shape', ()))}"
            raise self.plug_in.is_wrong(f"unit rows, torch.float32 {shape},", kind)
        return rows


def load_plug_in(plug_in: PlugIn, device: str, dtype: str) -> PlugInEncoder:
    """The encoder that a package's function gives for those options that are not 'auto'.

    Raises:
        UsageError: it takes one of them not, or gives no encoder.
        ModelError: it fails.
    """
    given = {name: value for name, value in (("device", device), ("dtype", dtype)) if value != "auto"}
    encoder = plug_in.make(given)
    parts = ("fingerprint", "dimension", "logit_scale", "images", "texts")
    if missing := [part for part in parts if not hasattr(encoder, part)]:
        expected = f"a function that gives an object with {', '.join(parts)}"
        raise plug_in.is_wrong(expected, f"one without {', '.join(missing)}")
    return PlugInEncoder(plug_in.name, plug_in, encoder)
