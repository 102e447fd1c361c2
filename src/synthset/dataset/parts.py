"""Parts of a dataset for training, validation and tests: what must not lie on two sides is found here, and only here.

Two images of a dataset are tied where one of these says so:

    copies   their perceptual hashes are near: one is a copy of the other, or nearly
    noise    they were drawn on the same noise, whatever the prompt
    source   the same real image is behind both, as a beginning or a condition
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from synthset.core.errors import DataError, UnknownNameError, UsageError, setting
from synthset.core.files import to_path
from synthset.core.json_records import Count, read_record
from synthset.images.imageset import ImageSet
from synthset.images.near_copies import HASH_DISTANCE, near_pairs, perceptual_hashes
from synthset.images.opening import ImagePath
from synthset.images.parting import deal, group_ids, same

TIES = {
    "copies": "near copies, by their perceptual hashes",
    "noise": "images that were drawn on the same noise",
    "source": "images that have a real image behind them in common",
}
PART_NAMES = ("train", "validation", "test")
MARKER = "split.json"  # of a folder in which `split` put the parts of a dataset, each a dataset in a folder of its name


@dataclass(frozen=True)
class SplitRecord:
    """What MARKER says: the dataset that was split, and the images of each part."""

    dataset: str
    images: Mapping[str, Count]
    tied: Count
    largest_group: Count


def parts_in(folder: str | Path) -> dict[str, Path]:
    """The folders of the parts of a split dataset, by name; empty where the folder holds none.

    Raises DataError where its record is damaged.
    """
    root, remedy = to_path(folder), "Restore it, or name the folder of one part."
    try:
        found = read_record(SplitRecord, root / MARKER, remedy).images
    except (FileNotFoundError, NotADirectoryError):
        return {}
    if unknown := [name for name in found if name not in PART_NAMES]:
        raise DataError(
            f"Expected the parts {', '.join(PART_NAMES)} in '{root / MARKER}', got '{unknown[0]}'. {remedy}"
        )
    return {name: root / name for name in PART_NAMES if name in found}


def one_part(source: ImagePath, parts: Mapping[str, Path]) -> ImagePath:
    """The part of a split dataset that is asked for. Raises UsageError where none is, or one that there is not."""
    name = source.opening.split
    if name is None:
        raise not_one(source.path, parts)
    if name not in parts:
        raise UnknownNameError(f"part of '{source}'", name, parts)
    return replace(source.with_split(None), path=str(parts[name]))


def not_one(folder: str | Path, parts: Mapping[str, Path]) -> UsageError:
    """The error that asks for one of the parts."""
    return UsageError(
        f"Expected one dataset, got '{folder}', the parts {', '.join(parts)} of one. Name a part, e.g. "
        f"'{next(iter(parts.values()))}'."
    )


@dataclass(frozen=True, eq=False)
class Parts:
    """Images dealt into parts.

    Attributes:
        names: of the parts.
        part: int64 (n,), of each image.
        groups: int64 (n,), of each image; those of one group are tied.
    """

    names: tuple[str, ...]
    part: np.ndarray
    groups: np.ndarray

    def rows(self, name: str) -> np.ndarray:
        """The images of a part, int64, in their order."""
        return np.flatnonzero(self.part == self.names.index(name))

    @property
    def num_tied(self) -> int:
        """How many images are tied to another one."""
        return int((np.bincount(self.groups)[self.groups] > 1).sum())

    @property
    def largest(self) -> int:
        """Images of the largest group."""
        return int(np.bincount(self.groups).max(initial=0))


def part_images(
    images: ImageSet,
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    rows: pa.Table | None = None,
    strata: Sequence[str] = (),
    ties: Sequence[str] = tuple(TIES),
    hash_distance: int = HASH_DISTANCE,
) -> Parts:
    """Deal images into parts of these shares, every class and strategy alike, so that nothing leaks.

    Args:
        images: to be dealt.
        shares: of the parts, by name, above 0; they add up to 1.
        seed: of the choice.
        rows: of a Synthset dataset, those of the images, in their order; without them nothing is known of noise and
            real images.
        strata: of each image, what is shared out evenly within its class; by default its strategy.
        ties: keys of TIES that count.
        hash_distance: the most bits in which the hashes of near copies differ.
    Raises:
        UsageError: shares that cannot be, or an unknown tie.
        DataError: images that cannot be read, or so few groups that a part has none.
    """
    check_shares(shares)
    for name in ties:
        if name not in TIES:
            raise UnknownNameError("tie", name, TIES)
    found = list[np.ndarray]()
    if "copies" in ties:
        found.append(near_pairs(perceptual_hashes(images), hash_distance))
    if rows is not None and "noise" in ties:
        found.append(same(rows.column("seed").to_pylist()))
    if rows is not None and "source" in ties:
        found += _of_sources(rows)
    groups = group_ids(len(images), found)
    strata = strata or images.groups or ("",) * len(images)
    part = deal(groups, images.labels, strata, tuple(shares.values()), seed)
    parts = Parts(tuple(shares), part, groups)
    _check_none_empty(parts, images.name, ties)
    return parts


def check_shares(shares: Mapping[str, float]) -> None:
    """Raise UsageError unless the shares of parts are above 0 and add up to 1."""
    texts = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    if not shares or any(not 0 < share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise UsageError(f"Expected shares above 0 that add up to 1, got {texts or 'none'}.")


def _of_sources(rows: pa.Table) -> list[np.ndarray]:
    """Ties of images that have a real image in common."""
    found = list[np.ndarray]()
    if "initial_image" in rows.column_names:
        found.append(same(name or None for name in rows.column("initial_image").to_pylist()))
    if "condition_images" in rows.column_names:
        found.append(_sharing(rows.column("condition_images").to_pylist()))
    return found


def _sharing(several: Iterable[Sequence[str]]) -> np.ndarray:
    """Ties of images whose lists have a name in common, int64 (p, 2)."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(name, i), i) for i, names in enumerate(several) for name in names or ()]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def _check_none_empty(parts: Parts, name: str, ties: Sequence[str]) -> None:
    counts = np.bincount(parts.part, minlength=len(parts.names))
    if counts.all():
        return
    empty = next(name for name, count in zip(parts.names, counts.tolist(), strict=True) if not count)
    raise DataError(
        f"Expected images for '{empty}' of '{name}', got none: its {len(parts.part):,} images make "
        f"{len(set(parts.groups.tolist())):,} groups that must not be parted ({', '.join(ties)}), the largest of "
        f"{parts.largest:,}. Draw more, give other shares, or fewer {setting('ties')}."
    )
