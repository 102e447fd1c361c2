"""Split: a dataset to parts for training, validation and tests, each a dataset of its own.

    out/
      README.md      by which `datasets.load_dataset("out")` reads the parts as its splits
      split.json     which images were kept on one side, and how many there are
      train/ validation/ test/     datasets: train, evaluate, export, diagnose, filter, review each as any other

An image keeps its id, its bytes, its verdicts and its label; nothing is drawn. What must not lie on two sides is found
by `dataset.parts`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa

from synthset.core.errors import DataError, UsageError, setting
from synthset.core.files import write_json
from synthset.core.locks import reading
from synthset.core.options import Option, check_options, with_options
from synthset.core.whole_folders import whole_folder
from synthset.curation.writing import (
    Made,
    Taken,
    by_hand_of,
    check_apart,
    local_dataset,
    read_real_images,
    write_dataset,
)
from synthset.dataset.card import write_parts_card
from synthset.dataset.manifest import Accounting, Split
from synthset.dataset.parts import MARKER, PART_NAMES, TIES, Parts, SplitRecord, check_shares, part_images, parts_in
from synthset.dataset.reader import Dataset
from synthset.dataset.records import FAILURE_SCHEMA, unknown_columns
from synthset.dataset.verdicts import BY_HAND, Verdicts
from synthset.images.near_copies import HASH_DISTANCE

log = logging.getLogger("synthset")

FAR_OFF = 0.02  # of all images: a part that misses its share by more is spoken of


@dataclass(frozen=True)
class SplitConfig:
    """How a dataset is split."""

    train: Annotated[float, Option(at_least=0, at_most=1)] = 0.8
    """Share of the images to train on."""
    validation: Annotated[float, Option(at_least=0, at_most=1)] = 0.1
    """Share of the images to choose by; 0 for no such part."""
    test: Annotated[float, Option(at_least=0, at_most=1)] = 0.1
    """Share of the images to test on; 0 for no such part."""
    seed: Annotated[int, Option(at_least=0)] = 0
    """Seed of the choice."""
    ties: Annotated[tuple[str, ...], Option(choices=(*TIES, "none"), default="all three")] = tuple(TIES)
    """Images that are kept on one side: copies (near ones, by their hashes), noise (drawn on the same), source (a real
    image behind both); none parts them all."""
    hash_distance: Annotated[int, Option(at_least=0, at_most=64)] = HASH_DISTANCE
    """Bits of 64 in which the hashes of near copies differ at most."""

    def __post_init__(self) -> None:
        if isinstance(self.ties, str):
            object.__setattr__(self, "ties", (self.ties,))
        check_options(self)
        if "none" in self.ties and len(self.ties) > 1:
            raise UsageError(f"Expected {setting('ties', 'none')} alone, got {', '.join(self.ties)}.")
        check_shares(self.shares)

    @property
    def shares(self) -> dict[str, float]:
        """Of the parts that there shall be, by name."""
        named = {name: getattr(self, name) for name in PART_NAMES}
        return {name: share for name, share in named.items() if share > 0}


@dataclass(frozen=True)
class PartResult:
    """A part: its folder, its images, those that every filter keeps, and its images of each class."""

    folder: Path
    images: int
    kept: int
    classes: Mapping[str, int]


@dataclass(frozen=True)
class SplitResult:
    """The parts of a dataset by name, and how many of its images are tied to others, the largest group's number too."""

    folder: Path
    parts: Mapping[str, PartResult]
    tied: int
    largest_group: int


def split(
    dataset: str | Path,
    output_dir: str | Path,
    config: SplitConfig | None = None,
    *,
    overwrite: bool = False,
    **options: Any,
) -> SplitResult:
    """Split a dataset; it stays as it is. The folder appears whole, or not at all.

    Classes, strategies and what filters keep are shared out evenly; an image that is tied to another one, see
    `SplitConfig.ties`, lies in the same part.

    Args:
        dataset: folder of a finished dataset.
        output_dir: a new or empty folder.
        config: how; `options` are its fields, e.g. `train=0.9, validation=0, test=0.1`.
        overwrite: replace an earlier split there.
    Raises:
        UsageError: shares that do not add up to 1, or something else in the folder.
        DataError: a dataset that is damaged, or so few images, or so many that are tied, that a part has none.
    Example:
        >>> synthset.split("digits-synthetic", "digits-parts", train=0.8, validation=0.1, test=0.1)  # doctest: +SKIP
    """
    config, output = with_options(config or SplitConfig(), options), Path(output_dir)
    with reading(dataset):
        whole = local_dataset(dataset)
        check_apart(output, [whole.folder])
        if later := unknown_columns(whole.columns):
            raise DataError(f"'{whole.folder}' has columns of a later version: {', '.join(later)}. Update synthset.")
        kept = whole.kept()
        ties = () if config.ties == ("none",) else config.ties
        images = whole.images(kept=False)
        strata = tuple(f"{strategy} {keep}" for strategy, keep in zip(images.groups, kept.tolist(), strict=True))
        how = {"seed": config.seed, "ties": ties, "hash_distance": config.hash_distance, "strata": strata}
        parts = part_images(images, config.shares, rows=whole.rows, **how)
        with whole_folder(output, split_files, overwrite=overwrite) as folder:
            made = {name: _write_part(whole, folder / name, name, parts, config, ties) for name in parts.names}
            counts = {name: one.images for name, one in made.items()}
            name = whole.folder.resolve().name
            write_json(folder / MARKER, asdict(SplitRecord(name, counts, parts.num_tied, parts.largest)))
            write_parts_card(folder, parts.names, output.resolve().name)
    placed = {name: PartResult(output / name, one.images, one.kept, one.classes) for name, one in made.items()}
    result = SplitResult(output, placed, parts.num_tied, parts.largest)
    _warn(result, config, whole.class_names)
    return result


def split_files(folder: Path) -> set[str] | None:
    """The files of a split; None where the folder holds none."""
    try:
        parts = parts_in(folder)
    except DataError:
        return None
    return {MARKER, "README.md", *parts} if parts else None


def _write_part(
    whole: Dataset, folder: Path, name: str, parts: Parts, config: SplitConfig, ties: tuple[str, ...]
) -> PartResult:
    folder.mkdir()
    rows = parts.rows(name)
    table, job = whole.rows.take(pa.array(rows)), {**whole.manifest["job"], "made_by": f"split: {name}"}
    own = whole.folder.resolve().name
    relabelled = table.column("label").to_numpy() != whole.drawn_rows.column("label").to_numpy()[rows]
    split_from = Split(
        *(own, whole.rows_hash, name, config.shares, config.seed, ties, config.hash_distance, int(relabelled.sum()))
    )
    kept_entries = {key: whole.manifest[key] for key in ("merged",) if key in whole.manifest}
    ids = set(table.column("request_id").to_pylist())
    made = Made(
        f"{own}: {name}",
        job,
        whole.columns,
        whole.manifest["batch_size"],
        0.0,
        {**kept_entries, "split": asdict(split_from)},
        FAILURE_SCHEMA.empty_table(),
        Accounting(requested=len(rows), ok=len(rows)),
        [_part_of(verdicts, ids) for method, verdicts in whole.verdicts().items() if method != BY_HAND],
        by_hand_of(whole, table.column("sha256").to_pylist()),
        read_real_images(whole),
    )
    dataset = write_dataset(folder, [Taken(whole, rows, table)], made)
    counts = np.bincount(table.column("label").to_numpy(), minlength=len(whole.class_names))
    classes = dict(zip(whole.class_names, counts.tolist(), strict=True))
    return PartResult(folder, len(rows), int(dataset.kept().sum()), classes)


def _part_of(verdicts: Verdicts, ids: set[int]) -> Verdicts:
    chosen = [number in ids for number in verdicts.table.column("request_id").to_pylist()]
    return Verdicts(verdicts.method, verdicts.config, verdicts.table.filter(pa.array(chosen)))


def _warn(result: SplitResult, config: SplitConfig, class_names: tuple[str, ...]) -> None:
    total = sum(part.images for part in result.parts.values())
    for name, part in result.parts.items():
        share, wanted = part.images / total, config.shares[name]
        if abs(share - wanted) > FAR_OFF and abs(part.images - wanted * total) > 1:
            log.warning(
                "'%s' has %.1f %% of the images instead of %.1f %%: %s images are tied to others, up to %s of "
                "them in one group.",
                *(name, 100 * share, 100 * wanted, f"{result.tied:,}", f"{result.largest_group:,}"),
            )
        lacking = [one for one in class_names if not part.classes[one]]
        if lacking:
            log.warning(
                "'%s' has no image of %s of the %s classes.", name, f"{len(lacking):,}", f"{len(class_names):,}"
            )
