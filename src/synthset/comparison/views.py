"""What a comparison trains on: datasets and their strategies, as far as a seed and a number of images go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from synthset.core.errors import UsageError
from synthset.core.seeds import derive_seed
from synthset.dataset.opening import open_images
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource

SEED = "{seed}"  # in a path: each seed has a dataset of its own


@dataclass(frozen=True, eq=False)
class View:
    """A dataset, or a strategy of one.

    Attributes:
        name: how to speak of it.
        source: where its images are.
        strategy: of the dataset; None for all images.
    """

    name: str
    source: ImageSource
    strategy: str | None = None

    def open(self, seed: int) -> ImageSet:
        """Its images for a seed. Raises as `open_images`."""
        if isinstance(self.source, ImageSet):
            return open_images(self.source, self.strategy)
        path = ImagePath.of(self.source)
        return open_images(replace(path, path=path.path.replace(SEED, str(seed))), self.strategy)

    @cached_property
    def smallest_class(self) -> int:
        """Images of its smallest class, for the first seed."""
        images = self.open(0)
        return int(np.bincount(images.labels, minlength=len(images.class_names)).min())


def views_of(sources: Sequence[ImageSource], strategies: Sequence[str]) -> list[View]:
    """Every strategy of every dataset; names tell them apart. Raises UsageError for one that comes twice."""
    labels = [source.name if isinstance(source, ImageSet) else str(source) for source in sources]
    views = []
    for label, source in zip(labels, sources, strict=True):
        for strategy in strategies or (None,):
            parts = [label] * (len(sources) > 1 or not strategies) + [strategy] * bool(strategies)
            views.append(View(": ".join(filter(None, parts)), source, strategy))
    names = [view.name for view in views]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"Expected each dataset once, got '{twice}' twice. Leave one out.")
    return views


def take(images: ImageSet, counts: Sequence[int] | int, seed: int) -> ImageSet:
    """So many images of each class, or all of a class that has fewer; a larger number adds images and replaces none."""
    k = len(images.class_names)
    wanted = [counts] * k if isinstance(counts, int) else counts
    generator = np.random.default_rng(derive_seed(seed, "subset"))
    order = generator.permutation(len(images))
    by_class = [order[images.labels[order] == label] for label in range(k)]
    rows = [rows[:count] for rows, count in zip(by_class, wanted, strict=True)]
    return images.select(np.sort(np.concatenate(rows)))
