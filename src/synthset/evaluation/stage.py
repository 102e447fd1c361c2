"""Test a model of any kind on real images: a trained classifier, a tuned CLIP, or a CLIP as it came."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.core.errors import UsageError
from synthset.core.locks import reading
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImageSource
from synthset.images.splits import FOR_TESTS
from synthset.real.sets import path_of

if TYPE_CHECKING:
    from synthset.classifiers.scoring import Answers, EvaluationResult, WhenAnswered

log = logging.getLogger("synthset")

CLIP = "clip:"  # before the name of a CLIP, where the folder of a model could stand


def evaluate(
    model: str | Path,
    real: ImageSource,
    output_dir: str | Path | None = None,
    *,
    architecture: str | None = None,
    dataset: str | None = None,
    templates: Sequence[str] = (),
    strict: bool = False,
    allow_training_images: bool = False,
    when_scored: Callable[[EvaluationResult], object] = lambda _: None,
) -> EvaluationResult:
    """Test a classifier, or a CLIP that was never tuned, on real images.

    Args:
        model: folder of a model that `train` or `tune` wrote, or `clip:NAME` with a name that `load_encoder` knows.
        real: a name of real.known_sets(), a path, of several splits `test` or else `validation`, or an ImageSet. A
            tuned model is tested only on the part of its own real set that shots are never drawn from.
        output_dir: where the JSON, the confusion matrix and the predictions go; None writes nothing.
        architecture: that the model is expected to have; None takes any.
        dataset: of a CLIP: the known set whose class names, templates and metric are meant, where `real` is a path.
        templates: of a CLIP: sentences with `{class}`, or names in templates.TEMPLATES; those of the real set by
            default.
        strict: refuse images that cannot be read, and classes that the real set lacks or adds: they are left out
            otherwise, with a warning.
        allow_training_images: test on the images that the model learned from, too.
        when_scored: is given the result before it is written and drawn.
    Raises:
        UsageError: the model is another architecture, its classes differ from those of the real set, it learned from
            these images, or a template is neither a sentence with a place for the class nor a name.
        DataError, ModelError: one of the two cannot be read.
    """
    if templates and not is_clip(model):
        raise UsageError(f"Expected 'clip:' and a name with templates, got '{model}', which takes none. Drop them.")
    about: Mapping[str, Any] = {}  # what else the result depends on
    answered: list[tuple[ImageSet, Answers]] = []

    def keep(images: ImageSet, answers: Answers) -> None:
        answered.append((images, answers))

    with reading(None if is_clip(model) else model, path_of(real)):
        if is_clip(model):
            if architecture is not None:
                raise UsageError(f"Expected no architecture with '{model}', got '{architecture}'. Leave it out.")
            result, about = _test_clip(str(model).removeprefix(CLIP), real, dataset, templates, strict, keep)
        else:
            result = _test_folder(Path(model), real, architecture, strict, allow_training_images, keep)
    log.debug("'%s' was tested on %s", model, result.real)
    when_scored(result)
    if output_dir is not None:
        from synthset.classifiers.evaluate import write_evaluation
        from synthset.evaluation.answers import write_answers

        write_evaluation(result, Path(output_dir), about, lambda path: write_answers(path, *answered[0]))
    return result


def is_clip(model: str | Path) -> bool:
    """Whether `model` is meant as a CLIP, and not as a folder."""
    return str(model).startswith(CLIP)


def _test_folder(
    model: Path,
    real: ImageSource,
    architecture: str | None,
    strict: bool,
    allow_training_images: bool,
    when_answered: WhenAnswered,
) -> EvaluationResult:
    """Test what `train` or `tune` wrote."""
    from synthset.classifiers.architectures import resolve_architecture
    from synthset.classifiers.learned_from import check_unseen
    from synthset.classifiers.models import find_folder, kind_of, load_classifier
    from synthset.tuning.saving import KIND

    classifier = None if kind_of(model) == KIND else load_classifier(model)
    actual = classifier.config.architecture if classifier else "tuned CLIP"
    log.debug("'%s' is a %s", model, actual)
    if architecture is not None and (expected := resolve_architecture(architecture)) != actual:
        raise UsageError(f"Expected a {expected} in '{model}', found a {actual}.")
    if classifier is None:
        from synthset.tuning.evaluate import evaluate_tuned, open_for
        from synthset.tuning.saving import load_tuned

        images = open_for(model, real)
        check_unseen(model, images, allowed=allow_training_images)
        return evaluate_tuned(load_tuned(model), images, strict=strict, when_answered=when_answered)
    from synthset.classifiers.evaluate import evaluate as evaluate_classifier

    images = _load(real)
    check_unseen(find_folder(model), images, allowed=allow_training_images)
    return evaluate_classifier(classifier, images, strict=strict, when_answered=when_answered)


def _test_clip(
    name: str,
    real: ImageSource,
    dataset: str | None,
    templates: Sequence[str],
    strict: bool,
    when_answered: WhenAnswered,
) -> tuple[EvaluationResult, dict[str, Any]]:
    """Zero-shot classification; what can be refused without a model or an image is refused first."""
    from synthset.encoders.clip import load_encoder
    from synthset.encoders.embed import EmbeddingCache
    from synthset.real import class_names_of, find_set
    from synthset.tuning.head import resolve_templates
    from synthset.tuning.zero_shot import zero_shot

    if not name:
        raise UsageError("Expected the name of a CLIP after 'clip:', got none. Name one, e.g. clip:RN50.")
    known = find_set(dataset) if dataset else None
    real_name = real.name if isinstance(real, ImageSet) else str(real)
    sentences = resolve_templates(tuple(templates), known.name if known else real_name)
    images = _load(real)
    encoder = load_encoder(name, dtype="float32")  # as a CLIP is tuned, so that the two are compared
    class_names = class_names_of(known.name) if known else images.class_names
    images = replace(images, metric=known.metric) if known else images
    how = {"strict": strict, "when_answered": when_answered}
    result = zero_shot(encoder, class_names, sentences, images, EmbeddingCache(), **how)
    about = {"encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint}, "templates": list(sentences)}
    return result, about


def _load(real: ImageSource) -> ImageSet:
    from synthset.real import open_set

    return real if isinstance(real, ImageSet) else open_set(real, FOR_TESTS)


def open_real(real: ImageSource, class_names: Sequence[str], *, strict: bool = False) -> ImageSet:
    """Real images for a classifier of these classes.

    Args:
        real: a name of real.known_sets(), or a path.
        class_names: in any order and spelling.
        strict: refuse a class that is missing or added.
    Raises:
        UsageError: the real set has other classes, or is unknown.
        DataError: it cannot be read.
    """
    from synthset.real.matching import with_classes

    return with_classes(_load(real), class_names, strict=strict)
