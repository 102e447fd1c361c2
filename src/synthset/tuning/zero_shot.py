"""Zero-shot CLIP: an image is the class whose sentences it is nearest to. What tuning starts from, and has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from synthset.classifiers.scoring import Answers, EvaluationResult, WhenAnswered, score
from synthset.core.errors import UsageError
from synthset.encoders.clip import Encoder
from synthset.encoders.embed import DEFAULT_TEMPLATES, EmbeddingCache, embed_classes, embed_images
from synthset.images.imageset import ImageSet

BLOCK = 4096  # images × classes at once: 16 MB at 1,000 classes


def zero_shot(
    encoder: Encoder,
    class_names: Sequence[str],
    templates: Sequence[str],
    images: ImageSet,
    cache: EmbeddingCache | None = None,
    *,
    strict: bool = False,
    when_answered: WhenAnswered = lambda images, answers: None,
) -> EvaluationResult:
    """Test a CLIP that has seen no image of these classes on real images.

    Args:
        class_names: as the templates are to say them; matched to those of `images` whatever their order.
        templates: sentences with `{class}` for the name, see templates.TEMPLATES; a class is their mean vector.
        images: what is classified; their `metric` is the result's.
        cache: where vectors are looked up and added.
        strict, when_answered: see `scoring.score`.
    Raises:
        UsageError: a single class, other classes than those of `images`, or a template without a place for one.
        DataError: no images, or unreadable ones.
    Reference: Radford et al. 2021, section 3.1.
    """
    if len(class_names) < 2:
        raise UsageError(f"Expected at least two classes to tell apart, got {len(class_names)}. Add a class.")

    def predict(images: ImageSet) -> Answers:
        classes = embed_classes(class_names, encoder, templates or DEFAULT_TEMPLATES, cache)
        vectors = embed_images(images, encoder, cache)
        return Answers.of(zero_shot_logits(rows, classes, encoder.logit_scale) for rows in vectors.split(BLOCK))

    return score(images, class_names, predict, strict=strict, when_answered=when_answered)


def zero_shot_logits(vectors: Tensor, classes: Tensor, logit_scale: float) -> Tensor:
    """Cosines with the classes times the logit scale: (n, k).

    Args:
        vectors: of images, (n, d), unit rows.
        classes: of the classes' texts, (k, d), unit rows.
        logit_scale: e.g. 100.

    >>> import torch
    >>> zero_shot_logits(torch.tensor([[0.6, 0.8]]), torch.eye(2), 10.0).tolist()
    [[6.0, 8.0]]
    """
    return logit_scale * (vectors @ classes.T)  # nd, kd -> nk
