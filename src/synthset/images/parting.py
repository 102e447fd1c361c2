"""Parting of a set for training and tests: every stratum in the wanted shares, and nothing that leaks.

    what ties images together ─▶ groups ─▶ the largest first, each to the part that lacks most of its strata
                                           images without a tie: as many of each stratum as its share

Images that are tied (near copies, the same noise, the same real image behind both) stay in one part, however long the
chain of ties is. Fractions that a stratum leaves over are carried on within its class, and from class to class, so
that a thousand classes of three images each still come to the shares as a whole.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np


def group_ids(n: int, ties: Iterable[np.ndarray]) -> np.ndarray:
    """The group of each of n images, int64 (n,): those that are tied, directly or by others, have one number.

    Args:
        ties: pairs of images, int (p, 2) each.

    >>> group_ids(5, [np.array([[0, 1], [1, 4]])]).tolist()
    [0, 0, 1, 2, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.concatenate([np.empty((0, 2), np.int64), *ties])
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def same(values: Iterable[Hashable | None]) -> np.ndarray:
    """Ties of images that have the same value, int64 (p, 2); None has no other.

    >>> same(["a", "b", None, "a", None, "a"]).tolist()
    [[0, 3], [0, 5]]
    """
    first: dict[Hashable, int] = {}
    pairs = [(first.setdefault(value, i), i) for i, value in enumerate(values) if value is not None]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def deal(
    groups: np.ndarray, classes: np.ndarray, strata: Sequence[Hashable], shares: Sequence[float], seed: int
) -> np.ndarray:
    """The part of each image, int64 (n,), in 0..len(shares)-1.

    Args:
        groups: int (n,), as of `group_ids`: images of one group come into one part.
        classes: int (n,), the class of each.
        strata: of each image, what shall be shared out evenly within its class, such as its strategy.
        shares: of the parts; they add up to 1.
        seed: of the choice.

    >>> parts = deal(np.arange(20), np.repeat([0, 1], 10), [""] * 20, (0.8, 0.1, 0.1), seed=0)
    >>> [np.bincount(parts[half], minlength=3).tolist() for half in (slice(10), slice(10, 20))]
    [[8, 1, 1], [8, 1, 1]]
    """
    cells = _numbers(zip(classes.tolist(), strata, strict=True))
    lacking = np.bincount(cells)[:, None] * np.asarray(shares, np.float64)  # (cells, parts), images still wanted
    order = np.random.default_rng(seed).permutation(len(groups))
    members: dict[int, list[int]] = {}
    for image in order.tolist():
        members.setdefault(int(groups[image]), []).append(image)
    parts = np.full(len(groups), -1, np.int64)
    for together in sorted((some for some in members.values() if len(some) > 1), key=len, reverse=True):
        touched, counts = np.unique(cells[together], return_counts=True)
        part = int((counts @ lacking[touched]).argmax())
        parts[together] = part
        lacking[touched, part] -= counts
    single: dict[int, list[int]] = {}
    for image in order[parts[order] < 0].tolist():
        single.setdefault(int(cells[image]), []).append(image)
    _deal_single(single, classes, lacking, parts)
    return parts


def _deal_single(single: dict[int, list[int]], classes: np.ndarray, lacking: np.ndarray, parts: np.ndarray) -> None:
    """Give images without a tie, by cell, to the parts that lack whole ones; then to those with the most left over."""
    of_all = np.zeros(lacking.shape[1])
    of_classes: dict[int, np.ndarray] = {}
    for cell, images in single.items():
        left, of_class = lacking[cell], of_classes.setdefault(int(classes[images[0]]), np.zeros_like(of_all))
        of_class += left
        of_all += left
        for image in images:
            part = int(left.argmax()) if left.max() >= 1 else int((left + of_class + of_all).argmax())
            parts[image] = part
            for wanted in (left, of_class, of_all):
                wanted[part] -= 1


def _numbers(values: Iterable[Hashable]) -> np.ndarray:
    """Values as numbers 0, 1, … in the order in which they first appear: int64 (n,)."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], np.int64)
