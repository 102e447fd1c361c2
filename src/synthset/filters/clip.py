"""The CLIP filter: an encoder must take an image for its class.

He et al. 2023, section 3.1: the confidence of zero-shot classification, p = softmax(scale · cos(image, class
texts)), and what is low is left out; their code's threshold is 1 / number of classes. Where it leaves a class
short, theirs fills up with images below it; this one never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.core.errors import UsageError, setting
from synthset.encoders.templates import fill_templates
from synthset.filters.base import Filter, FilterInputs, Judgement
from synthset.images.imageset import ImageSet
from synthset.prompts.phrases import nouns_of

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 4096  # images × classes at once: 32 MB at 1,000 classes


def settings(class_names: Sequence[str], inputs: FilterInputs) -> dict[str, Any]:
    """All that the verdicts depend on. Raises UsageError for fewer than two classes, or sentences that would be cut."""
    from synthset.encoders.embed import DEFAULT_TEMPLATES, cut_texts

    if len(class_names) < 2:
        raise UsageError(
            "Expected at least two classes for the clip filter, got one: among one class p is always 1, and "
            "everything would pass. Draw a second class to tell it from, or filter by duplicates."
        )
    config, nouns = inputs.config, nouns_of(class_names, inputs.phrases)
    templates = config.templates or DEFAULT_TEMPLATES
    sentences = fill_templates(templates, nouns)
    if cut := cut_texts(sentences, inputs.encoder):  # said before anything is drawn to be judged
        raise UsageError(
            f"Expected sentences that '{inputs.encoder.name}' reads whole for the clip filter, got {len(cut):,} that "
            f"it would cut, e.g. '{cut[0]}'. Shorten {setting('FilterConfig.templates')}, or the names and phrases of "
            "the classes."
        )
    threshold = 1 / len(class_names) if config.threshold is None else config.threshold
    return {
        "threshold": None if config.keep_share is not None else threshold,
        "keep_share": config.keep_share,
        **({"keep_count": config.keep_count} if config.keep_count is not None else {}),
        "templates": list(templates),
        "encoder": inputs.encoder_settings(),
        **({"phrases": dict(inputs.phrases)} if inputs.phrases else {}),
    }


def judge(images: ImageSet, inputs: FilterInputs) -> Judgement:
    """Keep what the encoder takes for its class with p above the threshold, or the top share of each class."""
    import torch

    from synthset.encoders.embed import embed_classes, embed_images

    config, encoder, count = settings(images.class_names, inputs), inputs.encoder, inputs.config.keep_count
    nouns = nouns_of(images.class_names, inputs.phrases)
    texts = embed_classes(nouns, encoder, config["templates"], inputs.cache)
    vectors, labels = embed_images(images, encoder, inputs.cache), torch.from_numpy(images.labels.copy())
    own, best, taken_for = own_probabilities(vectors, texts, labels, encoder.logit_scale)
    scores = own.numpy()
    share = config["keep_share"]
    keep = scores > config["threshold"] if share is None else top_share(scores, images.labels, share)
    bar = f"{config['threshold']:.3g}" if share is None else f"the top {share:.4g} of its class"
    words = ("over", "at most") if share is None else ("in", "below")
    drawn = keep if count is None else by_lot(keep, images.labels, count)
    reasons = []
    for label, p, high, guess, kept in zip(images.labels, scores, best.tolist(), taken_for.tolist(), keep, strict=True):
        reason = f"p({images.class_names[label]}) = {p:.3g}, {words[0] if kept else words[1]} {bar}"
        if guess != label:
            reason += f"; taken for {images.class_names[guess]} ({high:.3g})"
        reasons.append(reason)
    for row in np.flatnonzero(keep & ~drawn):
        reasons[row] += f"; not drawn among {count:,} of its class"
    return Judgement(drawn, scores, reasons)


def own_probabilities(
    vectors: Tensor, texts: Tensor, labels: Tensor, logit_scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Zero-shot confidence of each image in its own class, and in the class it is taken for.

    Args:
        vectors: image embeddings (n, d), unit rows.
        texts: class embeddings (k, d), unit rows.
        labels: int64 (n,), each in 0..k-1.
        logit_scale: factor of the cosines before the softmax, e.g. 100.
    Returns:
        p of the own class, float64 (n,) in 0..1; the highest p, float64 (n,); and its class, int64 (n,).
    Reference: He et al. 2023, section 3.1; Radford et al. 2021, section 3.1.2.

    >>> import torch
    >>> own, best, taken_for = own_probabilities(torch.eye(2), torch.eye(2), torch.tensor([0, 0]), 1.0)
    >>> own.round(decimals=3).tolist(), best.round(decimals=3).tolist(), taken_for.tolist()
    ([0.731, 0.269], [0.731, 0.731], [0, 1])
    """
    import torch

    parts = []
    for rows, truth in zip(vectors.split(BLOCK), labels.split(BLOCK), strict=True):
        p = (logit_scale * (rows @ texts.T).double()).softmax(1)  # nd, kd -> nk
        best, taken_for = p.max(1)
        parts.append((p.gather(1, truth[:, None]).squeeze(1), best, taken_for))
    own, best, taken_for = (torch.cat(column) for column in zip(*parts, strict=True))
    return own, best, taken_for


def by_lot(keep: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of what is kept of each class, drawn by lot, the same in every run: bool (n,).

    >>> int(by_lot(np.array([True, True, True, False, True]), np.array([0, 0, 0, 0, 1]), 2).sum())
    3
    """
    drawn = np.zeros(len(keep), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(keep & (labels == label))
        drawn[np.random.default_rng(int(label)).permutation(rows)[:count]] = True
    return drawn


def top_share(scores: np.ndarray, labels: np.ndarray, share: float) -> np.ndarray:
    """The `share` of each class with the highest scores, rounded up: bool (n,); of equal ones the first.

    >>> top_share(np.array([0.1, 0.9, 0.5, 0.2]), np.array([0, 0, 0, 1]), 0.5).tolist()
    [False, True, True, True]
    """
    keep = np.zeros(len(scores), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = int(np.ceil(share * len(rows) - 1e-9))  # 0.07 × 100 is 7, not 8
        keep[rows[np.argsort(-scores[rows], kind="stable")[:count]]] = True
    return keep


CLIP = Filter(
    settings,
    judge,
    "images that an encoder takes for their class",
    ("templates", "threshold", "keep_share", "keep_count"),
)
