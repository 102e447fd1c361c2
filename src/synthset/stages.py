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

CLIP = "clip:"  # before the name of a CLIP, where the folder of a model could stand


def train(
    data: str | Path | ImageSet,
    output_dir: str | Path,
    config: TrainConfig | None = None,
    *,
    strategy: str | None = None,
    all_images: bool = False,
    overwrite: bool = False,
    processes: int = 1,
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
        processes: that share the work on this machine, one a GPU, with the same result up to rounding; more than
            one need data that has a path. Under a launcher such as `accelerate launch` there are as many as it started.
    Raises:
        UsageError, DataError: what came cannot be trained on; nothing was written.
    """
    from dataclasses import asdict, fields, replace

    from synthset.classifiers.train import TrainConfig, read_result, train_classifier

    names = [field.name for field in fields(TrainConfig)]
    for name in options:
        if name not in names:
            raise UnknownNameError("option", name, names)
    _check_processes(processes, data)
    images = open_images(data, strategy, all_images=all_images)
    if options.get("image_size_px", config) is None:  # asked for, or neither a size nor a config was given
        options["image_size_px"] = _native_size(images)
    config = replace(config or TrainConfig(), **options)
    if processes > 1:
        from synthset.classifiers.launch import run_in_processes

        job = {"data": str(data), "output_dir": str(output_dir), "config": asdict(config)}
        job |= {"strategy": strategy, "all_images": all_images, "overwrite": overwrite}
        return read_result(Path(output_dir), was_finished=run_in_processes(job, processes))
    return train_classifier(images, config, Path(output_dir), overwrite=overwrite)


def evaluate(
    model: str | Path,
    real: str | Path | ImageSet,
    output_dir: str | Path | None = None,
    *,
    architecture: str | None = None,
    dataset: str | None = None,
    templates: Sequence[str] = (),
) -> EvaluationResult:
    """Test a classifier, or a CLIP that was never tuned, on real images.

    Args:
        model: folder of a model that `train` or `tune` wrote, or `clip:NAME` with a name that `load_encoder` knows.
        real: a name of real.known_sets(), a path, or an ImageSet. A tuned model is tested only on the part of its
            own real set that shots are never drawn from.
        output_dir: where the JSON and the confusion matrix go; None writes nothing.
        architecture: that the model is expected to have; None takes any.
        dataset: of a CLIP: the known set whose class names, templates and metric are meant, where `real` is a path.
        templates: of a CLIP: sentences with `{class}`, or names in templates.TEMPLATES; those of the real set by
            default.
    Raises:
        UsageError: the model is another architecture, its classes differ from those of the real set, or a template
            is neither a sentence with a place for the class nor a name.
        DataError, ModelError: one of the two cannot be read.
    """
    if is_clip(model):
        if architecture is not None:
            raise UsageError(f"Expected no architecture with '{model}', got '{architecture}'. Leave it out.")
        return _evaluate_clip(str(model).removeprefix(CLIP), real, output_dir, dataset, templates)
    if templates:
        raise UsageError(f"Expected 'clip:' and a name with templates, got '{model}', which takes none. Drop them.")

    from synthset.classifiers.evaluate import evaluate as evaluate_classifier
    from synthset.classifiers.evaluate import write_evaluation
    from synthset.classifiers.models import load_classifier, resolve_architecture
    from synthset.real import load_real
    from synthset.tuning.saving import KIND, kind_of
    from synthset.tuning.stage import evaluate_folder

    if kind_of(model) == KIND:
        if architecture is not None:
            raise UsageError(f"Expected a {resolve_architecture(architecture)} in '{model}', found a tuned CLIP.")
        result = evaluate_folder(model, real)
    else:
        classifier = load_classifier(Path(model))
        found = classifier.config.architecture
        if architecture is not None and resolve_architecture(architecture) != found:
            raise UsageError(f"Expected a {resolve_architecture(architecture)} in '{model}', found a {found}.")
        result = evaluate_classifier(classifier, real if isinstance(real, ImageSet) else load_real(str(real)))
    if output_dir is not None:
        write_evaluation(result, Path(output_dir))
    return result


def is_clip(model: str | Path) -> bool:
    """Whether `model` is meant as a CLIP, and not as a folder."""
    return str(model).startswith(CLIP)


def _evaluate_clip(
    name: str,
    real: str | Path | ImageSet,
    output_dir: str | Path | None,
    dataset: str | None,
    templates: Sequence[str],
) -> EvaluationResult:
    """Zero-shot classification; what can be refused without a model or an image is refused first."""
    from dataclasses import replace

    from synthset.classifiers.evaluate import write_evaluation
    from synthset.clip import load_encoder
    from synthset.embed import EmbeddingCache
    from synthset.real import class_names_of, find_set, load_real
    from synthset.tuning.head import resolve_templates
    from synthset.tuning.zero_shot import zero_shot

    if not name:
        raise UsageError("Expected the name of a CLIP after 'clip:', got none. Name one, e.g. clip:RN50.")
    known = find_set(dataset) if dataset else None
    given = real.name if isinstance(real, ImageSet) else str(real)
    sentences = resolve_templates(templates, known.name if known else given)
    encoder = load_encoder(name, dtype="float32")  # as a CLIP is tuned, so that the two are compared
    images = real if isinstance(real, ImageSet) else load_real(given)
    class_names = class_names_of(known.name) if known else images.class_names
    images = replace(images, metric=known.metric) if known else images
    result = zero_shot(encoder, class_names, sentences, images, EmbeddingCache())
    if output_dir is not None:
        about = {"encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint}, "templates": list(sentences)}
        write_evaluation(result, Path(output_dir), about)
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


def _check_processes(processes: int, data: str | Path | ImageSet) -> None:
    from synthset.classifiers.distributed import world_size

    if processes < 1:
        raise UsageError(f"Expected at least one process, got {processes}.")
    if processes > 1 and isinstance(data, ImageSet):
        raise UsageError(
            f"Expected the path of the images for {processes} processes, got an ImageSet, which they cannot all open."
        )
    if processes > 1 and (started := world_size()) > 1:
        raise UsageError(f"A launcher started {started} processes, and {processes} were asked for. Leave one out.")


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
