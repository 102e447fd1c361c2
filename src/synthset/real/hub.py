"""A known set from the Hugging Face hub, or from its cache (HF_HOME and HF_HUB_OFFLINE are respected).

Labels are put into the order of our class names: by name where the repository names its classes as we do, by number
where it words them differently. A repository that names one of our classes at another number is refused: it would
be scored against the wrong names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from synthset.core.errors import DataError, UsageError, first_line, some
from synthset.core.libraries import quiet
from synthset.images.archives import read_file
from synthset.images.imageset import ImageSet
from synthset.real.few_shot import split as split_in_two
from synthset.real.matching import fold, labels_of
from synthset.real.sets import RealSet, class_names_of

if TYPE_CHECKING:
    import datasets

HELD_OUT_SEED = 0  # of a test split that is drawn here; another one would move images between training and test


def load_hub(real: RealSet, split: str | None = None) -> ImageSet:
    """The images of a split, still encoded.

    Args:
        real: the set.
        split: one of its splits, or several as "train+validation"; its test split by default.
    Raises:
        UsageError: a split that the set has not.
        DataError: a hub that cannot be reached, or a repository that is not as it was.
    """
    split = split or real.test_split
    parts = [split] if real.held_out else split.split("+")
    if not set(parts) <= set(real.splits):
        raise UsageError(f"Expected a split of '{real.name}' ({', '.join(real.splits)}), got '{split}'.")
    on_hub = "train" if real.held_out else split
    rows, image_column, labels = _load_rows(real, on_hub)

    def read(index: int) -> bytes:
        image = rows[index][image_column]
        return image["bytes"] or read_file(Path(image["path"]))

    images = ImageSet(
        name=real.name,
        class_names=class_names_of(real.name),
        labels=np.maximum(labels, 0),
        read=read,
        origin=lambda index: f"row {index} of {real.hub_id}, {on_hub}",
        metric=real.metric,
    )
    if (labels < 0).any():
        images = images.select(labels >= 0)
    if real.held_out:
        train, test = split_in_two(images, 1 - real.held_out, HELD_OUT_SEED)
        return test if split == real.test_split else train
    return images


def _load_rows(real: RealSet, split: str) -> tuple[datasets.Dataset, str, np.ndarray]:
    """The table with its images left encoded, the name of their column, and our label of each row, int64 (n,)."""
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        with quiet():  # each try of the hub's is said otherwise
            loaded = datasets.load_dataset(real.hub_id, real.config, split=split, revision=real.revision)
        rows = cast("datasets.Dataset", loaded)
        image_column = _column(real, rows, real.image_column, "Image")
        labels = _labels(real, rows, _column(real, rows, real.label_column, "ClassLabel"))
        return rows.cast_column(image_column, datasets.Image(decode=False)), image_column, labels
    except (OSError, ValueError, KeyError, RuntimeError, DatasetsError) as error:
        gated = f" It is {real.licence}." if "gated" in real.licence else ""
        raise DataError(
            f"Expected '{real.name}' ({real.hub_id}, {split}) in the Hugging Face cache or on the hub, got: "
            f"{first_line(error)}. Go online once (HF_HUB_OFFLINE unset), or give the path of a folder with one folder "
            f"a class, or of a Parquet file.{gated}"
        ) from error


def _column(real: RealSet, rows: datasets.Dataset, name: str, kind: str) -> str:
    """The column of that name, or else the only one of that kind of feature."""
    if name in rows.column_names:
        return name
    typed = [column for column, feature in rows.features.items() if type(feature).__name__ == kind]
    if len(typed) != 1:
        raise _unlike(f"a column '{name}' in {real.hub_id}, got {', '.join(rows.column_names)}")
    return typed[0]


def _labels(real: RealSet, rows: datasets.Dataset, column: str) -> np.ndarray:
    """Our label of each row, int64 (n,); -1 for a class that is left out."""
    values: list[Any] = rows[column][:]
    kinds = {type(value) for value in values}
    if kinds == {str}:
        names = sorted(set(values))
        label_of = dict(zip(names, _by_name(real, names).tolist(), strict=True))
        return np.array([label_of[value] for value in values], np.int64)
    if kinds != {int}:
        got = ", ".join(sorted(kind.__name__ for kind in kinds)) or "none"
        raise _unlike(f"labels of {real.hub_id} that are all numbers or all text, got {got}")
    numbers = np.array(values, np.int64)
    names = getattr(rows.features[column], "names", None) or [str(number) for number in range(real.num_classes)]
    if not (numbers.min() >= 0 and numbers.max() < len(names)):
        raise _unlike(f"labels 0..{len(names) - 1} in {real.hub_id}, got {numbers.min()}..{numbers.max()}")
    return _by_name_or_number(real, names)[numbers]


def _by_name(real: RealSet, names: Sequence[str]) -> np.ndarray:
    """Our label of each of the repository's names. Raises DataError for a name that is not ours."""
    labels, left_out = labels_of(real.name, names), _left_out(real, names)
    unknown = [name for name, label, is_out in zip(names, labels, left_out, strict=True) if label < 0 and not is_out]
    if unknown:
        got = some([f"'{name}'" for name in unknown])
        raise _unlike(f"the {real.num_classes} classes of '{real.name}' in {real.hub_id}, got {got} too")
    return labels


def _by_name_or_number(real: RealSet, names: Sequence[str]) -> np.ndarray:
    """Our label of each of the repository's numbers 0..len(names)-1."""
    labels = labels_of(real.name, names)
    if all((labels >= 0) | _left_out(real, names)):
        return _by_name(real, names)
    moved = [number for number, label in enumerate(labels.tolist()) if label not in (-1, number)]
    if len(names) != real.num_classes or moved:
        got = f"'{names[moved[0]]}' as number {moved[0]}" if moved else f"{len(names)}"
        raise _unlike(
            f"the {real.num_classes} classes of '{real.name}' in {real.hub_id}, in their usual order, got {got}"
        )
    return np.arange(len(names))


def _left_out(real: RealSet, names: Sequence[str]) -> np.ndarray:
    """Which of the repository's classes are none of the set's: bool (m,)."""
    return np.array([bool(real.left_out) and fold(name).strip("0123456789") in real.left_out for name in names], bool)


def _unlike(expected: str) -> DataError:
    """The error of a repository that is not as it was."""
    return DataError(f"Expected {expected}. Give the path of a folder with one folder a class, or of a Parquet file.")
