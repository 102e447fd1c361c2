"""Settings of filters: every option of `filter`, declared once; each filter reads some, see `Filter.reads`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from synthset.core.errors import UsageError, setting
from synthset.core.options import Option, check_options
from synthset.encoders.clip import DEFAULT_ENCODER, ENCODERS
from synthset.images.near_copies import HASH_DISTANCE
from synthset.images.opening import ImagePath


@dataclass(frozen=True)
class FilterConfig:
    """Settings of filters; each reads its own fields."""

    encoder: Annotated[str | None, Option(listed=ENCODERS, default=DEFAULT_ENCODER)] = None
    """Encoder whose vectors are compared, a CLIP: {choices}, any other ARCH/TAG of open_clip, a hub id, or
    local-dir:PATH."""
    templates: Annotated[tuple[str, ...], Option(flag="template", default="a photo of a {class}.")] = ()
    """Sentences in which the clip filter reads a class, with {} or {class} for its name; their vectors are averaged."""
    threshold: Annotated[float | None, Option(at_least=0, below=1, default="1 / number of classes")] = None
    """Probability of its class above which the clip filter keeps an image."""
    keep_share: Annotated[float | None, Option(above=0, at_most=1, default="by the threshold")] = None
    """Share of each class that the clip filter keeps, instead: the images of the highest probability."""
    keep_count: Annotated[int | None, Option(at_least=1, default="all that pass")] = None
    """Images of each class that the clip filter keeps at most: of those that pass, drawn by lot."""
    real: str | ImagePath | None = None
    """Real images that the filters real and duplicates compare with: a known name or a path. Where there are parts,
    real chooses by those to learn from alone, and duplicates looks for copies of those to test on."""
    hash_distance: Annotated[int, Option(at_least=0, at_most=64)] = HASH_DISTANCE
    """Bits of 64 in which the hashes of near copies differ at most, for the filter duplicates."""
    similarity: Annotated[float, Option(at_least=-1, at_most=1)] = 0.95
    """Cosine that the vectors of near copies have at least, for the filter duplicates."""
    device: str = "auto"
    """Device to embed on: cpu, cuda, or auto, which is a GPU where there is one."""

    def __post_init__(self) -> None:
        if isinstance(self.templates, list):
            object.__setattr__(self, "templates", tuple(self.templates))
        check_options(self)
        if self.threshold is not None and self.keep_share is not None:
            raise UsageError(f"Expected {setting('threshold')} or {setting('keep_share')}, got both. Drop one.")
