"""The nearest images of an image, synthetic and real, by the cosines of an encoder's vectors.

Nothing is embedded until somebody asks for neighbours; then all images are, once, into the cache that filters and
diagnosis share. The vectors take four bytes an image and dimension of memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.images.imageset import ImageSet
from synthset.review.work import Work

if TYPE_CHECKING:
    from synthset.encoders.clip import Encoder
    from synthset.encoders.embed import EmbeddingCache

NEAREST = 8


@dataclass(frozen=True)
class Neighbour:
    """An image beside another.

    Attributes:
        row: of the dataset, or of the real images.
        similarity: cosine of the two vectors, in [-1, 1].
        class_name: of a real image; empty for a synthetic one.
    """

    row: int
    similarity: float
    class_name: str = ""


class Neighbours:
    """Vectors of all images, and the nearest of one.

    Args:
        images: of the dataset, all of them.
        load: loads the encoder.
        real: opens the real images; None for none.
        cache: of embeddings.
        why_not: why there is no encoder, in a sentence; empty where there is one.
    """

    def __init__(
        self,
        images: ImageSet,
        load: Callable[[], Encoder] | None,
        real: Callable[[], ImageSet] | None = None,
        cache: EmbeddingCache | None = None,
        why_not: str = "",
    ) -> None:
        self._images, self._load, self._open_real, self._cache = images, load, real, cache
        self.why_not, self.work = why_not, Work()
        self.real: ImageSet | None = None
        self._vectors: Any = None
        self._real_vectors: Any = None

    @property
    def are_ready(self) -> bool:
        """Whether `nearest` can be asked."""
        return self.work.progress.state == "done"

    def start(self) -> None:
        """Embed all images in the background, if that was not done."""
        if self._load is not None and not self.are_ready:
            self.work.start(self._embed_all)

    def nearest(self, row: int, count: int = NEAREST) -> tuple[list[Neighbour], list[Neighbour]]:
        """The nearest synthetic images, without itself, and the nearest real ones; the nearest first."""
        query = self._vectors[row]
        near = _best(self._vectors @ query, count + 1)
        synthetic = [Neighbour(index, cosine) for index, cosine in near if index != row][:count]
        if self.real is None:
            return synthetic, []
        names, labels = self.real.class_names, self.real.labels
        best = _best(self._real_vectors @ query, count)
        return synthetic, [Neighbour(index, cosine, names[labels[index]]) for index, cosine in best]

    def _embed_all(self) -> None:
        assert self._load is not None
        self.work.tell("loading the encoder")
        encoder = self._load()
        if self._open_real is not None and self.real is None:
            self.work.tell("opening the real images")
            self.real = self._open_real()
            self._real_vectors = self._embed(self.real, encoder, "real images")
        self._vectors = self._embed(self._images, encoder, "images")

    def _embed(self, images: ImageSet, encoder: Encoder, what: str) -> np.ndarray:
        from synthset.encoders.embed import embed_images

        doing, count = f"embedding {what} by {encoder.name}", itertools.count(1)

        def read(index: int) -> bytes:
            # an image is read twice, for its hash and for its vector, so the work can be stopped at any
            self.work.tell(doing, next(count) // 2, len(images))
            return images.read(index)

        vectors = embed_images(replace(images, read=read), encoder, self._cache).numpy()
        self.work.tell(doing, len(images), len(images))
        return vectors


def _best(cosines: np.ndarray, count: int) -> list[tuple[int, float]]:
    """The places of the largest values, the largest first."""
    count = min(count, len(cosines))
    some = np.argpartition(-cosines, count - 1)[:count] if count else np.empty(0, np.int64)
    return [(int(index), float(np.clip(cosines[index], -1, 1))) for index in some[np.argsort(-cosines[some])]]
