"""What a filter is, what it is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.core.errors import UsageError
from synthset.images.imageset import ImageSet

if TYPE_CHECKING:
    from synthset.encoders.clip import Encoder
    from synthset.encoders.embed import EmbeddingCache


@dataclass(frozen=True)
class FilterConfig:
    """What filters do; each reads its own fields.

    Attributes:
        encoder: whose embeddings are looked at, by a name that `load_encoder` knows.
        templates: of clip: sentences with `{}` or `{class}` for the class name, as embed.embed_classes takes
            them; empty for its default.
        threshold: of clip: an image is kept where p(its class) is above it; None is 1 / number of classes.
        keep_share: of clip: instead of a threshold, keep this share of each class, those of the highest p.
        real: real images to compare with, for real and duplicates: a known name or a path.
        hash_distance: of duplicates: near copies differ in at most so many of the 64 bits of their hash.
        similarity: of duplicates: and their embeddings have at least this cosine.
        device: "auto" is a GPU where there is one.
    """

    encoder: str = "miniature"
    templates: tuple[str, ...] = ()
    threshold: float | None = None
    keep_share: float | None = None
    real: str | None = None
    hash_distance: int = 4
    similarity: float = 0.95
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.threshold is not None and self.keep_share is not None:
            raise UsageError("Expected --threshold or --keep-share, got both. Drop one.")
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise UsageError(f"Expected --threshold as a probability in 0..1 (below 1), got {self.threshold:g}.")
        if self.keep_share is not None and not 0 < self.keep_share <= 1:
            raise UsageError(f"Expected --keep-share above 0 and at most 1, got {self.keep_share:g}.")
        if not 0 <= self.hash_distance <= 64:
            raise UsageError(f"Expected --hash-distance in 0..64, got {self.hash_distance}.")
        if not -1 <= self.similarity <= 1:
            raise UsageError(f"Expected --similarity as a cosine in -1..1, got {self.similarity:g}.")


@dataclass(frozen=True, eq=False)
class FilterInputs:
    """What filters share: the config, the encoder with its cache, real images and phrases where they are given."""

    config: FilterConfig
    encoder: Encoder
    cache: EmbeddingCache | None = None
    real: ImageSet | None = None
    phrases: Mapping[str, str] = field(default_factory=dict)  # what stands for a class, where not its name

    def encoder_settings(self) -> dict[str, Any]:
        """The encoder as the verdicts name it."""
        return {"name": self.encoder.name, "fingerprint": self.encoder.fingerprint}

    def real_settings(self) -> dict[str, Any] | None:
        """The real set as the verdicts name it."""
        return None if self.real is None else {"name": self.real.name, "images": len(self.real)}


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
    """

    settings: Callable[[Sequence[str], FilterInputs], dict[str, Any]]
    judge: Callable[[ImageSet, FilterInputs], Judgement]
