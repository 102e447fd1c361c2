"""The dataset on disk: a Hugging Face dataset repository made of atomic shards.

    manifest.json         what was asked for, with what, and the accounting
    plan.parquet          every request
    data/train-*.parquet  the images with all that each depended on, one file a shard of the plan
    failures.parquet      what could not be drawn, and why
    README.md             the dataset card
    preview.png           a contact sheet, classes × strategies

A shard that exists is complete: its failures travel in its own metadata, so one rename commits both.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthset.errors import ConfigChangedError, DataError, UsageError
from synthset.files import atomic_write, delete_parts, write_json
from synthset.imageset import ImageSet
from synthset.plan import Plan
from synthset.prompts import select_rows
from synthset.versions import library_versions

FORMAT_VERSION = 1
IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
COLUMNS = {
    "image": IMAGE_TYPE,
    "label": pa.int64(),
    "class_name": pa.string(),
    "strategy": pa.string(),
    "prompt": pa.string(),
    "negative_prompt": pa.string(),
    "guidance_scale": pa.float64(),
    "seed": pa.int64(),
    "index": pa.int32(),
    "request_id": pa.int64(),
    "attempts": pa.int32(),
    "sha256": pa.string(),
}
FAILURE_SCHEMA = pa.schema(
    [
        ("request_id", pa.int64()),
        ("class_name", pa.string()),
        ("strategy", pa.string()),
        ("prompt", pa.string()),
        ("guidance_scale", pa.float64()),
        ("seed", pa.int64()),
        ("attempts", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
_SHARD_KEY = b"synthset"


@dataclass(frozen=True)
class Accounting:
    """requested = ok + flagged + failed, always; retries counts the extra attempts behind them."""

    requested: int = 0
    ok: int = 0
    flagged: int = 0
    failed: int = 0
    retries: int = 0

    def __add__(self, other: Accounting) -> Accounting:
        return Accounting(**{key: value + getattr(other, key) for key, value in asdict(self).items()})

    def __str__(self) -> str:
        return f"{self.requested:,} requested = {self.ok:,} ok + {self.flagged:,} flagged + {self.failed:,} failed"


# ---- writing ----------------------------------------------------------------------------------------------


class DatasetWriter:
    """A dataset folder that is being filled, or filled further, for exactly one job."""

    def __init__(self, folder: Path, job: Mapping[str, Any], plan: Plan, shard_size: int, batch_size: int) -> None:
        self.folder, self.job, self.plan, self.shard_size = folder, dict(job), plan, shard_size
        self.batch_size = batch_size

    def check(self, overwrite: bool = False) -> str:
        """What stands at the folder, "nothing" or "dataset"; touches nothing.

        Raises:
            UsageError: the folder holds something that Synthset did not write, or is a file.
            ConfigChangedError: it holds another job; the difference is named.
        """
        state = check_folder(self.folder)
        if state == "dataset" and not overwrite:
            _refuse_other_job(self.folder, read_manifest(self.folder)["job"], self.job)
        return state

    def open(self, overwrite: bool = False, keep_batch_size: bool = True) -> None:
        """Make the folder ready to be filled, or filled further. Raises as `check` does.

        Args:
            overwrite: begin anew where another dataset stands.
            keep_batch_size: go on with the batch size of the run that began, so that a resumed run draws
                the very same batches, and so the same pixels.
        """
        if self.check(overwrite) == "dataset":
            if overwrite:
                _delete_own_files(self.folder)
            else:
                delete_parts(self.folder)
                if keep_batch_size:
                    self.batch_size = read_manifest(self.folder)["batch_size"]
                if (self.folder / "plan.parquet").exists():
                    return
        # the manifest first: from here on the folder is known as ours
        self._write_manifest("drawing", Accounting(), 0.0)
        with atomic_write(self.folder / "plan.parquet") as file:
            pq.write_table(self.plan.table, file)

    def shard_path(self, shard: int) -> Path:
        """File of one shard."""
        return self.folder / "data" / f"train-{shard:05d}.parquet"

    def missing_shards(self) -> list[int]:
        """Shards that are not on disk yet, in order."""
        return [shard for shard in range(self.num_shards) if not self.shard_path(shard).exists()]

    @property
    def num_shards(self) -> int:
        """Shards of the whole plan."""
        return -(-len(self.plan) // self.shard_size)

    def write_shard(
        self, shard: int, rows: Sequence[dict[str, Any]], failures: Sequence[dict[str, Any]], retries: int
    ) -> Accounting:
        """Commit one shard: its stored images and its failures, in one rename."""
        flagged = sum(failure["status"] == "flagged" for failure in failures)
        accounting = Accounting(len(rows) + len(failures), len(rows), flagged, len(failures) - flagged, retries)
        notes = {"accounting": asdict(accounting), "failures": list(failures)}
        schema = _schema(self.plan.class_names).with_metadata(
            {**_hugging_face_metadata(self.plan.class_names), _SHARD_KEY: json.dumps(notes)}
        )
        with atomic_write(self.shard_path(shard)) as file:
            pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file, row_group_size=128)
        return accounting

    def finish(self, seconds: float) -> Accounting:
        """Collect the failures of all shards and close the accounting.

        Args:
            seconds: that this run took; earlier runs of the same job are added.
        """
        notes = [_read_notes(self.shard_path(shard)) for shard in range(self.num_shards)]
        failures = [failure for note in notes for failure in note["failures"]]
        total = sum((Accounting(**note["accounting"]) for note in notes), Accounting())
        with atomic_write(self.folder / "failures.parquet") as file:
            pq.write_table(pa.Table.from_pylist(failures, schema=FAILURE_SCHEMA), file)
        self._write_manifest("complete", total, seconds + read_manifest(self.folder)["seconds"])
        return total

    def _write_manifest(self, status: str, accounting: Accounting, seconds: float) -> None:
        manifest = {
            "format_version": FORMAT_VERSION,
            "status": status,
            "job": self.job,
            "batch_size": self.batch_size,
            "accounting": asdict(accounting),
            "seconds": round(seconds, 2),
            "libraries": library_versions(),
        }
        write_json(self.folder / "manifest.json", manifest)


def check_folder(folder: Path) -> str:
    """What stands at `folder`: "nothing" or "dataset". Raises UsageError for anything else."""
    if not folder.exists():
        return "nothing"
    if not folder.is_dir():
        raise UsageError(f"Expected a folder for the dataset, '{folder}' is a file. Choose another --output-dir.")
    if (folder / "manifest.json").exists():
        read_manifest(folder)
        return "dataset"
    if any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise UsageError(
            f"'{folder}' holds files that are no Synthset dataset; nothing was changed. Choose another --output-dir."
        )
    return "nothing"


def _refuse_other_job(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    there, here = _flatten(there), _flatten(here)
    differences = [
        f"{key}: {_brief(there.get(key))} there, {_brief(here.get(key))} here"
        for key in [*here, *(key for key in there if key not in here)]
        if there.get(key) != here.get(key)
    ]
    if differences:
        # the hash differs with everything else: it is worth a word only alone
        differences = [text for text in differences if not text.startswith("plan_hash")] or differences
        raise ConfigChangedError(
            f"'{folder}' holds another job ({'; '.join(differences[:4])}); nothing was changed. "
            "Choose another --output-dir, or give --overwrite to replace it."
        )


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat.update(_flatten(item, f"{prefix}{key}."))
        else:
            flat[prefix + key] = list(item) if isinstance(item, tuple) else item
    return flat


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _delete_own_files(folder: Path) -> None:
    """Delete what a dataset consists of, and nothing else that someone may have put there."""
    delete_parts(folder)
    for name in ("preview.png", "README.md", "failures.parquet", "plan.parquet"):
        (folder / name).unlink(missing_ok=True)
    for shard in (folder / "data").glob("train-*.parquet"):
        shard.unlink()


def _schema(class_names: Sequence[str]) -> pa.Schema:
    return pa.schema(list(COLUMNS.items()), metadata=_hugging_face_metadata(class_names))


def features(class_names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The columns as Hugging Face features, in their JSON form."""
    described: dict[str, dict[str, Any]] = {
        name: {"dtype": str(kind), "_type": "Value"} for name, kind in COLUMNS.items()
    }
    described["image"] = {"_type": "Image"}
    described["label"] = {"names": list(class_names), "_type": "ClassLabel"}
    return described


def _hugging_face_metadata(class_names: Sequence[str]) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": features(class_names)}}).encode()}


# ---- reading ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dataset:
    """A dataset folder, opened for reading."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The k class names, in label order."""
        return tuple(self.manifest["job"]["classes"])

    @property
    def accounting(self) -> Accounting:
        """What was requested, and what became of it."""
        return Accounting(**self.manifest["accounting"])

    @cached_property
    def shards(self) -> list[Path]:
        """The shard files, in order."""
        return sorted((self.folder / "data").glob("train-*.parquet"))

    @cached_property
    def rows(self) -> pa.Table:
        """All columns but the images."""
        columns = [name for name in COLUMNS if name != "image"]
        return pa.concat_tables([_read_table(path, columns) for path in self.shards])

    def strategies(self) -> list[str]:
        """The plain strategies that have images, in drawing order."""
        return list(dict.fromkeys(self.rows.column("strategy").to_pylist()))

    def images(self, strategy: str | None = None) -> ImageSet:
        """The images, all of them or those of one strategy or combination.

        Raises:
            UsageError: an unknown strategy, or one that was not drawn.
            DataError: no image.
        """
        names, indices = (self.rows.column(c).to_pylist() for c in ("strategy", "index"))
        labels = self.rows.column("label").to_numpy().astype(np.int64)
        if not len(labels):
            raise DataError(f"Expected images in '{self.folder}', found none. Run 'synthset create' first.")
        everything = ImageSet(
            self.folder.resolve().name, self.class_names, labels, _ShardReader(self.shards).read, tuple(names)
        )
        if strategy is None:
            return everything
        return everything.select(select_rows(names, indices, strategy))


def open_dataset(folder: str | Path) -> Dataset:
    """Open a finished dataset.

    Raises:
        DataError: no dataset there, one that is not finished, or one that this version cannot read.
    """
    folder = Path(folder)
    if not (folder / "manifest.json").exists():
        raise DataError(f"Expected a Synthset dataset in '{folder}', found none. Run 'synthset create' first.")
    manifest = read_manifest(folder)
    if manifest["status"] != "complete":
        raise DataError(f"The dataset in '{folder}' is not finished. Run the same 'synthset create' again.")
    return Dataset(folder, manifest)


def is_dataset(folder: str | Path) -> bool:
    """Whether a Synthset manifest stands in `folder`."""
    return (Path(folder) / "manifest.json").is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a dataset folder. Raises DataError if it is damaged or of a later format."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
        _ = manifest["job"]["classes"], manifest["status"], manifest["batch_size"], manifest["seconds"]
        Accounting(**manifest["accounting"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"Expected the manifest of a Synthset dataset in '{path}', it does not read ({error!r})."
        ) from error
    if version != FORMAT_VERSION:
        raise DataError(f"'{path}' has format {version}, this version reads {FORMAT_VERSION}. Update synthset.")
    return manifest


class _ShardReader:
    """Image i of all shards, with the last few shards kept in memory."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self._shards = list(shards)
        counts = [pq.read_metadata(path).num_rows for path in shards]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._lock = threading.Lock()  # a shard is read once, however many threads ask
        self._load = lru_cache(maxsize=4)(self._load_shard)

    def read(self, index: int) -> bytes:
        shard = int(np.searchsorted(self._starts, index, "right")) - 1
        with self._lock:
            images = self._load(shard)
        return images[index - int(self._starts[shard])].as_py()

    def _load_shard(self, shard: int) -> pa.Array:
        column = _read_table(self._shards[shard], ["image"]).column("image").combine_chunks()
        return column.field("bytes")


def _read_table(path: Path, columns: list[str]) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"Expected a shard of a Synthset dataset, '{path}' does not read ({error}).") from error


def _read_notes(path: Path) -> dict[str, Any]:
    return json.loads((pq.read_schema(path).metadata or {})[_SHARD_KEY])
