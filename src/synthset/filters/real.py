"""The real filter: no other class's real images may be nearer to an image than those of its own.

He et al. 2023, section 3.2, leave out synthetic images of a class whose features are very close to those of
real samples of other classes, and say no threshold. Here an image is left out where its nearest real image, by
the cosine of embeddings, belongs to another class, or to two classes alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.core.errors import DataError, UsageError, setting
from synthset.filters.base import Filter, FilterInputs, Judgement
from synthset.images.imageset import ImageSet
from synthset.real.matching import with_classes

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 1024
REAL_BLOCK = 8192  # cosines of a block: 32 MB


def settings(class_names: Sequence[str], inputs: FilterInputs) -> dict[str, Any]:
    """All that the verdicts depend on. Raises UsageError without real images of these classes, at least two."""
    if len(class_names) < 2:
        raise UsageError("Expected at least two classes for the real filter, got one: there is no other to be near.")
    _matched(class_names, inputs.pool)
    return {"threshold": 0.0, "real": inputs.describe(inputs.pool), "encoder": inputs.encoder_settings()}


def judge(images: ImageSet, inputs: FilterInputs) -> Judgement:
    """Keep what is nearer to its own class's real images than to any other's; the score is the difference."""
    import torch

    from synthset.encoders.embed import embed_images

    names = images.class_names
    real = _matched(names, inputs.pool)
    own, other, other_class = nearest_real(
        embed_images(images, inputs.encoder, inputs.cache),
        torch.from_numpy(images.labels.copy()),
        embed_images(real, inputs.encoder, inputs.cache),
        torch.from_numpy(real.labels.copy()),
    )
    score = (own.double() - other.double()).numpy()
    reasons = [
        f"nearest real {names[label]}: cosine {a:.3f}; nearest real image of another class: {names[rival]}, {b:.3f}"
        for label, a, b, rival in zip(images.labels, own.tolist(), other.tolist(), other_class.tolist(), strict=True)
    ]
    return Judgement(score > 0, score, reasons)


def nearest_real(
    vectors: Tensor, labels: Tensor, real_vectors: Tensor, real_labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The highest cosine of each image with real images of its class, and with those of all others.

    Exact; memory is bounded by one block of cosines, whatever the number of images.

    Args:
        vectors: (n, d), unit rows, with labels int64 (n,).
        real_vectors: (m, d), unit rows, with real_labels int64 (m,).
    Returns:
        own and other, float32 (n,) in -1..1, -inf where there is no such real image; and the class of the
        nearest other one, int64 (n,).

    >>> import torch
    >>> own, other, which = nearest_real(torch.eye(2), torch.tensor([0, 0]), torch.eye(2), torch.tensor([0, 1]))
    >>> own.tolist(), other.tolist(), which.tolist()
    ([1.0, 0.0], [0.0, 1.0], [1, 1])
    """
    import torch

    own = torch.full((len(vectors),), -torch.inf)
    other = own.clone()
    other_class = torch.zeros(len(vectors), dtype=torch.int64)
    for start in range(0, len(vectors), BLOCK):
        rows = slice(start, start + BLOCK)
        for real_rows, real_classes in zip(real_vectors.split(REAL_BLOCK), real_labels.split(REAL_BLOCK), strict=True):
            cosines = vectors[rows] @ real_rows.T  # (block, real block)
            same = labels[rows, None] == real_classes
            own[rows] = torch.maximum(own[rows], cosines.masked_fill(~same, -torch.inf).amax(1))
            best, place = cosines.masked_fill(same, -torch.inf).max(1)
            other_class[rows] = torch.where(best > other[rows], real_classes[place], other_class[rows])
            other[rows] = torch.maximum(other[rows], best)
    return own, other, other_class


def no_real_images() -> UsageError:
    """The error that asks for them."""
    return UsageError(f"Expected real images for the real filter, e.g. {setting('real', 'digits')}, or a path.")


def _matched(class_names: Sequence[str], real: ImageSet | None) -> ImageSet:
    """The real images under the dataset's labels."""
    if real is None:
        raise no_real_images()
    matched = with_classes(real, class_names, every=True)
    missing = [name for i, name in enumerate(class_names) if not np.any(matched.labels == i)]
    if missing:
        raise DataError(f"Expected real images of every class in '{real.name}', found none of: {', '.join(missing)}.")
    return matched


REAL = Filter(settings, judge, "images whose nearest real image is of their class", ("real",))
