"""What a comparison trains on: datasets and their strategies, as far as a seed and a number of images go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from synthset.core.errors import UsageError
from synthset.core.seeds import derive_seed
from synthset.dataset.noise import Noise, noise_of
from synthset.dataset.opening import open_images
from synthset.dataset.reader import is_dataset, open_dataset
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource

SEED = "{seed}"  # in a path: each seed has a dataset of its own


@dataclass(frozen=True, eq=False)
class DrawnNoise:
    """The noise that images were drawn on.

    Attributes:
        shared: what all of it depends on.
        class_names: the k names.
        labels: class of each image, int64 (n,).
        numbers: of each image within its class and strategy, int64 (n,).
        seeds: of the noise of each, after retries, int64 (n,).
    """

    shared: Noise
    class_names: tuple[str, ...]
    labels: np.ndarray
    numbers: np.ndarray
    seeds: np.ndarray


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
        return open_images(self.path(seed), self.strategy)

    def path(self, seed: int) -> ImagePath:
        """Where the images of a seed are, if they are no ImageSet."""
        assert not isinstance(self.source, ImageSet)
        path = ImagePath.of(self.source)
        return replace(path, path=path.path.replace(SEED, str(seed)))

    def noise(self, seed: int) -> DrawnNoise | None:
        """The noise of its images for a seed, in the order of `open`; None where it is not shared, or not known."""
        if isinstance(self.source, ImageSet) or not is_dataset(str(self.path(seed))):
            return None
        dataset = open_dataset(str(self.path(seed)))
        shared = noise_of(dataset)
        if shared is None:
            return None
        rows = dataset.select(self.strategy)
        columns = (dataset.rows.column(name).to_numpy()[rows] for name in ("label", "index", "seed"))
        return DrawnNoise(shared, dataset.class_names, *columns)

    def take(self, counts: Sequence[int] | int, seed: int) -> ImageSet:
        """So many of its images of each class for a seed, see `take`; of shared noise, those of the lowest numbers."""
        noise = self.noise(seed)
        return take(self.open(seed), counts, seed, None if noise is None else noise.numbers)

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


def take(images: ImageSet, counts: Sequence[int] | int, seed: int, numbers: np.ndarray | None = None) -> ImageSet:
    """So many images of each class, or all of a class that has fewer; a larger number adds images and replaces none.

    Args:
        counts: of all classes, or of each.
        seed: decides which.
        numbers: of each image, where the lowest are to be taken instead, (n,): sets on shared noise then have images
            on the same noise, however many there are of each.
    """
    if numbers is None:
        order = np.random.default_rng(derive_seed(seed, "subset")).permutation(len(images))
    else:
        order = np.argsort(numbers, kind="stable")
    k = len(images.class_names)
    return images.select(first_rows(images.labels, order, [counts] * k if isinstance(counts, int) else counts))


def first_rows(labels: np.ndarray, order: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """The first rows of each class, in an order of all rows; as many as its count says, sorted."""
    by_class = [order[labels[order] == label][:count] for label, count in enumerate(counts)]
    return np.sort(np.concatenate(by_class))
