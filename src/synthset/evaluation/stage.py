"""Test a model of any kind on real images: a trained classifier, a tuned CLIP, or a CLIP as it came."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synthset.core.errors import UsageError
from synthset.images.imageset import ImageSet

if TYPE_CHECKING:
    from synthset.classifiers.scoring import EvaluationResult

CLIP = "clip:"  # before the name of a CLIP, where the folder of a model could stand


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
    from synthset.tuning.evaluate import evaluate_folder

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
    from synthset.encoders.clip import load_encoder
    from synthset.encoders.embed import EmbeddingCache
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


def open_real(real: str | Path, class_names: Sequence[str]) -> ImageSet:
    """Real images for a classifier of these classes.

    Args:
        real: a name of real.known_sets(), or a path.
        class_names: in any order and spelling.
    Raises:
        UsageError: the real set has other classes, or is unknown.
        DataError: it cannot be read.
    """
    from synthset.classifiers.scoring import match_classes
    from synthset.real import load_real

    images = load_real(real)
    match_classes(class_names, images)
    return images
