"""A filter, its inputs, and its judgement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.filters.config import FilterConfig
from synthset.images.imageset import ImageSet

if TYPE_CHECKING:
    from synthset.encoders.clip import Encoder
    from synthset.encoders.embed import EmbeddingCache


@dataclass(frozen=True, eq=False)
class FilterInputs:
    """Inputs that filters share.

    Attributes:
        real: real images to find copies of, those that are tested on.
        pool: real images to choose by, of the same set where it has several parts: never those that are tested on.
        phrases: what stands for a class, where not its name.
    """

    config: FilterConfig
    encoder: Encoder
    cache: EmbeddingCache | None = None
    real: ImageSet | None = None
    pool: ImageSet | None = None
    phrases: Mapping[str, str] = field(default_factory=dict)

    def encoder_settings(self) -> dict[str, Any]:
        """The encoder as the verdicts name it."""
        return {"name": self.encoder.name, "fingerprint": self.encoder.fingerprint}

    @staticmethod
    def describe(real: ImageSet | None) -> dict[str, Any] | None:
        """Real images as the verdicts name them."""
        return None if real is None else {"name": real.name, "images": len(real)}


@dataclass(frozen=True, eq=False)
class Judgement:
    """One answer an image: keep, bool (n,); score, float64 (n,), higher is more surely kept; and a sentence."""

    keep: np.ndarray
    score: np.ndarray
    reasons: Sequence[str]


@dataclass(frozen=True)
class Filter:
    """A way to judge images. Any two functions will do; give your own to `filter_dataset`.

    Attributes:
        settings: (class names, inputs) -> all that the judgement depends on beside the images, as JSON can
            hold it. Raises UsageError for what cannot be judged; nothing has been computed then. "threshold"
            is where the scores divide, None where they do not.
        judge: (images, inputs) -> a judgement. An image's answer may depend on itself and those before it.
        summary: which images it keeps, in a line.
        reads: fields of the config that it reads, beside the encoder.
        by_class: whether its answer depends on the class of an image: it counts no longer where that is another one.
    """

    settings: Callable[[Sequence[str], FilterInputs], dict[str, Any]]
    judge: Callable[[ImageSet, FilterInputs], Judgement]
    summary: str = ""
    reads: tuple[str, ...] = ()
    by_class: bool = True
