"""Test a classifier on real images: accuracy with its interval, per class, and the confusion matrix.

Results are plain numbers, saved as `<name of the real set>.json` with the matrix as a picture beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synthset.classifiers.confusion_chart import draw_confusion_matrix
from synthset.classifiers.models import Classifier
from synthset.classifiers.scoring import Answers, EvaluationResult, WhenAnswered, score
from synthset.core.files import delete_parts, write_json
from synthset.core.locks import writing
from synthset.images.imageset import ImageSet

RESERVED = ("model", "config", "training")  # names of a classifier's own files
PATIENCE_SECONDS = 60.0  # with another test that writes into the same folder


def evaluate(
    classifier: Classifier,
    real: ImageSet,
    batch_size: int = 256,
    *,
    strict: bool = False,
    when_answered: WhenAnswered = lambda images, answers: None,
) -> EvaluationResult:
    """Classify every image of `real` and count; see `scoring.score`.

    Raises:
        UsageError: the two sets of classes differ; the message names the differences.
        DataError: no images, or unreadable ones.
    """
    config = classifier.config

    def predict(images: ImageSet) -> Answers:
        blocks = images.blocks(config.image_size_px, config.antialias)
        return Answers.of(classifier.predict(pixels, batch_size) for _, pixels in blocks)

    return score(real, config.class_names, predict, strict=strict, when_answered=when_answered)


def write_evaluation(
    result: EvaluationResult,
    folder: Path | str,
    about: Mapping[str, Any] | None = None,
    write_predictions: Callable[[Path], object] | None = None,
) -> tuple[Path, Path]:
    """Write `<real set>.json` and `<real set>-confusion.png` into `folder`; gives their paths.

    Args:
        about: stands beside the result in the JSON: what else it depends on.
        write_predictions: writes `predictions_file`, before the others.
    """
    name = file_name(result.real)
    table, picture = Path(folder) / f"{name}.json", Path(folder) / f"{name}-confusion.png"
    with writing(Path(folder), PATIENCE_SECONDS):
        delete_parts(Path(folder), below=False)
        if write_predictions is not None:
            write_predictions(predictions_file(result, folder))
        write_json(table, result.to_json() | dict(about or {}))
        draw_confusion_matrix(result, picture)
    return table, picture


def predictions_file(result: EvaluationResult, folder: Path | str) -> Path:
    """Where a test in `folder` puts what the classifier says of each image."""
    return Path(folder) / f"{file_name(result.real)}-predictions.parquet"


def file_name(real: str) -> str:
    """A file name for a real set that may have been given as a path: no separators, never a model's file."""
    words = re.sub(r"[^\w.-]+", "-", real).strip("-._") or "real"
    words = words[-80:].strip("-._")
    return f"real-{words}" if words.lower() in RESERVED else words
