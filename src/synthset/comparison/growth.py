"""Which classes get the next images: those that the held-back images confuse, or all alike."""

from __future__ import annotations

import numpy as np

from synthset.classifiers.models import Classifier
from synthset.classifiers.training_set import hold_back
from synthset.images.imageset import ImageSet

CONFUSED, ALIKE = "confused classes", "all alike"


def confusion_of(classifier: Classifier, images: ImageSet, fraction: float, seed: int) -> np.ndarray:
    """How often each class was involved in an error on the images that the classifier was held back: (k,).

    An error counts for both of its classes, for more images of either would tell them apart.
    """
    _, rows = hold_back(images.labels, fraction, seed)
    held_back = images.select(rows)
    pixels = held_back.tensor(classifier.config.image_size_px, classifier.config.antialias)
    predicted = classifier.predict(pixels).argmax(1).numpy()
    wrong = predicted != held_back.labels
    k = len(images.class_names)
    return np.bincount(held_back.labels[wrong], minlength=k) + np.bincount(predicted[wrong], minlength=k)


def share_out(total: int, weights: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Whole numbers (k,) that add up to `total`, in proportion to weights, none larger than its room.

    Each class gets one pseudo-count, so that one without an error is not left out for ever. What does not fit into a
    class goes to the others.
    Raises:
        ValueError: more than all room.

    >>> share_out(10, np.array([0, 3, 5]), np.array([9, 9, 4])).tolist()
    [1, 5, 4]
    """
    if total > room.sum():
        raise ValueError(f"Expected at most {room.sum()}, got {total}.")
    weights, is_full = weights + 1.0, np.zeros(len(weights), bool)
    parts = np.where(is_full, room, 0.0)
    while not is_full.all():
        parts = np.where(is_full, room, (total - room[is_full].sum()) * weights / weights[~is_full].sum())
        if not (over := ~is_full & (parts > room)).any():
            break
        is_full |= over
    shares = np.floor(parts).astype(np.int64)
    shares[np.argsort(shares - parts, kind="stable")[: total - shares.sum()]] += 1  # the largest remainders
    return shares
