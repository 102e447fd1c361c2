"""Whether a plane parts the embeddings of texts from those of images, as Marwood et al. 2023 found in section 4.

It does in CLIP's space although prompts classify images there: the two kinds lie in clusters of their own, and only
the order within each agrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthset.measures.checks import unit_pair

FEWEST = 4  # of either kind: one held out, three to learn from
SOFT = 100.0  # penalty of the mean vector on the wrong side, whatever their number, where there may be some
FIRMER = (1e4, 1e6, 1e8)  # what is tried before sets count as not separable: a narrow gap needs a high penalty
HARD = 1e10  # penalty of each vector where there are none
WORKING = 256  # vectors of either kind that the widest margin is first sought between


@dataclass(frozen=True)
class Separability:
    """How well a plane parts texts from images.

    Attributes:
        accuracy: balanced accuracy on vectors held out, the mean over texts and images, in [0, 1]; 0.5 is chance.
        margin: distance of the plane to the nearest vector of either kind, in [-1, 1], between unit vectors. Above
            0 the sets are separable, and this is the widest margin that there is, half the distance between their
            convex hulls. At or below 0 no plane was found that parts them, and it says how deep they overlap along
            the direction that parts them best: half the overlap.
        num_texts, num_images: vectors of either kind.
    """

    accuracy: float
    margin: float
    num_texts: int
    num_images: int


def linear_separability(texts: Tensor, images: Tensor, seed: int = 0, *, num_splits: int = 5) -> Separability:
    """Held-out accuracy of a linear classifier that tells texts from images, and the margin between them.

    The accuracy is the mean over `num_splits` splits, each of which holds out a quarter of either kind. Both kinds
    weigh the same, however many there are. The margin is of all vectors, and depends on no split.

    Args:
        texts: text embeddings, (n, d) with n ≥ 4, any scale. Give each text once: the same one on both sides of a
            split is no test.
        images: image embeddings, (m, d) with m ≥ 4, any scale; of the same encoder.
        seed: of the splits.
        num_splits: at least 1.
    Raises:
        ValueError: fewer than four of a kind; two dimensions; NaN, infinity or zeros for a row.
    Reference: Marwood et al. 2023, section 4.
    Example:
        >>> texts = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [1.0, 0.3]])
        >>> result = linear_separability(texts, texts.flip(1))
        >>> print(f"{result.accuracy:.2f} {result.margin:.4f}")
        1.00 0.4741
    """
    one, other = unit_pair(texts, images, ("texts", "images"))
    for name, count in (("texts", len(one)), ("images", len(other))):
        if count < FEWEST:
            raise ValueError(f"Expected at least {FEWEST} {name}, got {count}.")
    if num_splits < 1:
        raise ValueError(f"Expected at least 1 split, got {num_splits}.")
    # nothing here depends on the origin; half-way between the kinds, the plane passes near it
    centre = (one.mean(0) + other.mean(0)) / 2
    vectors = (torch.cat([one, other]) - centre).cpu().numpy()
    is_text = np.arange(len(vectors)) < len(one)
    generator = np.random.default_rng(seed)
    accuracies = [_accuracy(vectors, is_text, hold_out(is_text, 0.25, generator)) for _ in range(num_splits)]
    return Separability(float(np.mean(accuracies)), _margin(vectors, is_text), len(one), len(other))


def hold_out(labels: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Which rows to hold out, bool (n,): `share` of each class, of a class with two rows or more at least one."""
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        held[rows[: min(max(1, round(share * len(rows))), len(rows) - 1)]] = True
    return held


def _accuracy(vectors: np.ndarray, is_text: np.ndarray, held: np.ndarray) -> float:
    """Balanced accuracy on the rows held out of a plane learned from the others."""
    normal, offset = _soft_plane(vectors[~held], is_text[~held])
    right = (vectors[held] @ normal + offset > 0) == is_text[held]
    return float((right[is_text[held]].mean() + right[~is_text[held]].mean()) / 2)


def _margin(vectors: np.ndarray, is_text: np.ndarray) -> float:
    """Half the gap between texts and images along the direction that parts them best; negative for an overlap.

    Where the sets are separable, the widest margin depends on the vectors nearest to the plane alone: it is found
    among some of them, and those that it leaves out but gets wrong are added, until there are none.
    """
    normal, _ = _soft_plane(vectors, is_text)
    margin = overlap = _gap(vectors @ normal, is_text)
    for penalty in FIRMER:
        if margin <= 0:
            normal, _ = _soft_plane(vectors, is_text, penalty)
            margin = _gap(vectors @ normal, is_text)
    if margin <= 0:
        return overlap
    working = np.zeros(len(vectors), bool)
    while True:
        heights, before = vectors @ normal, working.copy()
        working[np.r_[_nearest(-heights, is_text), _nearest(heights, ~is_text)]] = True
        if (working == before).all():  # no vector outside is nearer
            return margin
        normal = _hard_normal(vectors[working], is_text[working])
        margin = max(margin, _gap(vectors @ normal, is_text))
        if _gap(vectors[working] @ normal, is_text[working]) - margin < 1e-9:
            return margin


def _nearest(heights: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """The rows of one kind with the greatest heights, at most WORKING."""
    rows = np.flatnonzero(kind)
    return rows[np.argsort(-heights[rows], kind="stable")[:WORKING]]


def _gap(heights: np.ndarray, is_text: np.ndarray) -> float:
    """Half the distance from the highest image to the lowest text."""
    return float(heights[is_text].min() - heights[~is_text].max()) / 2


def _soft_plane(vectors: np.ndarray, is_text: np.ndarray, penalty: float = SOFT) -> tuple[np.ndarray, float]:
    """A plane with the texts above it, as far as one finds: its unit normal (d,) and its offset."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=penalty / len(vectors), class_weight="balanced", max_iter=10_000)
    model.set_params(dual=False).fit(vectors, is_text)  # the solver without chance, which also converges
    normal, offset = np.ravel(model.coef_), float(np.ravel(model.intercept_)[0])
    length = float(np.linalg.norm(normal))
    if length == 0:  # both kinds are the same: any plane is as good
        return np.eye(vectors.shape[1])[0], 0.0
    return normal / length, offset / length


def _hard_normal(vectors: np.ndarray, is_text: np.ndarray) -> np.ndarray:
    """The unit normal of the plane with the widest margin between separable sets: (d,)."""
    from sklearn.svm import SVC

    normal = np.ravel(SVC(kernel="linear", C=HARD, tol=1e-8).fit(vectors, is_text).coef_)
    return normal / np.linalg.norm(normal)
