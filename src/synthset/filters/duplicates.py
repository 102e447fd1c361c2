"""The duplicates filter: near copies inside the set, and of real images (a leak, if those are for testing).

Two images are near copies when their perceptual hashes differ in few bits and their embeddings have a high
cosine: the hash alone takes images of one layout for copies, the embedding alone those of one content. Of the
copies inside a set the first is kept, whatever their classes, for one image under two labels teaches nothing;
only kept images are compared with, so each rejected one has a copy among the kept, and those have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.filters.base import Filter, FilterInputs, Judgement
from synthset.images.imageset import ImageSet
from synthset.images.near_copies import HASH_BITS, perceptual_hashes

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 1024
OTHER_BLOCK = 4096  # a block of comparisons: 16 MB


def settings(class_names: Sequence[str], inputs: FilterInputs) -> dict[str, Any]:
    """All that the verdicts depend on; any set can be judged."""
    similarity = inputs.config.similarity
    return {
        "threshold": round(1 - similarity, 9),
        "similarity": similarity,
        "hash_distance": inputs.config.hash_distance,
        "real": inputs.describe(inputs.real),
        "encoder": inputs.encoder_settings(),
    }


def judge(images: ImageSet, inputs: FilterInputs) -> Judgement:
    """Keep what is no near copy of a real image or of an earlier kept one.

    The score is 1 - the highest cosine with one of those whose hash is near, at most 1; it is 1 where no
    hash is near.
    """
    from synthset.encoders.embed import embed_images

    config, real = inputs.config, inputs.real
    hashes, vectors = perceptual_hashes(images), embed_images(images, inputs.encoder, inputs.cache)
    rejected = np.zeros(len(images), bool)
    best = np.full(len(images), -np.inf)
    reasons = ["no near copy found"] * len(images)
    if real is not None:
        real_hashes, real_vectors = perceptual_hashes(real), embed_images(real, inputs.encoder, inputs.cache)
        best, which = nearest_copies(hashes, vectors, real_hashes, real_vectors, config.hash_distance)
        rejected = best >= config.similarity
        for row in np.flatnonzero(rejected):
            bits = _distance(hashes[row], real_hashes[which[row]])
            reasons[row] = _reason(f"a real image: {real.place(int(which[row]))}", best[row], bits)
    inside, which = first_copies(hashes, vectors, rejected, config.hash_distance, config.similarity)
    for row in np.flatnonzero((inside >= config.similarity) & ~rejected):
        first = int(which[row])
        place = f"{images.place(first)}, class {images.class_names[images.labels[first]]}"
        reasons[row] = _reason(f"an earlier image: {place}", inside[row], _distance(hashes[row], hashes[first]))
    highest = np.maximum(best, inside)
    return Judgement(highest < config.similarity, 1 - highest.clip(0, 1), reasons)


def nearest_copies(
    hashes: Tensor,
    vectors: Tensor,
    other_hashes: Tensor,
    other_vectors: Tensor,
    hash_distance: int,
    allowed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The highest cosine of each image with one of the others whose hash is near, and which one that is.

    Exact, with one block of comparisons in memory: a product of 64 columns for all pairs, one of d columns
    for the images of a block that have any hash near.

    Args:
        hashes: (n, 64) of -1 and 1; other_hashes: (m, 64).
        vectors: (n, d), unit rows; other_vectors: (m, d).
        hash_distance: the most bits in which near hashes differ.
        allowed: bool (m,), which of the others count; all by default.
    Returns:
        cosines, float64 (n,), -inf where no hash is near; indices into the others, int64 (n,).
    """
    best, which = np.full(len(hashes), -np.inf), np.zeros(len(hashes), np.int64)
    for start in range(0, len(hashes), BLOCK):
        rows = slice(start, start + BLOCK)
        for first in range(0, len(other_hashes), OTHER_BLOCK):
            others = slice(first, first + OTHER_BLOCK)
            near = _are_near(hashes[rows], other_hashes[others], hash_distance)
            if allowed is not None:
                near &= allowed[others]
            if near.any():
                some, other = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))  # few, as a rule
                cosines = _cosines(vectors[rows][some], other_vectors[others][other], near[np.ix_(some, other)])
                high, place = cosines.max(1), other[cosines.argmax(1)]
                better = high > best[rows][some]
                chosen = start + some[better]
                best[chosen], which[chosen] = high[better], place[better] + first
    return best, which


def first_copies(
    hashes: Tensor, vectors: Tensor, rejected: np.ndarray, hash_distance: int, similarity: float
) -> tuple[np.ndarray, np.ndarray]:
    """As `nearest_copies`, of each image with the earlier ones of its set that are kept.

    Args:
        rejected: bool (n,), images that are not kept anyway.
        similarity: an image with this cosine or more is a copy, and not kept.
    """
    n = len(hashes)
    best, which = np.full(n, -np.inf), np.zeros(n, np.int64)
    keep = ~rejected
    for start in range(0, n, BLOCK):
        block = slice(start, min(start + BLOCK, n))
        best[block], which[block] = nearest_copies(
            hashes[block], vectors[block], hashes[:start], vectors[:start], hash_distance, keep[:start]
        )
        keep[block] &= best[block] < similarity
        near = np.tril(_are_near(hashes[block], hashes[block], hash_distance), -1)
        if not near.any():
            continue
        within = _cosines(vectors[block], vectors[block], near)
        # one after the other: whether an image is kept decides about those after it
        for i in np.flatnonzero(near.any(1)):
            cosines = np.where(keep[start : start + i], within[i, :i], -np.inf)
            nearest = cosines.argmax()
            if cosines[nearest] > best[start + i]:
                best[start + i], which[start + i] = cosines[nearest], start + nearest
                keep[start + i] &= cosines[nearest] < similarity
    return best, which


def _are_near(hashes: Tensor, other_hashes: Tensor, hash_distance: int) -> np.ndarray:
    return (hashes @ other_hashes.T).numpy() >= HASH_BITS - 2 * hash_distance


def _cosines(vectors: Tensor, other_vectors: Tensor, near: np.ndarray) -> np.ndarray:
    """Cosines (n, m), -inf where the hashes are not near; rounded, for a copy has 1 in whatever block it stands."""
    return np.where(near, (vectors @ other_vectors.T).double().numpy().round(6), -np.inf)


def _distance(a: Tensor, b: Tensor) -> int:
    return int((a != b).sum())


def _reason(what: str, cosine: float, bits: int) -> str:
    return f"near copy of {what}; cosine {cosine:.3f}, hash differs in {bits} of {HASH_BITS} bits"


DUPLICATES = Filter(
    settings,
    judge,
    "images that are no near copy of an earlier one, nor of a real one",
    ("real", "hash_distance", "similarity"),
    by_class=False,
)
