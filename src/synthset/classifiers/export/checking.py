"""Images to compare a classifier with its exported forms on, and how they compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthset.classifiers.checkpoints import TRAINING_FILE, RecordedJob
from synthset.classifiers.learned_from import DataPath
from synthset.classifiers.models import Classifier
from synthset.classifiers.training_set import fingerprint, hold_back
from synthset.core.errors import DataError, ModelError, setting
from synthset.core.json_records import read_record
from synthset.core.locks import reading
from synthset.dataset.opening import open_images
from synthset.dataset.reader import Strategies, is_dataset, strategies_of
from synthset.images.archives import exists
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource, Opening

MOST_IMAGES = 1000  # that are compared, and that are calibrated on
BATCH = 64
TOLERANCE = 1e-3  # of logits, relative to their spread: what the order of sums may change


@dataclass(frozen=True)
class CheckImages:
    """Images of the training that the classifier was trained on, and that it was not; there may be none of these."""

    trained_on: ImageSet
    held_back: ImageSet

    @property
    def compared(self) -> ImageSet:
        """Those that the forms of the classifier are compared on: held-back ones, or else some of the others."""
        return self.held_back if len(self.held_back) else self.trained_on


@dataclass(frozen=True)
class ModelRow:
    """A classifier in one form, on this machine.

    Attributes:
        form: its file, or "PyTorch".
        num_bytes: of the file.
        accuracy: on the synthetic images that were compared, in [0, 1].
        agreement: share of these that it gives the class that the classifier gives.
        images_per_second: by the processor, in batches of 64.
    """

    form: str
    num_bytes: int
    accuracy: float
    agreement: float
    images_per_second: float


@dataclass(frozen=True)
class _Note:
    """What training.json says of the images."""

    job: RecordedJob
    data: DataPath | None = None  # a training by an earlier version has none, nor has one of images in memory


@contextmanager
def checked_on(model: Path, data: ImageSource | None, strategy: Strategies = None) -> Iterator[CheckImages]:
    """The images of a classifier's training, in its two parts, as many as are needed of each, kept from writers.

    Args:
        data: where they are; by default, and how they are opened, as the training says.
        strategy: of `data`; by default that of the training.
    Raises:
        DataError: they are not at hand, or are other ones.
    """
    try:
        note = read_record(_Note, model / TRAINING_FILE, "Train it again.")
    except FileNotFoundError as error:
        raise DataError(f"Expected the notes of a training in '{model}', found none. Train it again.") from error
    source = _find(model, data, note.data)
    with reading(source):
        images = _same_images(source, strategy, note)
        config: Mapping[str, Any] = note.job.config
        rows = hold_back(images.labels, float(config["validation_fraction"]), int(config["seed"]))
        trained_on, held_back = (images.select(_some(part)) for part in rows)
        yield CheckImages(trained_on, held_back)


def _find(model: Path, data: ImageSource | None, known: DataPath | None) -> ImagePath | ImageSet:
    """Where to look for the images of a training. Raises DataError where there is nothing."""
    if isinstance(data, ImageSet):
        return data
    if data is None and known is not None:
        data = known.path
    if data is None:
        raise DataError(
            f"Expected the images that '{model}' was trained on, to compare the export on; its training does not say "
            f"where they are. Say it by {setting('trained_on')}."
        )
    given = ImagePath.of(data)
    if known is not None and given.opening == Opening():
        given = replace(given, opening=known.opening)
    if not exists(Path(given)) and not is_dataset(given.path):
        raise DataError(
            f"Expected the images that '{model}' was trained on at '{given}', to compare the export on, found nothing "
            f"there. Say where they are now by {setting('trained_on')}."
        )
    return given


def _same_images(source: ImagePath | ImageSet, strategy: Strategies, note: _Note) -> ImageSet:
    """The images of the training, of which filters may have left some out. Raises DataError where they are others."""
    if note.data is not None and not isinstance(source, ImageSet) and is_dataset(source.path):
        strategy = strategies_of(strategy) or note.data.strategies
    name, first = "", note.data is None or note.data.all_images
    for all_images in (first, not first):
        images = open_images(source, strategy, all_images=all_images, tell=False)
        if fingerprint(images) == note.job.fingerprint:
            return images
        name = images.name
    raise DataError(
        f"Expected the images that the model was trained on, got others in '{name}'. Say where they are by "
        f"{setting('trained_on')}."
    )


def _some(rows: np.ndarray) -> np.ndarray:
    """At most MOST_IMAGES of the rows, evenly."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_IMAGES)).astype(int)]


def compare(
    form: str, num_bytes: int, run: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, labels: np.ndarray
) -> tuple[ModelRow, np.ndarray]:
    """Run a form on images, timed; gives its row, whose agreement is with itself, and its logits (n, k).

    Args:
        run: uint8 (n, size, size, 3) -> logits (n, k).
    """
    run(pixels[:BATCH])  # what is done at the first call alone
    started = time.perf_counter()
    logits = np.concatenate([run(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)])
    seconds = time.perf_counter() - started
    accuracy = float(np.mean(logits.argmax(1) == labels))
    return ModelRow(form, num_bytes, accuracy, 1.0, len(pixels) / seconds), logits


def check_equal(logits: np.ndarray, expected: np.ndarray, form: str) -> None:
    """Raise ModelError unless two sets of logits (n, k) are the same but for rounding."""
    difference, spread = np.abs(logits - expected).max(), np.abs(expected).max()
    if not difference <= TOLERANCE * spread:
        raise ModelError(
            f"Expected the logits of the classifier from {form}, got others by up to {difference:.3g} of {spread:.3g}: "
            "nothing was exported. This architecture cannot have that form."
        )


def torch_runner(classifier: Classifier) -> Callable[[np.ndarray], np.ndarray]:
    """The classifier itself: uint8 (n, size, size, 3) -> logits (n, k)."""
    import torch

    def run(pixels: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        return classifier.predict(images, BATCH).numpy()

    return run


def pixels_of(images: ImageSet, classifier: Classifier) -> np.ndarray:
    """The images at the classifier's size: uint8 (n, size, size, 3)."""
    config = classifier.config
    return np.ascontiguousarray(images.tensor(config.image_size_px, config.antialias).numpy().transpose(0, 2, 3, 1))
