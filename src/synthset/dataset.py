"""The dataset on disk: a Hugging Face dataset repository made of atomic shards.

    manifest.json         what was asked for, with what, and the accounting, see manifest.py
    plan.parquet          every request; plan-refill-00.parquet … those of further rounds, see refill.py
    real-images.parquet   the real images that drawing made use of, where there are any, see real_guidance.py
    sentences.jsonl       the sentences of language enhancement, where there are any, see sentences/cache.py
    data/train-*.parquet  the images with all that each depended on, one file a shard of the plan
    failures.parquet      what could not be drawn, and why
    filters/*.parquet     what filters said about each image, see verdicts.py
    README.md             the dataset card
    preview.png           a contact sheet, classes × strategies

A shard that exists is complete: its failures travel in its own metadata, so one rename commits both.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthset.errors import ConfigChangedError, DataError, UsageError
from synthset.files import atomic_write, delete_parts, parquet_source, parse_json, refuse_links, to_path
from synthset.imageset import ImageSet
from synthset.manifest import MANIFEST_FILE, Accounting, read_manifest, write_manifest
from synthset.plan import GUIDED_FIELDS, Plan
from synthset.prompts import select_rows
from synthset.sentences import SENTENCES_FILE
from synthset.verdicts import FOLDER as VERDICTS_FOLDER
from synthset.verdicts import Verdicts, delete_verdicts, kept_rows, read_verdicts

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
# only of jobs with initial images: that begin at them, and that are conditioned on them
GUIDED_COLUMNS = {item.name: item.type for item in GUIDED_FIELDS}
CONDITION_COLUMNS = {"condition_images": pa.list_(pa.string()), "condition_weights": pa.list_(pa.float32())}
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
INITIAL_IMAGES_FILE = "real-images.parquet"
_SHARD_KEY = b"synthset"


# ---- writing ----------------------------------------------------------------------------------------------


class DatasetWriter:
    """A dataset folder that is being filled, or filled further, for exactly one job.

    Attributes:
        plan: the requests of this round; further rounds of a job have writers of their own, see `round`.
        first_shard: number of the shard that the plan begins with.
        batch_size: requests drawn together.
    """

    def __init__(
        self,
        folder: Path,
        job: Mapping[str, Any],
        plan: Plan,
        shard_size: int,
        batch_size: int,
        first_shard: int = 0,
    ) -> None:
        self.folder, self.job, self.plan, self.shard_size = folder, dict(job), plan, shard_size
        self.batch_size, self.first_shard = batch_size, first_shard

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

    def open(
        self, overwrite: bool = False, keep_batch_size: bool = True, initial_images: pa.Table | None = None
    ) -> None:
        """Make the folder ready to be filled, or filled further. Raises as `check` does.

        Args:
            overwrite: begin anew where another dataset stands.
            keep_batch_size: go on with the batch size of the run that began, so that a resumed run draws
                the very same batches, and so the same pixels.
            initial_images: the real images that the job begins at, where it has any, to be stored with it.
        """
        state = self.check(overwrite)
        delete_parts(self.folder)  # there may be some though there is no dataset: of a run killed at its first file
        if state == "dataset" and overwrite:
            _delete_own_files(self.folder)
        elif state == "dataset":
            if keep_batch_size:
                self.batch_size = read_manifest(self.folder)["batch_size"]
            if (self.folder / "plan.parquet").exists():
                return
        # the manifest first: from here on the folder is known as ours; the plan last: with it, all is there
        write_manifest(self.folder, "drawing", self.job, self.batch_size, Accounting(), 0.0)
        if initial_images is not None:
            _write_table(self.folder / INITIAL_IMAGES_FILE, initial_images)
        _write_table(self.folder / "plan.parquet", self.plan.table)

    def stored_round(self, number: int) -> Plan | None:
        """The plan of a further round that an earlier run began, or None. Raises DataError if it is lost."""
        path = self.round_path(number)
        if not path.exists():
            if self.shard_path(self.first_shard + self.num_shards).exists():
                raise DataError(
                    f"Expected the plan of a further round in '{path}', for there are images of it, found none. "
                    "Give --overwrite to begin anew."
                )
            return None
        plan = Plan(self.plan.class_names, self.plan.strategies, _read_table(path, self.plan.table.column_names))
        ids = plan.table.column("id").to_pylist()
        if not ids or ids != list(range(self.next_id, self.next_id + len(ids))):
            raise DataError(f"Expected the plan of a further round in '{path}', got other requests. Give --overwrite.")
        return plan

    def begin_round(self, number: int, plan: Plan) -> DatasetWriter:
        """Record the plan of a further round, and give its writer: its shards follow those of this one."""
        # first of all the folder is no longer complete: nobody shall read it in the middle of a round
        manifest = read_manifest(self.folder)
        there = Accounting(**manifest["accounting"]), manifest["seconds"]
        write_manifest(self.folder, "drawing", self.job, self.batch_size, *there)
        _write_table(self.round_path(number), plan.table)
        return self.continued(plan)

    def continued(self, plan: Plan) -> DatasetWriter:
        """The writer of a further round, whose shards follow those of this one."""
        following = self.first_shard + self.num_shards
        return DatasetWriter(self.folder, self.job, plan, self.shard_size, self.batch_size, following)

    def round_path(self, number: int) -> Path:
        """File of the plan of a further round, 0, 1, …"""
        return self.folder / f"plan-refill-{number:02d}.parquet"

    @property
    def next_id(self) -> int:
        """Id of the first request after this round."""
        return self.plan.table.column("id")[-1].as_py() + 1

    def shard_path(self, shard: int) -> Path:
        """File of one shard."""
        return self.folder / "data" / f"train-{shard:05d}.parquet"

    def missing_shards(self) -> list[int]:
        """Shards of this round that are not on disk yet, in order."""
        there = {path.name for path in (self.folder / "data").glob("train-*.parquet")}  # one listing, not a look each
        shards = range(self.first_shard, self.first_shard + self.num_shards)
        return [shard for shard in shards if self.shard_path(shard).name not in there]

    def shard_rows(self, shard: int) -> range:
        """Rows of the plan that one shard holds."""
        start = (shard - self.first_shard) * self.shard_size
        return range(start, min(len(self.plan), start + self.shard_size))

    @property
    def num_shards(self) -> int:
        """Shards of this round's plan."""
        return -(-len(self.plan) // self.shard_size)

    def write_shard(
        self, shard: int, rows: Sequence[dict[str, Any]], failures: Sequence[dict[str, Any]], retries: int
    ) -> Accounting:
        """Commit one shard: its stored images and its failures, in one rename."""
        flagged = sum(failure["status"] == "flagged" for failure in failures)
        accounting = Accounting(len(rows) + len(failures), len(rows), flagged, len(failures) - flagged, retries)
        notes = {"accounting": asdict(accounting), "failures": list(failures)}
        schema = pa.schema(
            list(columns_of(self.job).items()),
            metadata={**_hugging_face_metadata(self.job), _SHARD_KEY: json.dumps(notes)},
        )
        with atomic_write(self.shard_path(shard)) as file:
            pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file, row_group_size=128)
        return accounting

    def finish(self, seconds: float, refill: Mapping[str, Any] | None = None) -> Accounting:
        """Collect the failures of all shards, up to the last of this round, and close the accounting.

        Args:
            seconds: that this run took; earlier runs of the same job are added.
            refill: what refilling came to, for the manifest.
        """
        shards = [self.shard_path(shard) for shard in range(self.first_shard + self.num_shards)]
        with ThreadPoolExecutor(max_workers=16) as pool:  # each waits for its file, which may be far away
            notes = list(pool.map(_read_notes, shards))
        failures = [failure for note in notes for failure in note["failures"]]
        total = sum((Accounting(**note["accounting"]) for note in notes), Accounting())
        with atomic_write(self.folder / "failures.parquet") as file:
            pq.write_table(pa.Table.from_pylist(failures, schema=FAILURE_SCHEMA), file)
        seconds += read_manifest(self.folder)["seconds"]
        write_manifest(self.folder, "complete", self.job, self.batch_size, total, seconds, refill)
        return total


def check_folder(folder: Path) -> str:
    """What stands at `folder`: "nothing" or "dataset". Raises UsageError for anything else.

    Sentences alone are nothing yet: they are what a run leaves that was stopped while they were written.
    """
    if not folder.exists():
        return "nothing"
    if not folder.is_dir():
        raise UsageError(f"Expected a folder for the dataset, '{folder}' is a file. Choose another --output-dir.")
    refuse_links(folder, "data", VERDICTS_FOLDER)
    if (folder / MANIFEST_FILE).exists():
        read_manifest(folder)
        return "dataset"
    if any(entry.name != SENTENCES_FILE and not entry.name.startswith(".") for entry in folder.iterdir()):
        raise UsageError(
            f"'{folder}' holds files that are no Synthset dataset; nothing was changed. Choose another --output-dir."
        )
    return "nothing"


def check_part_of_job(folder: Path, part: Mapping[str, Any], unknown: Collection[str] = ()) -> None:
    """Refuse another job early, by what is known of it so far.

    Args:
        folder: of the dataset, if there is one.
        part: some of the entries that the job will have.
        unknown: what is not known yet within them, as "sentences.sha256".
    Raises:
        UsageError: the folder holds something else than a dataset.
        ConfigChangedError: it holds another job; the difference is named.
    """
    if check_folder(folder) == "dataset":
        job = read_manifest(folder)["job"]
        sides = ({key: job[key] for key in part if key in job}, part)
        there, here = ({key: value for key, value in _flatten(side).items() if key not in unknown} for side in sides)
        _refuse_other_job(folder, there, here)


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
    """Delete what a dataset consists of, and nothing else that someone may have put there.

    Sentences stay: they are found by all that they depend on, and can have cost hours.
    """
    delete_parts(folder)
    delete_verdicts(folder)  # first: they must never be read with other images
    for name in ("preview.png", "README.md", "failures.parquet", "plan.parquet", INITIAL_IMAGES_FILE):
        (folder / name).unlink(missing_ok=True)
    for plan in folder.glob("plan-refill-*.parquet"):
        plan.unlink()
    for shard in (folder / "data").glob("train-*.parquet"):
        shard.unlink()


def _write_table(path: Path, table: pa.Table) -> None:
    with atomic_write(path) as file:
        pq.write_table(table, file, row_group_size=2**20)


def columns_of(job: Mapping[str, Any]) -> dict[str, pa.DataType]:
    """The columns of a job's shards."""
    real = job.get("initial_images", {})
    return COLUMNS | (GUIDED_COLUMNS if "strength" in real else {}) | (CONDITION_COLUMNS if "mixed" in real else {})


def features(job: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a job's shards as Hugging Face features, in their JSON form."""
    described = {name: _feature(kind) for name, kind in columns_of(job).items()}
    described["image"] = {"_type": "Image"}
    described["label"] = {"names": list(job["classes"]), "_type": "ClassLabel"}
    return described


def _feature(kind: pa.DataType) -> Any:
    return [_feature(kind.value_type)] if pa.types.is_list(kind) else {"dtype": str(kind), "_type": "Value"}


def _hugging_face_metadata(job: Mapping[str, Any]) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": features(job)}}).encode()}


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

    @property
    def phrases(self) -> Mapping[str, str]:
        """What stood for classes in the prompts, by class name, where it was not the name."""
        return self.manifest["job"].get("prompts", {}).get("phrases", {})

    @cached_property
    def shards(self) -> list[Path]:
        """The shard files, in order."""
        return sorted((self.folder / "data").glob("train-*.parquet"))

    @cached_property
    def rows(self) -> pa.Table:
        """All columns but the images."""
        columns = [name for name in columns_of(self.manifest["job"]) if name != "image"]
        return pa.concat_tables([_read_table(path, columns) for path in self.shards])

    def strategy_counts(self) -> Counter[str]:
        """How many images each strategy has; a column of one shard is in memory at a time."""
        counts = Counter[str]()
        for path in self.shards:
            for count in _read_table(path, ["strategy"]).column("strategy").value_counts().to_pylist():
                counts[count["values"]] += count["counts"]
        return counts

    def part(self, max_shards: int) -> Dataset:
        """At most so many of its shards, from all over the dataset: to look at what is too large to be read."""
        part = Dataset(self.folder, self.manifest)
        chosen = np.linspace(0, len(self.shards) - 1, min(max_shards, len(self.shards))).astype(int)
        part.__dict__["shards"] = [self.shards[i] for i in chosen]
        return part

    @cached_property
    def rows_hash(self) -> str:
        """SHA-256 over the ids and the bytes of all images: what verdicts are about."""
        digest = hashlib.sha256(self.rows.column("request_id").to_numpy().tobytes())
        digest.update("".join(self.rows.column("sha256").to_pylist()).encode())
        return digest.hexdigest()

    def verdicts(self) -> dict[str, Verdicts]:
        """What filters said about the images, by method; empty where none was run.

        Raises:
            DataError: a file that is damaged.
        """
        return read_verdicts(self.folder)

    def kept(self) -> np.ndarray:
        """Which rows every filter keeps: bool (n,), all of them where none was run.

        Raises:
            DataError: verdicts that are damaged, or not about the images that are there now.
        """
        ids = self.rows.column("request_id").to_numpy()
        verdicts = self.verdicts()
        return kept_rows(verdicts, ids, self.rows_hash if verdicts else "", str(self.folder))

    def initial_images(self) -> dict[str, bytes]:
        """The files of the real images that drawing began at, by the SHA-256 in `rows`; empty without any.

        Raises:
            DataError: they are lost or damaged.
        """
        if "initial_images" not in self.manifest["job"]:
            return {}
        table = _read_table(self.folder / INITIAL_IMAGES_FILE, ["sha256", "bytes"])
        return dict(zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True))

    def strategies(self) -> list[str]:
        """The plain strategies that have images, in drawing order."""
        return list(dict.fromkeys(self.rows.column("strategy").to_pylist()))

    def images(self, strategy: str | None = None, *, kept: bool = True) -> ImageSet:
        """The images, all of them or those of one strategy or combination.

        Args:
            strategy: name of one; None for all images.
            kept: leave out what a filter rejected; False takes everything that was drawn.
        Raises:
            UsageError: an unknown strategy, or one that was not drawn.
            DataError: no image, or verdicts that are damaged or not about these images.
        """
        rows = self.select(strategy, kept=kept)
        labels = self.rows.column("label").to_numpy().astype(np.int64)
        names = tuple(self.rows.column("strategy").to_pylist())
        read = _ShardReader(self.shards).read
        return ImageSet(self.folder.resolve().name, self.class_names, labels, read, names).select(rows)

    def select(self, strategy: str | None = None, *, kept: bool = True) -> np.ndarray:
        """The rows behind `images`, as int64 indices into `rows`. Arguments and errors as there."""
        if not self.rows.num_rows:
            raise DataError(f"Expected images in '{self.folder}', found none. Run 'synthset create' first.")
        keep = self.kept() if kept else np.ones(self.rows.num_rows, bool)
        chosen = np.arange(len(keep))
        if strategy is not None:
            names = self.rows.column("strategy").to_pylist()
            chosen = np.array(select_rows(names, self._turns(keep), strategy), np.int64)
        if not keep[chosen].any():
            raise DataError(
                f"Expected images that the filters keep in '{self.folder}', all {len(chosen):,} are rejected "
                f"({', '.join(self.verdicts())}). Lower the threshold of 'synthset filter', or take all images."
            )
        return chosen[keep[chosen]]

    def _turns(self, keep: np.ndarray) -> list[int]:
        """The number of each row within its class and strategy, as a combination of equal parts counts them.

        That is its index, unless images are left out or were drawn in their stead: then the kept ones are
        counted, so that equal parts stay equal.
        """
        if keep.all() and not self.manifest["job"].get("refill"):
            return self.rows.column("index").to_pylist()
        turns, counts = [], dict[tuple[str, int], int]()
        columns = (self.rows.column(name).to_pylist() for name in ("strategy", "label"))
        for cell, kept in zip(zip(*columns, strict=True), keep.tolist(), strict=True):
            counts[cell] = counts.get(cell, 0) + kept
            turns.append(max(counts[cell] - 1, 0))
        return turns


def open_dataset(folder: str | Path) -> Dataset:
    """Open a finished dataset.

    Raises:
        DataError: no dataset there, one that is not finished, or one that this version cannot read.
        UsageError: a folder within it is a link.
    """
    folder = to_path(folder)
    if not (folder / MANIFEST_FILE).exists():
        raise DataError(f"Expected a Synthset dataset in '{folder}', found none. Run 'synthset create' first.")
    refuse_links(folder, "data", VERDICTS_FOLDER)
    manifest = read_manifest(folder)
    if manifest["status"] != "complete":
        raise DataError(f"The dataset in '{folder}' is not finished. Run the same 'synthset create' again.")
    return Dataset(folder, manifest)


def is_dataset(folder: str | Path) -> bool:
    """Whether a Synthset manifest stands in `folder`."""
    return (to_path(folder) / MANIFEST_FILE).is_file()


class _ShardReader:
    """Image i of all shards, with the last few shards kept in memory."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self._shards = list(shards)
        counts = [pq.read_metadata(parquet_source(path)).num_rows for path in shards]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._lock = threading.Lock()  # a shard is read once, however many threads ask
        self._load = lru_cache(maxsize=4)(self._load_shard)

    def __reduce__(self) -> tuple[Any, ...]:  # to another process go the names of the files alone
        return type(self), (self._shards,)

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
        return pq.read_table(parquet_source(path), columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"Expected a file of a Synthset dataset, '{path}' does not read ({error}).") from error


def _read_notes(path: Path) -> dict[str, Any]:
    try:
        return parse_json((pq.read_schema(parquet_source(path)).metadata or {})[_SHARD_KEY])
    except (OSError, KeyError, ValueError) as error:  # pyarrow's own are among them
        reason = str(error).splitlines()[0]
        raise DataError(
            f"Expected a shard of a Synthset dataset, '{path}' does not read ({reason}). "
            "Delete it, and run the same command again to have it drawn anew."
        ) from error
