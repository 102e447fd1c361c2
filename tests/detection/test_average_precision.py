"""VOC's average precision: cases computed by hand, and an oracle that goes about it one detection at a time."""

from types import SimpleNamespace

import numpy as np
import pytest

from synthset.detection.average_precision import Detections, average_precision, overlaps
from synthset.detection.pictures import right_ones

BOX, FAR = (0, 0, 10, 10), (50, 50, 60, 60)


def there(*boxes, labels=None, difficult=None):
    n = len(boxes)
    return SimpleNamespace(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels or [0] * n, np.int64),
        difficult=np.array(difficult or [False] * n, bool),
    )


def found(*rows):
    """Each of (box, score) or (box, score, label)."""
    labels = np.array([row[2] if len(row) > 2 else 0 for row in rows], np.int64)
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    return Detections(boxes, labels, np.array([row[1] for row in rows], np.float32))


CASES = {
    "all found": ([found((BOX, 0.9))], [there(BOX)], 1, 1),
    "nothing found": ([found()], [there(BOX)], 0, 0),
    "a duplicate after all were found costs nothing": ([found((BOX, 0.9), (BOX, 0.8))], [there(BOX)], 1, 1),
    # right, wrong, right: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: six recalls of 1 and five of 2/3
    "a duplicate before another object": (
        [found((BOX, 0.9), (BOX, 0.8), (FAR, 0.7))], [there(BOX, FAR)], (6 + 5 * 2 / 3) / 11, 0.5 + 0.5 * 2 / 3,
    ),
    "a difficult object counts neither way": (
        [found((FAR, 0.9), (BOX, 0.8))], [there(BOX, FAR, difficult=[False, True])], 1, 1,
    ),
    "a difficult object may be found twice": (
        [found((FAR, 0.9), (FAR, 0.9), (BOX, 0.8))], [there(BOX, FAR, difficult=[False, True])], 1, 1,
    ),
    # half of two objects: recalls 0 … 0.5 are reached at a precision of 1
    "half is found": ([found((BOX, 0.9))], [there(BOX, FAR)], 6 / 11, 0.5),
    # 10 × 5 of 10 × 10: a half of the union
    "an overlap of exactly a half": ([found(((0, 0, 10, 5), 0.9))], [there(BOX)], 1, 1),
    "an overlap of less": ([found(((0, 0, 10, 4.99), 0.9))], [there(BOX)], 0, 0),
    # of equal scores the earlier comes first: wrong, then right
    "a tie, the wrong one first": ([found((FAR, 0.5), (BOX, 0.5))], [there(BOX)], 0.5, 0.5),
    "a tie, the right one first": ([found((BOX, 0.5), (FAR, 0.5))], [there(BOX)], 1, 1),
    "an image without objects": ([found((BOX, 0.9)), found((BOX, 0.8))], [there(), there(BOX)], 0.5, 0.5),
    # recalls 1/3, 2/3, 1 by float quotients; all right but the second
    "recall in thirds": (
        [found((BOX, 0.9)), found((FAR, 0.8)), found((BOX, 0.7)), found((BOX, 0.6))],
        [there(BOX), there(), there(BOX), there(BOX)],
        (4 + 7 * 0.75) / 11,
        1 / 3 + 2 / 3 * 0.75,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_by_hand(case):
    detections, objects, at_eleven, area = CASES[case]
    (result,) = average_precision(detections, objects, 1)
    assert (result.at_eleven, result.area) == (pytest.approx(at_eleven), pytest.approx(area))


def test_a_class_without_objects_has_none_and_classes_do_not_mix():
    only_difficult = there(BOX, FAR, labels=[0, 2], difficult=[False, True])
    first, second, third = average_precision([found((BOX, 0.9, 0), (BOX, 0.8, 1))], [only_difficult], 3)
    assert (first.area, first.num_objects) == (1, 1)
    assert (second.at_eleven, second.area, second.num_objects) == (None, None, 0)
    assert (third.area, third.num_objects) == (None, 0)


def test_images_must_be_as_many():
    with pytest.raises(ValueError, match="of 1 images, got those of 2"):
        average_precision([found(), found()], [there()], 1)


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def oracle(detections, objects):
    """The benchmark's procedure, one detection after another over all images, in plain Python."""
    rows = [
        (score, image, box)
        for image, one in enumerate(detections)
        for box, score in zip(one.boxes.tolist(), one.scores.tolist(), strict=True)
    ]
    rows.sort(key=lambda row: -row[0])
    taken, right, wrong, points = set(), 0, 0, []
    total = sum(not hard for one in objects for hard in one.difficult.tolist())
    for _, image, box in rows:
        best, at = 0.0, None
        for number, other in enumerate(objects[image].boxes.tolist()):
            if (share := iou(box, other)) > best:
                best, at = share, number
        if best >= 0.5:
            if objects[image].difficult[at]:
                continue
            if (image, at) not in taken:
                taken.add((image, at))
                right += 1
                points.append((right, right / (right + wrong)))
                continue
        wrong += 1
        points.append((right, right / (right + wrong)))
    # recall r is reached with tenths · total ≤ 10 · right, in whole numbers
    at_eleven = sum(max((p for r, p in points if 10 * r >= tenths * total), default=0) for tenths in range(11)) / 11
    area = sum(max((p for r, p in points if r >= step), default=0) for step in range(1, total + 1)) / total
    return at_eleven, area


def random_case(seed):
    rng = np.random.default_rng(seed)
    objects, detections = [], []
    for _ in range(rng.integers(1, 5)):
        corners = rng.integers(0, 30, (rng.integers(0, 6), 2))
        boxes = np.concatenate([corners, corners + rng.integers(1, 20, corners.shape)], 1)
        objects.append(there(*boxes, difficult=(rng.random(len(boxes)) < 0.3).tolist()))
        near = [
            np.append(box[:2], np.maximum(box[2:], box[:2] + 1)) for box in boxes + rng.integers(-3, 4, boxes.shape)
        ]
        near += [np.append(at, at + rng.integers(1, 20, 2)) for at in rng.integers(0, 30, (rng.integers(0, 4), 2))]
        near += [box for box in near if rng.random() < 0.3]
        # few scores, so that there are ties
        detections.append(found(*((box, float(rng.integers(0, 8)) / 8) for box in near)))
    return detections, objects


def test_two_hundred_random_cases_are_as_the_oracle_has_them():
    seen = 0
    for seed in range(230):
        detections, objects = random_case(seed)
        if not any((~one.difficult).any() for one in objects):
            continue
        (result,) = average_precision(detections, objects, 1)
        assert (result.at_eleven, result.area) == pytest.approx(oracle(detections, objects)), seed
        seen += 0 < result.area < 1
    assert seen >= 150


def test_overlaps_are_as_one_by_one():
    detections, objects = random_case(7)
    boxes, others = detections[0].boxes, objects[0].boxes
    expected = [[iou(a, b) for b in others] for a in boxes]
    assert np.count_nonzero(expected) >= 3
    assert overlaps(boxes, others) == pytest.approx(np.array(expected))


def test_a_picture_has_repeated_detections_and_those_of_other_classes_as_wrong():
    detections = found((BOX, 0.6), (BOX, 0.9), (FAR, 0.9), (FAR, 0.8, 1))
    assert right_ones(there(BOX, FAR, difficult=[False, True]), detections).tolist() == [False, True, True, False]
