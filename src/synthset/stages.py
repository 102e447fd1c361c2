"""Train and evaluate as one call each, by path: what the commands and the Python interface share."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.errors import DataError, UnknownNameError, UsageError
from synthset.imageset import ImageSet

if TYPE_CHECKING:
    from synthset.classifiers.evaluate import EvaluationResult
    from synthset.classifiers.train import TrainConfig, TrainResult
    from synthset.dataset import Dataset

log = logging.getLogger("synthset")


def train(
    data: str | Path | ImageSet,
    output_dir: str | Path,
    config: TrainConfig | None = None,
    *,
    strategy: str | None = None,
    all_images: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> TrainResult:
    """Train a classifier from random initialisation on synthetic images, and on nothing else.

    Args:
        data: a Synthset dataset, an image folder, Parquet files, or an ImageSet.
        output_dir: folder of the model; training goes on there if it was interrupted.
        config: the recipe; `options` are its fields, e.g. `architecture="resnet50", epochs=10`; without a
            config, or with `image_size_px=None`, the network's input is the size of the images, at most 224.
        strategy: of a Synthset dataset, the strategy or combination to train on; all images by default.
        all_images: of a Synthset dataset, also what filters rejected.
        overwrite: replace another model in the folder.
    Raises:
        UsageError, DataError: what came cannot be trained on; nothing was written.
    """
    from dataclasses import fields, replace

    from synthset.classifiers.train import TrainConfig, train_classifier

    names = [field.name for field in fields(TrainConfig)]
    for name in options:
        if name not in names:
            raise UnknownNameError("option", name, names)
    images = open_images(data, strategy, all_images=all_images)
    if options.get("image_size_px", config) is None:  # asked for, or neither a size nor a config was given
        options["image_size_px"] = _native_size(images)
    config = replace(config or TrainConfig(), **options)
    return train_classifier(images, config, Path(output_dir), overwrite=overwrite)


def evaluate(
    model: str | Path,
    real: str | Path | ImageSet,
    output_dir: str | Path | None = None,
    *,
    architecture: str | None = None,
) -> EvaluationResult:
    """Test a classifier on real images.

    Args:
        model: folder of a model that `train` wrote.
        real: a name of real.known_sets(), a path, or an ImageSet.
        output_dir: where the JSON and the confusion matrix go; None writes nothing.
        architecture: that the model is expected to have; None takes any.
    Raises:
        UsageError: the model is another architecture, or its classes differ from those of the real set.
        DataError, ModelError: one of the two cannot be read.
    """
    from synthset.classifiers.evaluate import evaluate as evaluate_classifier
    from synthset.classifiers.evaluate import write_evaluation
    from synthset.classifiers.models import load_classifier, resolve_architecture
    from synthset.real import load_real

    classifier = load_classifier(Path(model))
    found = classifier.config.architecture
    if architecture is not None and resolve_architecture(architecture) != found:
        raise UsageError(f"Expected a {resolve_architecture(architecture)} in '{model}', found a {found}.")
    result = evaluate_classifier(classifier, real if isinstance(real, ImageSet) else load_real(str(real)))
    if output_dir is not None:
        write_evaluation(result, Path(output_dir))
    return result


def open_images(data: str | Path | ImageSet, strategy: str | None = None, *, all_images: bool = False) -> ImageSet:
    """The images of a dataset folder, or of any image folder or Parquet file.

    Never those of a real set by its name: `train digits` means the folder, and must not find a test set.
    Args:
        data: a path, or an ImageSet, which is given back.
        strategy: of a Synthset dataset: a strategy or combination.
        all_images: of a Synthset dataset: also what filters rejected, which is left out and said otherwise.
    Raises:
        UsageError: a strategy of what is no Synthset dataset, or one that was not drawn.
        DataError: nothing to read there, or the verdicts of a filter that do not fit the images.
    """
    from synthset.dataset import is_dataset, open_dataset
    from synthset.folders import load_path

    if not isinstance(data, ImageSet) and is_dataset(data):
        dataset = open_dataset(data)
        if not all_images:
            _say_what_is_left_out(dataset)
        return dataset.images(strategy, kept=not all_images)
    if strategy is not None:
        name = data.name if isinstance(data, ImageSet) else data
        raise UsageError(f"Expected a Synthset dataset for --strategy, '{name}' is none. Leave --strategy out.")
    if isinstance(data, ImageSet):
        return data
    if not Path(data).exists():
        raise DataError(f"Expected images in '{data}', found nothing there. Run 'synthset create' first.")
    return load_path(Path(data))


def open_real(real: str | Path, class_names: Sequence[str]) -> ImageSet:
    """Real images for a classifier of these classes.

    Args:
        real: a name of real.known_sets(), or a path.
        class_names: in any order and spelling.
    Raises:
        UsageError: the real set has other classes, or is unknown.
        DataError: it cannot be read.
    """
    from synthset.classifiers.evaluate import match_classes
    from synthset.real import load_real

    images = load_real(real)
    match_classes(class_names, images)
    return images


def _say_what_is_left_out(dataset: Dataset) -> None:
    kept = dataset.kept()
    if not kept.all():
        log.warning(
            "%s of %s images are left out by filters: %s. --all-images takes them.",
            f"{(~kept).sum():,}",
            f"{len(kept):,}",
            ", ".join(method for method, verdicts in dataset.verdicts().items() if not verdicts.keep.all()),
        )


def _native_size(images: ImageSet) -> int:
    """The longer side of the first image, at most 224 px, which the architectures were made for."""
    if not len(images):
        raise DataError(f"Expected images in '{images.name}', found none. Run 'synthset create' first.")
    return min(224, max(images.image(0).size))
