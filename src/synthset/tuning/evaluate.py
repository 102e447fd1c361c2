"""Test a tuned classifier on real images, and zero-shot CLIP beside it."""

from __future__ import annotations

from pathlib import Path

from synthset.classifiers.scoring import Answers, EvaluationResult, WhenAnswered, score
from synthset.core.locks import reading
from synthset.encoders.clip import Encoder, load_encoder
from synthset.encoders.embed import EmbeddingCache, embed_classes, embed_images
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImageSource
from synthset.images.splits import FOR_TESTS
from synthset.real import match_set, open_set
from synthset.real.learning import load_test_part
from synthset.real.sets import path_of
from synthset.tuning.head import zero_shot_head
from synthset.tuning.saving import TunedClassifier, load_tuned, read_tuned_config
from synthset.tuning.zero_shot import BLOCK


def evaluate_on(
    folder: str | Path,
    real: ImageSource,
    *,
    encoder: Encoder | None = None,
    cache: EmbeddingCache | None = None,
    strict: bool = False,
    when_answered: WhenAnswered = lambda images, answers: None,
) -> tuple[EvaluationResult, EvaluationResult]:
    """Test a tuned classifier, and zero-shot CLIP beside it, on the part of a real set that tuning never reads.

    Args:
        when_answered: is given what the tuned classifier says of each image.
    Returns:
        Of zero-shot CLIP with the same templates, and of the tuned classifier, on the same images.
    Raises:
        UsageError, DataError, ModelError: one of the two cannot be read, or they do not go together.
    """
    with reading(folder, path_of(real)):
        config = read_tuned_config(folder)
        encoder = encoder or load_encoder(config.clip, dtype=config.dtype)
        cache = EmbeddingCache() if cache is None else cache
        classifier = load_tuned(folder, encoder=encoder)
        images = load_test_part(real)
        before = evaluate_tuned(zero_shot_of(classifier, encoder, cache), images, cache, strict=strict)
        return before, evaluate_tuned(classifier, images, cache, strict=strict, when_answered=when_answered)


def open_for(folder: str | Path, real: ImageSource) -> ImageSet:
    """The images to test a tuned classifier on: of the real set that its shots are from, only the test part.

    Raises:
        UsageError, DataError, ModelError: as `evaluate_on`.
    """
    tuned_for = read_tuned_config(folder).real
    if isinstance(real, ImageSet):
        return real
    if tuned_for is not None and _is_same_set(tuned_for, str(real)):
        return load_test_part(real)
    return open_set(real, FOR_TESTS)


def evaluate_tuned(
    classifier: TunedClassifier,
    real: ImageSet,
    cache: EmbeddingCache | None = None,
    *,
    strict: bool = False,
    when_answered: WhenAnswered = lambda images, answers: None,
) -> EvaluationResult:
    """Classify every image of `real` and count; see `scoring.score`.

    Raises:
        UsageError: the real set has other classes.
        DataError: no images, or unreadable ones.
    """

    def predict(images: ImageSet) -> Answers:
        return Answers.of(map(classifier.logits, embed_images(images, classifier.encoder, cache).split(BLOCK)))

    return score(real, classifier.config.class_names, predict, strict=strict, when_answered=when_answered)


def zero_shot_of(classifier: TunedClassifier, encoder: Encoder, cache: EmbeddingCache | None = None) -> TunedClassifier:
    """The classifier as it was before it was tuned: zero-shot CLIP with the same templates.

    Args:
        encoder: the CLIP that it was tuned from.
    """
    config = classifier.config
    head = zero_shot_head(embed_classes(config.class_names, encoder, config.templates, cache), encoder.logit_scale)
    return TunedClassifier(config, encoder, head.weight.detach(), head.bias.detach())


def _is_same_set(name: str, other: str) -> bool:
    known, other_known = match_set(name), match_set(other)
    if known is not None or other_known is not None:
        return known is other_known
    return Path(name).resolve() == Path(other).resolve()
