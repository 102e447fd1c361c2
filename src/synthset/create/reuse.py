"""Reuse: images that another dataset has are copied, byte for byte, and only the rest is drawn.

    rows of the other datasets ─▶ a hash of all that each image depends on ─┐
    requests of the plan       ─▶ a hash of the same kind                  ─┴▶ equal: where to copy it from

An image depends on its request and the generation config, so both must be equal, and the way that it is stored. What it
is called is not part of that: its class, strategy and number are those of the new plan. A seed follows from the run's
seed, the class, the strategy and the number within both, so more images, classes or strategies change no other image.
Failures are drawn again, and verdicts of filters are not copied: they are about another dataset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from synthset.core.errors import DataError, UsageError, setting
from synthset.core.files import is_local, refuse_links, to_path
from synthset.core.jobs import differences, flatten
from synthset.core.locks import reading
from synthset.core.parquet_files import read_table
from synthset.create.config import CreateConfig
from synthset.create.storage import format_of, image_row
from synthset.dataset.manifest import Copied, read_manifest
from synthset.dataset.plan import Plan
from synthset.dataset.reader import Dataset, is_dataset
from synthset.dataset.records import (
    MAX_RETRIES,
    Request,
    asks_same,
    image_hashes,
    request_of,
    stored_schema,
    unknown_columns,
)
from synthset.dataset.writer import IDENTIFIED
from synthset.images.decoding import read_size

_REMEDY = (
    "Delete it, and run the same 'synthset create' of its dataset again to have it drawn anew there, or leave that "
    f"dataset out of {setting('reuse')}."
)
# a checkpoint is the same whatever it is called, where the hashes of all that it consists of are known
_IDENTIFIED = {**IDENTIFIED, "generation.revision": "generation.parts.model_index"}
_DERIVED = ("requests", "plan_hash")  # from the other entries of a job
_ENTRY = np.dtype(
    [("hash", np.uint64), ("check", np.uint64), ("shard", np.int32), ("row", np.int32), ("attempts", np.int32)]
)


def check_reused(folders: Sequence[str], output_dir: Path) -> None:
    """What can be refused of the datasets to copy from before a model is loaded.

    Raises:
        UsageError: one is no dataset, has a link for its folder of shards, is being written, or is drawn into.
        DataError: a manifest that is damaged.
    """
    for folder in map(to_path, folders):
        refuse_links(folder, "data")
        with reading(folder):
            is_there = is_dataset(folder) and read_manifest(folder)
        if not is_there:
            raise UsageError(
                f"Expected Synthset datasets as {setting('reuse')}, '{folder}' is none. Name folders that "
                "'synthset create' wrote."
            )
        is_here = is_local(folder) and is_local(output_dir) and output_dir.exists() and output_dir.samefile(folder)
        if is_here or str(folder) == str(output_dir):
            raise UsageError(
                f"Expected another {setting('output_dir')} than '{folder}', from which images are to be copied. To "
                f"finish what was begun there, leave out {setting('reuse')}."
            )


@dataclass(frozen=True)
class Source:
    """A dataset to copy from.

    Attributes:
        obstacle: why none of its images can be one of this job; empty where some may be.
        departures: where the rest of its job differs from this one, which some images may depend on.
    """

    dataset: Dataset
    obstacle: str
    departures: tuple[str, ...]

    def complaint(self) -> str:
        """That nothing is copied from it, and why."""
        why = self.obstacle
        if not why:
            departures = f" ({'; '.join(self.departures[:4])})" if self.departures else ""
            why = f"it has no image that this job lacks{departures}"
        return f"Nothing is copied from '{self.dataset.folder}': {why}."


@dataclass(frozen=True, eq=False)
class Reuse:
    """Datasets that a job copies from what they have of it; of what several have, the first is asked."""

    sources: tuple[Source, ...] = ()

    @classmethod
    def open(cls, folders: Sequence[str], job: Mapping[str, Any], defaults: Mapping[str, Any]) -> Reuse:
        """The datasets in these folders, finished or not, held against the job of a run.

        Args:
            defaults: entries that an older job may lack.
        Raises:
            DataError: a manifest that is damaged or gone.
        """
        datasets = [Dataset(folder, read_manifest(folder)) for folder in map(to_path, folders)]
        return cls(tuple(_compare(dataset, flatten(job), flatten(defaults)) for dataset in datasets))

    @cached_property
    def _shards(self) -> list[tuple[int, Path]]:
        """The files that may be copied from, each with the number of its dataset."""
        usable = [(number, source) for number, source in enumerate(self.sources) if not source.obstacle]
        return [(number, path) for number, source in usable for path in source.dataset.shards]

    @cached_property
    def _entries(self) -> np.ndarray:
        """The images that may be copied, by the hash of what each depends on; no pixel is read for it."""
        parts = [np.empty(0, _ENTRY)]
        for shard, (number, path) in enumerate(self._shards):
            columns = [name for name in self.sources[number].dataset.columns if name != "image"]
            table = read_table(path, stored_schema(columns), _REMEDY)
            part = np.empty(table.num_rows, _ENTRY)
            part["hash"], part["check"] = image_hashes(table).T
            part["shard"], part["row"], part["attempts"] = shard, np.arange(len(part)), table.column("attempts")
            parts.append(part)
        entries = np.concatenate(parts)
        return entries[np.argsort(entries["hash"], kind="stable")]

    def find(self, plan: Plan) -> Copies:
        """Where images of a plan are to be copied from. Raises DataError for a shard that is damaged."""
        entries = self._entries
        shard, row = np.full((2, len(plan)), -1, np.int32)
        for attempt in range(MAX_RETRIES + 1):  # a row has the seed of its last attempt
            tried = entries[entries["attempts"] == attempt + 1]
            missing = np.flatnonzero(shard < 0)
            if not len(tried) or not len(missing):
                continue
            wanted = image_hashes(plan.table if len(missing) == len(plan) else plan.table.take(missing), attempt)
            nearest = tried[np.minimum(np.searchsorted(tried["hash"], wanted[:, 0]), len(tried) - 1)]
            found = (nearest["hash"] == wanted[:, 0]) & (nearest["check"] == wanted[:, 1])
            shard[missing[found]], row[missing[found]] = nearest["shard"][found], nearest["row"][found]
        datasets = [source.dataset for source in self.sources]
        return Copies(
            tuple(Copied(d.folder.resolve().name, str(d.manifest["job"].get("plan_hash", "")), 0) for d in datasets),
            tuple((number, path, datasets[number].columns) for number, path in self._shards),
            shard,
            row,
        )

    def complaints(self, copies: Copies) -> list[str]:
        """Of each dataset from which nothing is copied, why."""
        counts = copies.counts(0, len(copies.shard))
        return [source.complaint() for source, count in zip(self.sources, counts, strict=True) if not count]


@dataclass(frozen=True, eq=False)
class Copies:
    """Where images of a plan are copied from.

    Attributes:
        origins: a record of each dataset, without a count.
        files: of shards: the number of the dataset, the path, and the columns.
        shard, row: of each request of the plan, the number of the file and the row in it; -1 where it is to be drawn.
    """

    origins: tuple[Copied, ...]
    files: tuple[tuple[int, Path, tuple[str, ...]], ...]
    shard: np.ndarray
    row: np.ndarray

    def counts(self, start: int, stop: int) -> list[int]:
        """How many images of these rows of the plan come from each dataset."""
        owners = np.array([number for number, _, _ in self.files], np.int64)
        shards = self.shard[start:stop]
        return np.bincount(owners[shards[shards >= 0]], minlength=len(self.origins)).tolist()

    def records(self, start: int, stop: int) -> list[Copied]:
        """The same as records, of datasets that some come from."""
        counts = zip(self.origins, self.counts(start, stop), strict=True)
        return [Copied(origin.dataset, origin.plan_hash, count) for origin, count in counts if count]

    def rows(self, start: int, requests: Sequence[Request], config: CreateConfig) -> Iterator[dict[str, Any]]:
        """Rows for those of the requests `start`, `start` + 1, … of the plan that are copied, in no order.

        Raises:
            DataError: a shard that is damaged, or was changed since it was looked at.
        """
        shards = self.shard[start : start + len(requests)]
        for shard in np.unique(shards[shards >= 0]).tolist():
            _, path, columns = self.files[shard]
            places = np.flatnonzero(shards == shard)
            table = read_table(path, stored_schema(columns), _REMEDY, rows=self.row[start + places])
            for place, stored in zip(places.tolist(), table.to_pylist(), strict=True):
                yield _copy(stored, requests[place], path, config)


def _copy(stored: Mapping[str, Any], request: Request, path: Path, config: CreateConfig) -> dict[str, Any]:
    """The row of a request, with the image of a row that has been drawn for the same."""
    data, attempts = stored["image"]["bytes"] or b"", stored["attempts"]
    tried = request.retried(attempts - 1)
    if hashlib.sha256(data).hexdigest() != stored["sha256"] or not asks_same(request_of(stored), tried):
        raise DataError(
            f"Expected image '{stored['request_id']}' of '{path}' as it was drawn, it was changed. {_REMEDY}"
        )
    try:
        size = read_size(data)
    except DataError as error:
        raise DataError(f"{error} It is image '{stored['request_id']}' of '{path}'. {_REMEDY}") from error
    return image_row(tried, data, format_of(config.image_format, max(size)), attempts)


# ---- what may differ --------------------------------------------------------------------------------------


def _compare(dataset: Dataset, job: Mapping[str, Any], defaults: Mapping[str, Any]) -> Source:
    """A dataset, and what keeps its images out of a flat job."""
    if later := unknown_columns(dataset.columns):
        return Source(dataset, f"a later version wrote it, with columns unknown to this one ({', '.join(later)})", ())
    if "steps" in dataset.manifest["job"] and "num_inference_steps" not in dataset.columns:
        return Source(
            dataset, "an earlier version wrote it, whose rows do not say in how many steps each was drawn", ()
        )
    theirs = _stored_alike(flatten(dataset.manifest["job"]), job, defaults)
    texts = differences(theirs, job, defaults, _DERIVED, _IDENTIFIED)
    for prefix, kind in (("generation.", "drawn"), ("images.", "stored")):
        if of_every_image := [text for text in texts if text.startswith(prefix)]:
            return Source(dataset, f"its images are {kind} otherwise ({'; '.join(of_every_image[:4])})", ())
    return Source(dataset, "", tuple(texts))


def _stored_alike(theirs: Mapping[str, Any], ours: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A flat job with our settings of stored images in place of its own, where they come to the same files."""
    images = {key: theirs.get(key, defaults[key]) for key in defaults if key.startswith("images.")}
    side_px = ours["images.resize_px"] or max(ours["generation.height_px"], ours["generation.width_px"])
    formats = [format_of(settings["images.format"], side_px) for settings in (images, ours)]
    alike = [
        *(["images.antialias"] if ours["images.resize_px"] is None else []),
        *(["images.format"] if formats[0] == formats[1] else []),
        *(["images.quality"] if formats[0] == formats[1] == "png" else []),
    ]
    return {**theirs, **images, **{key: ours[key] for key in alike}}
