"""A dataset folder that is being filled: atomic shards, and the job that every run into it must share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthset.core.errors import DataError, UsageError, first_line, setting
from synthset.core.files import delete_parts, refuse_links
from synthset.core.jobs import differences, flatten, refuse
from synthset.core.parquet_files import read_notes, read_table, write_table
from synthset.dataset.layout import INITIAL_IMAGES_FILE
from synthset.dataset.manifest import MANIFEST_FILE, Accounting, Copied, read_manifest, total_copied, write_manifest
from synthset.dataset.plan import Plan
from synthset.dataset.reader import REDRAW
from synthset.dataset.records import FAILURE_SCHEMA, columns_of, shard_columns, shard_schema, unknown_columns
from synthset.dataset.verdicts import FOLDER as VERDICTS_FOLDER
from synthset.dataset.verdicts import delete_verdicts
from synthset.prompts.sentences.cache import SENTENCES_FILE

# names in a job, and what tells the thing whatever its name
IDENTIFIED = {
    "generation.model": "generation.parts.model_index",
    "generation.lora": "generation.lora_hash",
    "generation.embedding": "generation.embedding_hash",
    "refill.encoder.name": "refill.encoder.fingerprint",
    "sentences.writer": "sentences.fingerprint",
}
# how the entries begin in a job of which every image depends
_OF_EVERY_IMAGE = ("generation.", "images.", "seed:", "negative_prompt:", "shared_noise:")


@dataclass(eq=False)
class DatasetWriter:
    """A dataset folder that is being filled, or filled further, for exactly one job.

    Attributes:
        plan: the requests of this round; further rounds of a job have writers of their own, see `begin_round`.
        first_shard: number of the shard that the plan begins with.
        batch_size: requests drawn together.
        listed_columns: columns of the shards, as the manifest lists them; None where an earlier version began the
            dataset, which listed none.
        recorded_job: the job as whoever began the dataset wrote it.
        generator: entry of the manifest about how it was described, see `create.described`; None for none.
        synonyms: entry of the manifest with other names of some classes; empty for none.
        defaults: entries of a job that an older manifest may lack, by dotted keys or nested.
    """

    folder: Path
    job: Mapping[str, Any]
    plan: Plan
    shard_size: int
    batch_size: int
    first_shard: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.listed_columns: tuple[str, ...] | None = shard_columns(self.plan.table.column_names)
        self.recorded_job = self.job
        self.generator: Mapping[str, Any] | None = None
        self.synonyms: Mapping[str, Sequence[str]] = {}

    def check(self, overwrite: bool = False) -> dict[str, Any] | None:
        """The manifest of the dataset in the folder, None where there is nothing; touches nothing.

        Raises:
            UsageError: the folder holds something that Synthset did not write, or is a file.
            ConfigChangedError: it holds another job; the difference is named.
            DataError: it holds this job, begun by a later version.
        """
        manifest = check_folder(self.folder)
        if manifest and not overwrite:
            texts = differences(manifest["job"], self.job, self.defaults, ["plan_hash"], IDENTIFIED)
            refuse(self.folder, "job", texts, _how_to_reuse(self.folder, texts))
            if unknown := unknown_columns(columns_of(manifest)):
                raise DataError(
                    f"'{self.folder}' was begun by a later version, whose rows have columns that this one does not "
                    f"know: {', '.join(unknown)}. Update synthset."
                )
        return manifest

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
        manifest = self.check(overwrite)
        delete_parts(self.folder)  # there may be some though there is no dataset: of a run killed at its first file
        if manifest and overwrite:
            _delete_own_files(self.folder)
        elif manifest:
            self.recorded_job = manifest["job"]
            # all shards of a dataset have the same columns, whoever wrote the first
            self.listed_columns = columns_of(manifest) if "columns" in manifest else None
            if keep_batch_size:
                self.batch_size = manifest["batch_size"]
            if (self.folder / "plan.parquet").exists():
                return
        # the manifest first: from here on the folder is known as ours; the plan last: with it, all is there
        self._write_manifest("drawing", Accounting(), 0.0)
        if initial_images is not None:
            write_table(self.folder / INITIAL_IMAGES_FILE, initial_images)
        write_table(self.folder / "plan.parquet", self.plan.table)

    def stored_round(self, number: int) -> Plan | None:
        """The plan of a further round that an earlier run began, or None. Raises DataError if it is lost."""
        path = self.round_path(number)
        if not path.exists():
            if self.shard_path(self.first_shard + self.num_shards).exists():
                raise DataError(
                    f"Expected the plan of a further round in '{path}', for there are images of it, found none. "
                    f"Give {setting('overwrite')} to begin anew."
                )
            return None
        table = read_table(path, self.plan.table.schema, f"Give {setting('overwrite')} to begin anew.")
        plan = Plan(self.plan.class_names, self.plan.strategies, table)
        ids = plan.table.column("id").to_pylist()
        if not ids or ids != list(range(self.next_id, self.next_id + len(ids))):
            raise DataError(
                f"Expected the plan of a further round in '{path}', got requests with another 'id'. Give "
                f"{setting('overwrite')} to begin anew."
            )
        return plan

    def begin_round(self, number: int, plan: Plan) -> DatasetWriter:
        """Record the plan of a further round, and give its writer: its shards follow those of this one."""
        # first of all the folder is no longer complete: nobody shall read it in the middle of a round
        manifest = read_manifest(self.folder)
        self._write_manifest("drawing", Accounting(**manifest["accounting"]), manifest["seconds"])
        write_table(self.round_path(number), plan.table)
        return self.continued(plan)

    def continued(self, plan: Plan) -> DatasetWriter:
        """The writer of a further round, whose shards follow those of this one."""
        writer = replace(self, plan=plan, first_shard=self.first_shard + self.num_shards)
        writer.listed_columns, writer.recorded_job = self.listed_columns, self.recorded_job
        writer.generator, writer.synonyms = self.generator, self.synonyms
        return writer

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
        names = {path.name for path in (self.folder / "data").glob("train-*.parquet")}  # one listing, not a look each
        shards = range(self.first_shard, self.first_shard + self.num_shards)
        return [shard for shard in shards if self.shard_path(shard).name not in names]

    def shard_rows(self, shard: int) -> range:
        """Rows of the plan that one shard holds."""
        start = (shard - self.first_shard) * self.shard_size
        return range(start, min(len(self.plan), start + self.shard_size))

    @property
    def num_shards(self) -> int:
        """Shards of this round's plan."""
        return -(-len(self.plan) // self.shard_size)

    def write_shard(
        self,
        shard: int,
        rows: Sequence[dict[str, Any]],
        failures: Sequence[dict[str, Any]],
        retries: int,
        copied: Sequence[Copied] = (),
    ) -> Accounting:
        """Commit one shard: its stored images, of which some were copied, and its failures, in one rename."""
        flagged = sum(failure["status"] == "flagged" for failure in failures)
        accounting = Accounting(len(rows) + len(failures), len(rows), flagged, len(failures) - flagged, retries)
        notes = {"accounting": asdict(accounting), "failures": list(failures)}
        if copied:
            notes["copied"] = [asdict(part) for part in copied]
        columns = self.listed_columns or columns_of({"job": self.job})
        table = pa.Table.from_pylist(list(rows), schema=shard_schema(columns, self.job["classes"]))
        write_table(self.shard_path(shard), table, notes, row_group_size=128)
        return accounting

    def finish(self, seconds: float, refill: Mapping[str, Any] | None = None) -> Accounting:
        """Collect the failures of all shards, up to the last of this round, and close the accounting.

        Args:
            seconds: that this run took; earlier runs of the same job are added.
            refill: outcome of refilling, for the manifest.
        """
        shards = [self.shard_path(shard) for shard in range(self.first_shard + self.num_shards)]
        with ThreadPoolExecutor(max_workers=16) as pool:  # each waits for its file, which may be far away
            notes = list(pool.map(_read_notes, shards))
        total = sum((note.accounting for note in notes), Accounting())
        write_table(self.folder / "failures.parquet", pa.concat_tables(note.table for note in notes))
        seconds += read_manifest(self.folder)["seconds"]
        copied = total_copied(chain.from_iterable(note.copied for note in notes))
        parts = {"copied": [asdict(part) for part in copied], "refill": refill and dict(refill)}
        self._write_manifest("complete", total, seconds, {name: part for name, part in parts.items() if part})
        return total

    def _write_manifest(
        self, status: str, accounting: Accounting, seconds: float, outcome: Mapping[str, Any] | None = None
    ) -> None:
        job, columns = self.recorded_job, self.listed_columns
        notes = {"generator": self.generator and dict(self.generator), "synonyms": dict(self.synonyms)}
        outcome = {**{name: note for name, note in notes.items() if note}, **(outcome or {})}
        write_manifest(self.folder, status, job, self.batch_size, accounting, seconds, outcome, columns)


def check_folder(folder: Path) -> dict[str, Any] | None:
    """The manifest of the dataset in `folder`; None where there is nothing. Raises UsageError for anything else.

    Sentences alone are nothing yet: they are what a run leaves that was stopped while they were written.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise UsageError(
            f"Expected a folder for the dataset, '{folder}' is a file. Choose another {setting('output_dir')}."
        )
    refuse_links(folder, "data", VERDICTS_FOLDER)
    if (folder / MANIFEST_FILE).exists():
        return read_manifest(folder)
    if any(entry.name != SENTENCES_FILE and not entry.name.startswith(".") for entry in folder.iterdir()):
        raise UsageError(
            f"'{folder}' holds files that are no Synthset dataset; nothing was changed. Choose another "
            f"{setting('output_dir')}."
        )
    return None


def check_part_of_job(
    folder: Path, part: Mapping[str, Any], defaults: Mapping[str, Any], unknown: Collection[str] = ()
) -> None:
    """Refuse another job early, by the entries that are known so far.

    Args:
        folder: of the dataset, if there is one.
        part: some of the entries that the job will have.
        defaults: entries that an older manifest may lack.
        unknown: keys within them that are not known yet, such as "sentences.sha256".
    Raises:
        UsageError: the folder holds something else than a dataset.
        ConfigChangedError: it holds another job; the difference is named.
    """
    if manifest := check_folder(folder):
        sides = ({key: value for key, value in manifest["job"].items() if key in part}, part)
        recorded, wanted = ({k: v for k, v in flatten(side).items() if k not in unknown} for side in sides)
        texts = differences(recorded, wanted, defaults, identified=IDENTIFIED)
        refuse(folder, "job", texts, _how_to_reuse(folder, texts))


def _how_to_reuse(folder: Path, texts: Collection[str]) -> str:
    """What to do with the images of another job, of which it differs so; empty where none can be one of this job."""
    if any(text.startswith(_OF_EVERY_IMAGE) for text in texts):
        return ""
    return f"Or draw into another folder with {setting('reuse', folder)}, which copies the images that are the same."


def _delete_own_files(folder: Path) -> None:
    """Delete the files of a dataset, and nothing else that someone may have put there.

    Sentences stay: they are found by all that they depend on, and can have cost hours. So do verdicts by hand and
    relabels, which are about images by their hashes.
    """
    delete_parts(folder)
    delete_verdicts(folder)  # first: they must never be read with other images
    files = ("preview.png", "README.md", "failures.parquet", "plan.parquet", INITIAL_IMAGES_FILE)
    for pattern in (*files, "plan-refill-*.parquet", "data/train-*.parquet"):
        for path in folder.glob(pattern):
            path.unlink()


@dataclass(frozen=True)
class _ShardNotes:
    accounting: Accounting
    failures: tuple[Mapping[str, Any], ...]
    copied: tuple[Copied, ...] = ()

    @cached_property
    def table(self) -> pa.Table:
        """The failures, as they stand in a file."""
        return pa.Table.from_pylist(list(self.failures), schema=FAILURE_SCHEMA)

    def __post_init__(self) -> None:
        try:
            _ = self.table
        except (OverflowError, TypeError, pa.ArrowException) as error:
            raise ValueError(f"'failures' of another kind ({first_line(error)})") from error


def _read_notes(path: Path) -> _ShardNotes:
    return read_notes(_ShardNotes, path, REDRAW)
