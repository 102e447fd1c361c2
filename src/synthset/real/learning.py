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
    if isinstance(real, ImageSet) or not _has_parts(real):
        return split(_whole(real), 0.5, 0)[1]
    wanted, known = ImagePath.of(real).opening.split, match_set(str(real))
    for_training = known.train_split.split("+") if known else [TRAIN]
    if wanted is not None and {part if known else split_of(part) for part in wanted.split("+")} & set(for_training):
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
    if not _has_parts(real):
        return None
    splits = _splits_of(real)
    try:
        return choose_split(str(real), splits, None, FOR_TRAINING)
    except UsageError:  # its advice would name an option that says what is tested on
        raise UsageError(
            f"Expected one split of '{real}' to learn from, got {', '.join(splits)}. Call it {TRAIN}, or give the "
            "path of the images to learn from."
        ) from None


def _has_parts(real: str | Path | ImagePath) -> bool:
    """Whether a set says by itself which images are for tests."""
    known = match_set(str(real))
    return bool(known.splits) if known else len(_splits_of(real)) > 1


def _splits_of(real: str | Path | ImagePath) -> dict[str, str]:
    path = existing_path(real)
    return splits_at(path) if path else {}


def _whole(real: ImageSource) -> ImageSet:
    """All images of a set that has no splits, or one."""
    return real if isinstance(real, ImageSet) else open_set(real)
