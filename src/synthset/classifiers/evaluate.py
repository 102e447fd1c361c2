"""Test a classifier on real images: accuracy with its interval, per class, and the confusion matrix.

Results are plain numbers, saved as `<name of the real set>.json` with the matrix as a picture beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthset.classifiers.confusion_chart import draw_confusion_matrix
from synthset.classifiers.models import Classifier
from synthset.classifiers.scoring import EvaluationResult, count, match_classes
from synthset.core.errors import DataError
from synthset.core.files import delete_parts, write_json
from synthset.core.locks import writing
from synthset.images.imageset import ImageSet

RESERVED = ("model", "config", "training")  # names of a classifier's own files
PATIENCE_SECONDS = 60.0  # with another test that writes into the same folder


def evaluate(classifier: Classifier, real: ImageSet, batch_size: int = 256) -> EvaluationResult:
    """Classify every image of `real` and count.

    Real classes are matched to the model's by name, whatever their order, case and underscores.
    Raises:
        UsageError: the two sets of classes differ; the message names the differences.
        DataError: no images, or unreadable ones.
    """
    if len(real) == 0:
        raise DataError(f"Expected images in '{real.name}', found none.")
    config = classifier.config
    true = match_classes(config.class_names, real)[real.labels]
    images = real.tensor(config.image_size_px, config.antialias)
    predicted = classifier.predict(images, batch_size).argmax(1).numpy()
    return count(true, predicted, config.class_names, real.name, real.metric)


def write_evaluation(
    result: EvaluationResult, folder: Path | str, about: Mapping[str, Any] | None = None
) -> tuple[Path, Path]:
    """Write `<real set>.json` and `<real set>-confusion.png` into `folder`; gives their paths.

    `about` stands beside the result in the JSON: what else it depends on.
    """
    name = file_name(result.real)
    table, picture = Path(folder) / f"{name}.json", Path(folder) / f"{name}-confusion.png"
    with writing(Path(folder), PATIENCE_SECONDS):
        delete_parts(Path(folder), below=False)
        write_json(table, result.to_json() | dict(about or {}))
        draw_confusion_matrix(result, picture)
    return table, picture


def file_name(real: str) -> str:
    """A file name for a real set that may have been given as a path: no separators, never a model's file."""
    words = re.sub(r"[^\w.-]+", "-", real).strip("-._") or "real"
    words = words[-80:].strip("-._")
    return f"real-{words}" if words.lower() in RESERVED else words
