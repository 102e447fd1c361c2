"""The two parts of a real set: one that may be learned from, and one that is tested on, which learning never reads."""

from __future__ import annotations

from pathlib import Path

from synthset.core.errors import UsageError
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource, splits_at
from synthset.images.splits import FOR_TESTS, FOR_TRAINING, TRAIN, choose_split, split_of
from synthset.real import existing_path, match_set, open_set, split


def few_shot_pool(real: ImageSource, seed: int = 0) -> ImageSet:
    """The part of a real set that few-shot images may be taken from; testing never reads it.

    The training split, of a known set or a path that has one. Of anything else it is the first part of
    `real.split(set, 0.5, seed)`, so whoever tests on such a set tests on the second part, with the same seed.

    Raises:
        UsageError: a set that is for testing only, or splits of which none is for training.
        DataError: as real.load_real.
    """
    if not isinstance(real, ImageSet) and (training := training_split(real)) is not None:
        return open_set(ImagePath.of(real).with_split(training))
    return split(_whole(real), 0.5, seed)[0]


def load_test_part(real: ImageSource) -> ImageSet:
    """The images of a real set that shots are never drawn from: what a tuned classifier is tested on.

    The split that is wanted, or its test split, or else its validation split; of a set without splits, such as
    `digits`, the half that is not `few_shot_pool`'s.

    Raises:
        UsageError: a split that shots are drawn from, or splits of which none is for tests.
        DataError: as real.load_real.
    """
    if isinstance(real, ImageSet) or training_split(real) is None:
        return split(_whole(real), 0.5, 0)[1]
    wanted = ImagePath.of(real).opening.split
    if wanted is not None and split_of(wanted) == TRAIN:
        raise UsageError(f"Expected a split of '{real}' that shots are not drawn from, got '{wanted}'.")
    return open_set(real, FOR_TESTS)


def training_split(real: str | Path | ImagePath) -> str | None:
    """The name of the split to learn from; None where there are no splits, or where it is the only one.

    Raises:
        UsageError: there are splits, but none for training.
    """
    known = match_set(str(real))
    if known is not None:
        if known.splits and not known.train_split:
            raise UsageError(
                f"Expected a real set with images to learn from, got '{known.name}', which is for testing only. Give "
                "another set of the same classes, or a path."
            )
        return known.train_split or None
    splits = splits_at(path) if (path := existing_path(real)) else {}
    return choose_split(str(real), splits, None, FOR_TRAINING) if len(splits) > 1 else None


def _whole(real: ImageSource) -> ImageSet:
    """All images of a set that has no splits, or one."""
    return real if isinstance(real, ImageSet) else open_set(real)
