"""Average precision of detections as Pascal VOC defines it (Everingham et al. 2010, section 4.2).

Detections of a class are taken by falling score. One is right if it overlaps an object of the class by at least half
of their union, and if that object was not found before; more detections of it are wrong. Detections of difficult
objects count neither way. The 2007 benchmark averages precision at eleven recalls; later ones take the whole area.
As in the benchmark's own code, an overlap of exactly a half will do, a detection is held against the object of its
class that it overlaps most, taken or not, and of equal scores the earlier detection comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

OVERLAP = 0.5
RECALLS = np.linspace(0, 1, 11)


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in an image.

    Attributes:
        boxes: (n, 4): left, top, right, bottom.
        labels: (n,) numbers of classes.
        scores: (n,), higher is surer.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


class HasObjects(Protocol):
    """An image with what is in it: boxes, labels, and which are difficult; see AnnotatedImage."""

    @property
    def boxes(self) -> np.ndarray:
        """(n, 4)."""
        ...

    @property
    def labels(self) -> np.ndarray:
        """(n,)."""
        ...

    @property
    def difficult(self) -> np.ndarray:
        """(n,) of bool."""
        ...


@dataclass(frozen=True)
class ClassPrecision:
    """Average precision of a class, in [0, 1]; None where there is no object to be found.

    Attributes:
        at_eleven: mean of the highest precision at a recall of 0, 0.1, … 1 or more: VOC 2007.
        area: below the precision, made monotone, as a function of recall: VOC from 2010 on.
        num_objects: to be found, without difficult ones.
    """

    at_eleven: float | None
    area: float | None
    num_objects: int


def average_precision(
    found: Sequence[Detections], there: Sequence[HasObjects], num_classes: int, overlap: float = OVERLAP
) -> list[ClassPrecision]:
    """Of each class.

    Args:
        found, there: of each image, in the same order.
        overlap: intersection over union from which on a detection finds an object.
    """
    if len(found) != len(there):
        raise ValueError(f"Expected detections of {len(there)} images, got those of {len(found)}.")
    return [_of_class(found, there, number, overlap) for number in range(num_classes)]


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union (n, m) of boxes (n, 4) and others (m, 4)."""
    boxes, others = boxes.astype(np.float64), others.astype(np.float64)
    corner, end = np.maximum(boxes[:, None, :2], others[:, :2]), np.minimum(boxes[:, None, 2:], others[:, 2:])
    intersection = np.prod(np.clip(end - corner, 0, None), axis=2)
    areas, other_areas = (np.prod(one[:, 2:] - one[:, :2], axis=1) for one in (boxes, others))
    return intersection / (areas[:, None] + other_areas - intersection)


def _of_class(found: Sequence[Detections], there: Sequence[HasObjects], number: int, overlap: float) -> ClassPrecision:
    scores, right, counted = [], [], []
    for detections, objects in zip(found, there, strict=True):
        own, truth = detections.labels == number, objects.labels == number
        order = np.argsort(-detections.scores[own], kind="stable")
        hits, counts = match(detections.boxes[own][order], objects.boxes[truth], objects.difficult[truth], overlap)
        scores.append(detections.scores[own][order])
        right.append(hits)
        counted.append(counts)
    num_objects = sum(int((~one.difficult[one.labels == number]).sum()) for one in there)
    if num_objects == 0:
        return ClassPrecision(None, None, 0)
    counts = np.concatenate(counted)
    score, hit = np.concatenate(scores)[counts], np.concatenate(right)[counts]
    hit = hit[np.argsort(-score, kind="stable")]
    true = np.cumsum(hit)
    recall, precision = true / num_objects, true / np.arange(1, len(hit) + 1)
    return ClassPrecision(_at_eleven(recall, precision), _area(recall, precision), num_objects)


def match(
    boxes: np.ndarray, others: np.ndarray, difficult: np.ndarray, overlap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which detections, by falling score, are right, and which count."""
    right, counted = np.zeros(len(boxes), bool), np.ones(len(boxes), bool)
    if not len(others):
        return right, counted
    shares, taken = overlaps(boxes, others), np.zeros(len(others), bool)
    for row, nearest in enumerate(shares.argmax(1)):
        if shares[row, nearest] < overlap:
            continue
        if difficult[nearest]:
            counted[row] = False
        elif not taken[nearest]:
            right[row] = taken[nearest] = True
    return right, counted


def _at_eleven(recall: np.ndarray, precision: np.ndarray) -> float:
    # recalls are quotients: 0.1 + 0.2 is to reach 0.3
    return float(np.mean([precision[recall >= least - 1e-9].max(initial=0.0) for least in RECALLS]))


def _area(recall: np.ndarray, precision: np.ndarray) -> float:
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * highest))
