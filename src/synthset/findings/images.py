"""Images that work is done on: drawn ones, or a part of a real set. Each a declaration that a lab can open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from synthset.findings.work import Lab, Work
from synthset.images.imageset import ImageSet

if TYPE_CHECKING:
    from synthset.findings.drawing import Draw

Part = Literal["all", "train", "test"]


@dataclass(frozen=True)
class Drawn:
    """Images of a drawing.

    Attributes:
        of: the drawing.
        strategy: whose images; None for all.
        filtered: the filter that was run on it, whose verdicts count; None takes everything that was drawn.
        per_class: at most so many of each class, the first.
    """

    of: Draw
    strategy: str | None = None
    filtered: Work | None = None
    per_class: int | None = None

    @property
    def count(self) -> int:
        """Images, as far as a filter does not leave some out."""
        whole = self.of.count_of(self.strategy)
        return whole if self.per_class is None else min(whole, self.per_class * self.of.num_classes)

    @property
    def title(self) -> str:
        """In a few words."""
        kept = " kept" if self.filtered else ""
        return f"{self.strategy or self.of.title}{kept}" + (f" {self.per_class} a class" if self.per_class else "")

    def open(self, lab: Lab) -> ImageSet:
        """The images. Raises DataError as `Dataset.images`."""
        from synthset.dataset.reader import open_dataset

        dataset = open_dataset(lab.home(self.of) / "dataset")
        images = dataset.images(self.strategy, kept=self.filtered is not None)
        return images if self.per_class is None else _first(images, self.per_class)


@dataclass(frozen=True)
class Real:
    """A part of a real set.

    Attributes:
        name: as `--real` takes it.
        part: all of it, what may be learned from, or what is tested on; they have no image in common.
        shots: of each class, drawn by `seed`; None for all.
    """

    name: str
    part: Part = "all"
    shots: int | None = None
    seed: int = 0
    num_classes: int = 10

    @property
    def count(self) -> int:
        """Images, as far as that is known: of shots."""
        return (self.shots or 0) * self.num_classes

    @property
    def title(self) -> str:
        """In a few words."""
        return f"{self.name} {self.part}" + (f" {self.shots} shots" if self.shots else "")

    def open(self, lab: Lab) -> ImageSet:
        """The images. Raises as `load_real`."""
        from synthset.real import few_shot, load_real
        from synthset.real.learning import few_shot_pool, load_test_part

        openers = {"all": load_real, "train": few_shot_pool, "test": load_test_part}
        images = openers[self.part](self.name)
        return images if self.shots is None else few_shot(images, self.shots, self.seed)


Images = Drawn | Real


def _first(images: ImageSet, per_class: int) -> ImageSet:
    rows = [np.flatnonzero(images.labels == label)[:per_class] for label in range(len(images.class_names))]
    return images.select(np.sort(np.concatenate(rows)))
