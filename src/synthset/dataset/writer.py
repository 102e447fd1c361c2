"""A dataset folder that is being filled: atomic shards, and what another job may not change."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthset.core.errors import ConfigChangedError, DataError, UsageError
from synthset.core.files import atomic_write, delete_parts, parquet_source, parse_json, refuse_links
from synthset.dataset.layout import INITIAL_IMAGES_FILE, read_table
from synthset.dataset.manifest import MANIFEST_FILE, Accounting, read_manifest, write_manifest
from synthset.dataset.plan import Plan
from synthset.dataset.records import FAILURE_SCHEMA, _hugging_face_metadata, columns_of
from synthset.dataset.verdicts import FOLDER as VERDICTS_FOLDER
from synthset.dataset.verdicts import delete_verdicts
from synthset.prompts.sentences import SENTENCES_FILE

_SHARD_KEY = b"synthset"


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
        plan = Plan(self.plan.class_names, self.plan.strategies, read_table(path, self.plan.table.column_names))
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


def _read_notes(path: Path) -> dict[str, Any]:
    try:
        return parse_json((pq.read_schema(parquet_source(path)).metadata or {})[_SHARD_KEY])
    except (OSError, KeyError, ValueError) as error:  # pyarrow's own are among them
        reason = str(error).splitlines()[0]
        raise DataError(
            f"Expected a shard of a Synthset dataset, '{path}' does not read ({reason}). "
            "Delete it, and run the same command again to have it drawn anew."
        ) from error
