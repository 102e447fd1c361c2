"""The manifest of a dataset: job, libraries and accounting. Written and read here alone.

A manifest may come from anywhere, so that it is read strictly: whoever has one need not check it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from synthset.core.errors import DataError
from synthset.core.files import read_json, write_json
from synthset.core.json_records import Count, Seconds, as_record
from synthset.core.options import Option
from synthset.core.versions import library_versions
from synthset.dataset.records import REQUIRED_COLUMNS
from synthset.prompts.classes import check_classes

MANIFEST_FILE = "manifest.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Accounting:
    """requested = ok + flagged + failed, always; retries counts the extra attempts behind them."""

    requested: Count = 0
    ok: Count = 0
    flagged: Count = 0
    failed: Count = 0
    retries: Count = 0

    def __add__(self, other: Accounting) -> Accounting:
        return Accounting(**{key: value + getattr(other, key) for key, value in asdict(self).items()})

    def __str__(self) -> str:
        return f"{self.requested:,} requested = {self.ok:,} ok + {self.flagged:,} flagged + {self.failed:,} failed"


@dataclass(frozen=True)
class Copied:
    """Images that were copied from another dataset instead of drawn.

    Attributes:
        dataset: name of its folder.
        plan_hash: of its job.
    """

    dataset: str
    plan_hash: str
    images: Count


@dataclass(frozen=True)
class Source:
    """A dataset that images were taken from by `merge`: all that its images depend on beside their rows.

    Attributes:
        name: by which rows name it.
        images: that are from it.
        seconds: that drawing took.
    """

    name: str
    job: Mapping[str, Any]
    images: Count
    accounting: Accounting
    libraries: Mapping[str, Any]
    seconds: Seconds = 0.0


@dataclass(frozen=True)
class Merged:
    """What `merge` made a dataset of.

    Attributes:
        duplicates: images that were left out, as an earlier one is the same file.
        relabelled: images that have the class of a relabel.
    """

    sources: tuple[Source, ...]
    duplicates: Count = 0
    relabelled: Count = 0

    def __post_init__(self) -> None:
        names = [source.name for source in self.sources]
        if not names or len(set(names)) < len(names):
            raise ValueError("'sources' must name each dataset once")


@dataclass(frozen=True)
class Split:
    """Which part of which dataset `split` made a dataset of.

    Attributes:
        dataset: name of the folder.
        rows_hash: of that dataset.
        shares: of all parts, by name.
        ties: for which images were kept on one side.
    """

    dataset: str
    rows_hash: str
    part: str
    shares: Mapping[str, float]
    seed: Count
    ties: tuple[str, ...]
    hash_distance: Count
    relabelled: Count = 0


def total_copied(parts: Iterable[Copied]) -> list[Copied]:
    """A record for each dataset, in the order of their names."""
    counts = Counter[tuple[str, str]]()
    for part in parts:
        counts[part.dataset, part.plan_hash] += part.images
    return [Copied(*origin, images) for origin, images in sorted(counts.items())]


def write_manifest(
    folder: Path,
    status: str,
    job: Mapping[str, Any],
    batch_size: int,
    accounting: Accounting,
    seconds: float,
    outcome: Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
) -> None:
    """Write the manifest of a dataset folder.

    Args:
        folder: of the dataset.
        status: "drawing" or "complete".
        job: entries that another run must share.
        batch_size: requests drawn together.
        accounting: of the whole dataset; zeros while it is drawn for the first time.
        seconds: of all runs so far.
        outcome: of refilling, and of copying, where there was any.
        columns: of the shards; None for a dataset that was begun before manifests listed them.
    """
    manifest = {
        "format_version": FORMAT_VERSION,
        "status": status,
        "job": dict(job),
        **({"columns": list(columns)} if columns else {}),
        "batch_size": batch_size,
        "accounting": asdict(accounting),
        **(outcome or {}),
        "seconds": round(seconds, 2),
        "libraries": library_versions(),
    }
    write_json(folder / MANIFEST_FILE, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a dataset folder, with every entry of the kind that `write_manifest` gives it.

    Raises:
        DataError: it is not there, damaged, of a later format, or holds what no run of ours writes.
    """
    path, remedy = folder / MANIFEST_FILE, "Restore the file, or choose another folder."
    try:
        manifest = read_json(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"Expected the manifest of a Synthset dataset in '{path}', it does not read ({reason}). {remedy}"
        ) from error
    accounting = as_record(_Manifest, manifest, f"'{path}'", remedy).accounting
    return {**manifest, "accounting": asdict(accounting)}


def merged_of(manifest: Mapping[str, Any]) -> Merged | None:
    """What `merge` made the dataset of a manifest of; None where it did not."""
    return as_record(Merged, manifest["merged"], "'merged'", "", is_part=True) if manifest.get("merged") else None


def split_of(manifest: Mapping[str, Any]) -> Split | None:
    """Which part of which dataset that of a manifest is; None where `split` did not make it."""
    return as_record(Split, manifest["split"], "'split'", "", is_part=True) if manifest.get("split") else None


# the entries that something reads; the others are only compared with those of the same job


@dataclass(frozen=True)
class _Prompts:
    phrases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    classes: tuple[str, ...]
    prompts: _Prompts
    generation: Mapping[str, Any]
    strategies: Mapping[str, Any]
    initial_images: Mapping[str, Any] | None = None
    refill: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_classes(self.classes)


@dataclass(frozen=True)
class _Manifest:
    format_version: Literal[1]
    status: Literal["drawing", "complete"]
    job: _Job
    batch_size: Annotated[int, Option(at_least=1)]
    accounting: Accounting
    seconds: Seconds
    libraries: Mapping[str, Any]
    columns: tuple[str, ...] | None = None
    copied: tuple[Copied, ...] = ()
    refill: Mapping[str, Any] | None = None
    merged: Merged | None = None
    split: Split | None = None

    def __post_init__(self) -> None:
        if self.columns is not None and (
            len(set(self.columns)) < len(self.columns) or not REQUIRED_COLUMNS.issubset(self.columns)
        ):
            raise ValueError(f"'columns' must hold, each once, {', '.join(sorted(REQUIRED_COLUMNS))}")
        total = self.accounting
        if total.requested != total.ok + total.flagged + total.failed:
            raise ValueError(f"its accounting does not add up: {total}")
