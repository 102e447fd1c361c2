"""How well a detector does on a set: VOC's average precision, and COCO's where the libraries for it are installed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from synthset.core.json_records import Count, Share
from synthset.detection.average_precision import Detections, average_precision
from synthset.detection.voc import AnnotatedImage

FORMAT = "synthset-detection-scores-1"
RESULTS_FILE = "results.json"
COCO_LIBRARIES = ("torchmetrics", "faster_coco_eval")


@dataclass(frozen=True)
class ClassScore:
    """Of a class; see ClassPrecision."""

    class_name: str
    num_objects: Count
    at_eleven: Share | None
    area: Share | None


@dataclass(frozen=True)
class CocoScores:
    """COCO's average precision, as a mean over overlaps of 0.5, 0.55, … 0.95, and at 0.5 and 0.75, in [0, 1]."""

    ap: Share
    ap50: Share
    ap75: Share


@dataclass(frozen=True)
class Scores:
    """How well detections fit a set, means over the classes that have objects there.

    Attributes:
        at_eleven: AP50 of VOC 2007.
        area: AP50 of VOC from 2010 on.
        coco: None where it was not computed.
        difficult: objects that count neither way.
    """

    format: Literal["synthset-detection-scores-1"]
    name: str
    num_images: Count
    num_objects: Count
    difficult: Count
    at_eleven: Share
    area: Share
    coco: CocoScores | None
    classes: tuple[ClassScore, ...]


def score(
    name: str, class_names: Sequence[str], images: Sequence[AnnotatedImage], found: Sequence[Detections]
) -> Scores:
    """Hold detections against the objects of a set."""
    precisions = average_precision(found, images, len(class_names))
    classes = tuple(
        ClassScore(word, one.num_objects, one.at_eleven, one.area)
        for word, one in zip(class_names, precisions, strict=True)
    )
    difficult = sum(int(image.difficult.sum()) for image in images)
    return Scores(
        FORMAT,
        name,
        len(images),
        sum(one.num_objects for one in classes),
        difficult,
        _mean([one.at_eleven for one in classes]),
        _mean([one.area for one in classes]),
        coco_scores(found, images) if has_coco() else None,
        classes,
    )


def has_coco() -> bool:
    """Whether the libraries that COCO's average precision needs are installed."""
    return all(find_spec(name) is not None for name in COCO_LIBRARIES)


def coco_scores(found: Sequence[Detections], there: Sequence[AnnotatedImage]) -> CocoScores:
    """By torchmetrics with faster-coco-eval; difficult objects are left out of account as COCO does with crowds."""
    import torch

    def tensors(one: Any, **more: np.ndarray) -> dict[str, torch.Tensor]:
        arrays = {"boxes": one.boxes, "labels": one.labels, **more}
        return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many detections in an image, and of deprecated parts of its own
        from torchmetrics.detection import MeanAveragePrecision

        measure = MeanAveragePrecision(backend="faster_coco_eval")
        measure.update(
            [tensors(one, scores=one.scores) for one in found],
            [tensors(one, iscrowd=one.difficult.astype(np.int64)) for one in there],
        )
        result = measure.compute()
    # -1 stands for no object at all
    ap, ap50, ap75 = (max(0.0, float(result[name])) for name in ("map", "map_50", "map_75"))
    return CocoScores(ap, ap50, ap75)


def _mean(values: Sequence[float | None]) -> float:
    given = [value for value in values if value is not None]
    return float(np.mean(given)) if given else 0.0
