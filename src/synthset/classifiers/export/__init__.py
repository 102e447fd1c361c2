"""Trained classifiers in forms that other tools run. A form is declared in MODEL_FORMATS, and has a file of its own.

Each is compared with the classifier on images that it was not trained on, if any were held back, and refused where the
two differ.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from synthset.classifiers.checkpoints import RESUME_FILE, TRAINING_FILE
from synthset.classifiers.export.card import write_model_card
from synthset.classifiers.export.checking import CheckImages, ModelRow, checked_on
from synthset.classifiers.export.onnx import write_onnx
from synthset.classifiers.export.timm import write_timm
from synthset.classifiers.models import BACKBONE, kind_of, load_classifier, read_config
from synthset.core.errors import ModelError, UnknownNameError, UsageError, setting
from synthset.core.files import write_json
from synthset.core.json_records import read_record
from synthset.core.locks import reading
from synthset.core.whole_folders import whole_folder
from synthset.dataset.reader import Strategies
from synthset.images.opening import ImageSource

MARKER = "export.json"


@dataclass(frozen=True)
class ModelFormat:
    """A form of a classifier.

    Attributes:
        summary: a line about it.
        write: (classifier, images to compare on, folder, int8) -> a row for each file that predicts.
        has_int8: whether there is one with weights of eight bits.
    """

    summary: str
    write: Callable[..., list[ModelRow]]
    has_int8: bool = False


MODEL_FORMATS = {
    "onnx": ModelFormat("one file that onnxruntime runs, from pixels to probabilities", write_onnx, has_int8=True),
    "timm": ModelFormat("weights and config that timm loads", write_timm),
}


@dataclass(frozen=True)
class ModelExport:
    """A classifier in another form.

    Attributes:
        folder: where it lies.
        rows: the classifier itself and each file, with size, accuracy and speed on this machine.
        num_images: the images of that accuracy.
        is_held_back: whether the classifier was not trained on them; else none was held back from its training.
    """

    folder: Path
    rows: tuple[ModelRow, ...]
    num_images: int
    is_held_back: bool = True


@dataclass(frozen=True)
class _Marker:
    synthset_model_export: Literal[1]
    files: tuple[str, ...]


def export_model(
    model: str | Path,
    output_dir: str | Path,
    *,
    format: str = "onnx",
    int8: bool = False,
    trained_on: ImageSource | None = None,
    strategy: Strategies = None,
    overwrite: bool = False,
) -> ModelExport:
    """Write a trained classifier in another form, compared with it on images that it was not trained on.

    Args:
        model: folder of a classifier that `train` wrote.
        output_dir: a new or empty folder.
        format: a key of MODEL_FORMATS.
        int8: also with weights and activations of eight bits, calibrated on images that it was trained on.
        trained_on: the synthetic images that it was trained on; by default those of the path that it was trained from.
        strategy: of `trained_on`, where the training does not say it: the strategy that it was trained on, or several.
        overwrite: replace an earlier export.
    Raises:
        UsageError: a form that it cannot have, or something else in the folder.
        ModelError: no classifier, or a form that predicts otherwise than the classifier.
        DataError: images that are not at hand, or are other ones.
    """
    if format not in MODEL_FORMATS:
        raise UnknownNameError("format of a model", format, MODEL_FORMATS)
    form = MODEL_FORMATS[format]
    if int8 and not form.has_int8:
        raise UsageError(f"Expected {setting('int8')} with {setting('format', 'onnx')}, got '{format}'. Leave it out.")
    if kind_of(model) not in (None, BACKBONE):
        raise ModelError(f"Expected a classifier that 'synthset train' wrote, got '{model}', a tuned CLIP.")
    if kind_of(model) == BACKBONE:
        read_config(Path(model))  # says what it is not
    with (
        reading(model),
        whole_folder(Path(output_dir), exported_files, overwrite=overwrite) as folder,
        checked_on(Path(model), trained_on, strategy) as images,
    ):
        classifier = load_classifier(model, "cpu")
        rows = form.write(classifier, images, folder, int8=int8)
        write_model_card(folder, classifier, Path(model), rows, images, format)
        files = sorted(path.name for path in folder.iterdir())
        write_json(folder / MARKER, asdict(_Marker(1, (*files, MARKER))))
    return ModelExport(Path(output_dir), tuple(rows), len(images.compared), len(images.held_back) > 0)


def is_model(path: str | Path) -> bool:
    """Whether a folder holds a trained or tuned model, or the beginning of one, and not images."""
    return any((Path(path) / name).is_file() for name in (TRAINING_FILE, RESUME_FILE))


def exported_files(folder: Path) -> Collection[str] | None:
    """The files of an exported model; None where the folder holds none. Raises DataError for a damaged note of them."""
    try:
        return read_record(_Marker, folder / MARKER, "").files
    except FileNotFoundError:
        return None


__all__ = ["MODEL_FORMATS", "CheckImages", "ModelExport", "ModelFormat", "export_model", "exported_files", "is_model"]
