"""The images of a tuning, opened and checked before a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthset.core.errors import DataError, UsageError, setting
from synthset.dataset.opening import open_images
from synthset.dataset.reader import Dataset, is_dataset, open_dataset
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImageSource
from synthset.real import class_names_of, match_set
from synthset.real.learning import load_test_part
from synthset.real.matching import with_classes
from synthset.tuning.config import TuneConfig
from synthset.tuning.few_shot import check_initial_images, draw_shots


@dataclass(frozen=True)
class Synthetic:
    """The synthetic images that are meant.

    Attributes:
        data: as `open_images` takes them; None for none.
        prompt_strategy, all_images: the part of a Synthset dataset.
    """

    data: ImageSource | None
    prompt_strategy: str | None = None
    all_images: bool = False

    @property
    def key(self) -> str:
        """A name that tells these images from others in one process."""
        named = id(self.data) if isinstance(self.data, ImageSet) else self.data
        return f"{named!r} {self.prompt_strategy} {self.all_images}"

    def dataset(self) -> Dataset | None:
        """The Synthset dataset that the images are of, if they are of one."""
        is_path = self.data is not None and not isinstance(self.data, ImageSet)
        return open_dataset(str(self.data)) if is_path and is_dataset(str(self.data)) else None

    def open(self) -> ImageSet | None:
        """The images. Raises UsageError, DataError as `open_images`."""
        if self.data is None:
            return None
        if self.prompt_strategy is not None and self.dataset() is None:
            name = self.data.name if isinstance(self.data, ImageSet) else self.data
            option = setting("prompt_strategy")
            raise UsageError(f"Expected a Synthset dataset for {option}, '{name}' is none. Leave {option} out.")
        images = open_images(self.data, self.prompt_strategy, all_images=self.all_images)
        if not len(images):
            raise DataError(f"Expected images in '{images.name}', found none. Run 'synthset create' first.")
        return images


@dataclass(frozen=True, eq=False)
class TuneInputs:
    """Images with one list of classes.

    Attributes:
        class_names: the k classes, in label order.
        synthetic: None for none.
        shots: the real images to learn from; None for none.
        real: name of the real set; None for none.
    """

    class_names: tuple[str, ...]
    synthetic: ImageSet | None
    shots: ImageSet | None
    real: str | None


def open_inputs(source: Synthetic, real: ImageSource | None, config: TuneConfig) -> TuneInputs:
    """Open all images.

    Args:
        config: a resolved one, so that there are synthetic images or shots.
    Raises:
        UsageError: classes that differ or are too few, too few real images, or synthetic ones that were drawn from
            other real images than the shots.
        DataError: images that cannot be read.
    """
    if config.shots and real is None:
        raise UsageError(f"Expected a real set to draw shots from, e.g. {setting('real', 'digits')}, got none.")
    name = real.name if isinstance(real, ImageSet) else None if real is None else str(real)
    synthetic, shots = source.open(), None
    if config.shots and real is not None:
        shots = draw_shots(real, synthetic.class_names if synthetic else None, config.shots, config.seed)
    elif real is not None and synthetic is not None:
        _check_classes_of(real, synthetic)
    if synthetic is not None:
        check_initial_images(source.dataset(), shots, config, name or "REAL")
    first = shots if synthetic is None else synthetic
    assert first is not None
    if len(first.class_names) < 2:
        raise UsageError(
            f"Expected at least two classes in '{first.name}', got {len(first.class_names)}: a classifier of one "
            "class is always right. Create images of a second class."
        )
    return TuneInputs(tuple(first.class_names), synthetic, shots, name)


def _check_classes_of(real: ImageSource, synthetic: ImageSet) -> None:
    """Refuse other classes than those of the real set; a known one need not be at hand for that."""
    known = None if isinstance(real, ImageSet) else match_set(str(real))
    if known is None:
        with_classes(load_test_part(real), synthetic.class_names)
    else:
        names = class_names_of(known.name)
        with_classes(ImageSet(known.name, names, np.zeros(0, np.int64), lambda _: b""), synthetic.class_names)
