"""A finished dataset, opened for reading: its rows, its images, and which of them filters keep."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from synthset.core.errors import DataError
from synthset.core.files import refuse_links, to_path
from synthset.core.parquet_files import KeptGroups, group_sizes, read_table
from synthset.dataset.by_hand import as_verdicts, read_by_hand
from synthset.dataset.layout import INITIAL_IMAGES_FILE
from synthset.dataset.manifest import (
    MANIFEST_FILE,
    Accounting,
    Copied,
    Merged,
    Split,
    merged_of,
    read_manifest,
    split_of,
)
from synthset.dataset.parts import not_one, parts_in
from synthset.dataset.records import Request, columns_of, request_of, stored_schema, unknown_columns
from synthset.dataset.relabels import read_relabels, relabelled
from synthset.dataset.verdicts import BY_HAND, Verdicts, in_force, kept_rows, read_verdicts, told
from synthset.dataset.verdicts import FOLDER as VERDICTS_FOLDER
from synthset.images.imageset import IDENTITY, ImageSet
from synthset.prompts.strategies import select_rows

Strategies: TypeAlias = str | Sequence[str] | None
"""Which images of a dataset: those of a strategy or combination, those of several together, or all."""

REDRAW = "Delete it, and run the same 'synthset create' again to have it drawn anew."
_RESTORE = "Restore the file, or create the dataset anew."
_REAL_IMAGES = pa.schema([("sha256", pa.string()), ("bytes", pa.binary())])


@dataclass(frozen=True)
class Dataset:
    """A dataset folder, opened for reading.

    Attributes:
        max_shards: at most so many are read, from all over it; None for all.
    """

    folder: Path
    manifest: Mapping[str, Any]
    max_shards: int | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The k class names, in label order."""
        return tuple(self.manifest["job"]["classes"])

    @property
    def accounting(self) -> Accounting:
        """Requests, and what became of them."""
        return Accounting(**self.manifest["accounting"])

    @property
    def copied(self) -> tuple[Copied, ...]:
        """Images that were not drawn for it, by the dataset that they are from."""
        return tuple(Copied(**part) for part in self.manifest.get("copied", ()))

    @property
    def merged(self) -> Merged | None:
        """The datasets that it was merged from; None where it was drawn."""
        return merged_of(self.manifest)

    @property
    def split(self) -> Split | None:
        """Which part of which dataset it is; None where it is none."""
        return split_of(self.manifest)

    @property
    def phrases(self) -> Mapping[str, str]:
        """Words that stood for classes in the prompts, by class name, where it was not the name."""
        return self.manifest["job"].get("prompts", {}).get("phrases", {})

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the shards."""
        return columns_of(self.manifest)

    @cached_property
    def shards(self) -> list[Path]:
        """The shard files, in order."""
        shards = sorted((self.folder / "data").glob("train-*.parquet"))
        most = len(shards) if self.max_shards is None else self.max_shards
        return [shards[i] for i in np.linspace(0, len(shards) - 1, min(most, len(shards))).astype(int)]

    @cached_property
    def rows(self) -> pa.Table:
        """All columns but the images, with the classes of relabels, see relabels.py. Raises as `drawn_rows`."""
        return relabelled(self.drawn_rows, self.class_names, read_relabels(self.folder), str(self.folder))

    @cached_property
    def drawn_rows(self) -> pa.Table:
        """The same as it was drawn. Raises DataError for a shard that is damaged or lost."""
        schema = stored_schema(name for name in self.columns if name != "image")
        later = unknown_columns(self.columns)
        tables = [read_table(path, schema, REDRAW, others=later) for path in self.shards]
        for path, table in zip(self.shards, tables, strict=True):
            labels, k = table.column("label").to_numpy(), len(self.class_names)
            if len(labels) and not 0 <= labels.min() <= labels.max() < k:
                got = f"{labels.min()}..{labels.max()}"
                raise DataError(f"Expected labels 0..{k - 1} in '{path}', got {got}. {REDRAW}")
        rows = pa.concat_tables(tables) if tables else schema.empty_table()
        is_whole = self.max_shards is None and self.manifest["status"] == "complete"
        if is_whole and rows.num_rows != self.accounting.ok:
            remedy = "Copy it whole, or run the same 'synthset create' again to have lost shards drawn anew."
            if rows.num_rows > self.accounting.ok:
                remedy = "Take away what is there twice."
            raise DataError(
                f"Expected {self.accounting.ok:,} images in '{self.folder}', as its manifest counts, found "
                f"{rows.num_rows:,}. {remedy}"
            )
        return rows

    def requests(self, rows: Sequence[int] | np.ndarray | None = None) -> list[Request]:
        """The requests behind the images: of all of them, or of some `rows`, by their indices."""
        table = self.rows if rows is None else self.rows.take(pa.array(rows, pa.int64()))
        return [request_of(row) for row in table.to_pylist()]

    def strategy_counts(self) -> Counter[str]:
        """How many images each strategy has; a column of one shard is in memory at a time."""
        counts = Counter[str]()
        for path in self.shards:
            column = read_table(path, stored_schema(["strategy"]), REDRAW).column("strategy")
            for count in column.value_counts().to_pylist():
                counts[count["values"]] += count["counts"]
        return counts

    def part(self, max_shards: int) -> Dataset:
        """At most so many of its shards, from all over the dataset: to look at what is too large to be read."""
        return replace(self, max_shards=max_shards)

    @cached_property
    def rows_hash(self) -> str:
        """SHA-256 over the ids and the bytes of all images, which verdicts are about."""
        digest = hashlib.sha256(self.drawn_rows.column("request_id").to_numpy().tobytes())
        digest.update("".join(self.drawn_rows.column("sha256").to_pylist()).encode())
        return digest.hexdigest()

    def verdicts(self) -> dict[str, Verdicts]:
        """Verdicts of filters on the images, and of a person, by method; empty where there are none.

        Those that were given on images as of other classes than they have now do not count, see `in_force`.

        Raises DataError for a damaged file.
        """
        verdicts = {method: in_force(one, self.rows) for method, one in read_verdicts(self.folder).items()}
        if (said := read_by_hand(self.folder)) and (by_hand := as_verdicts(self.drawn_rows, said)):
            verdicts[BY_HAND] = by_hand
        return verdicts

    def kept(self) -> np.ndarray:
        """Which rows every filter keeps, or a person: bool (n,), all of them where none was run.

        Raises:
            DataError: verdicts that are damaged, or not about the images that are there now.
        """
        ids = self.rows.column("request_id").to_numpy()
        verdicts = self.verdicts()
        return kept_rows(verdicts, ids, self.rows_hash if verdicts else "", str(self.folder))

    def initial_images(self) -> dict[str, bytes]:
        """The files of the real images that drawing began at, by the SHA-256 in `rows`; empty without any.

        Raises DataError where they are lost or damaged.
        """
        if "initial_images" not in self.manifest["job"]:
            return {}
        path = self.folder / INITIAL_IMAGES_FILE
        table = read_table(path, _REAL_IMAGES, _RESTORE)
        images = dict(zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True))
        if any(hashlib.sha256(data).hexdigest() != name for name, data in images.items()):
            raise DataError(
                f"Expected the real images that drawing began at in '{path}', got 'bytes' of which 'sha256' is not the "
                f"hash. {_RESTORE}"
            )
        return images

    def strategies(self) -> list[str]:
        """The plain strategies that have images, in drawing order."""
        return list(dict.fromkeys(self.rows.column("strategy").to_pylist()))

    def images(self, strategy: Strategies = None, *, kept: bool = True) -> ImageSet:
        """The images, all of them or those of strategies or combinations.

        Args:
            strategy: name of one, or several names, of which each image counts once; None for all images.
            kept: leave out images that a filter rejected; False takes everything that was drawn.
        Raises:
            UsageError: an unknown strategy, or one that was not drawn.
            DataError: no image, or verdicts that are damaged or not about these images.
        """
        rows = self.select(strategy, kept=kept)
        labels = self.rows.column("label").to_numpy().astype(np.int64)
        names = tuple(self.rows.column("strategy").to_pylist())
        reader = _ShardReader(self.shards)
        name, together = self.folder.resolve().name, reader.together
        known = {"identity": _Identities(self.drawn_rows), "together": together}
        return ImageSet(name, self.class_names, labels, reader.read, names, **known).select(rows)

    def files(self, budget_bytes: int = KeptGroups.budget_bytes) -> Callable[[int], bytes]:
        """Reads the file of the image of a row, with row groups of so many bytes at hand. It raises DataError."""
        return _ShardReader(self.shards, budget_bytes).read

    def select(self, strategy: Strategies = None, *, kept: bool = True) -> np.ndarray:
        """The rows behind `images`, as int64 indices into `rows`. Arguments and errors as there."""
        if not self.rows.num_rows:
            raise DataError(f"Expected images in '{self.folder}', found none. Run 'synthset create' first.")
        keep = self.kept() if kept else np.ones(self.rows.num_rows, bool)
        rows = np.arange(len(keep))
        if wanted := strategies_of(strategy):
            names, turns = self.rows.column("strategy").to_pylist(), self._turns(keep)
            chosen = [select_rows(names, turns, one) for one in wanted]
            rows = np.unique(np.concatenate([np.array(one, np.int64) for one in chosen]))  # in the dataset's order
        if not keep[rows].any():
            raise DataError(
                f"Expected images that are kept in '{self.folder}', all {len(rows):,} are rejected "
                f"{told(self.verdicts())}. Lower the threshold of 'synthset filter', or take all images."
            )
        return rows[keep[rows]]

    def _turns(self, keep: np.ndarray) -> list[int]:
        """The number of each row within its class and strategy, as a combination of equal parts counts them.

        That is its index; where images are left out, relabelled, or drawn in their stead, those that are kept count.
        """
        is_as_drawn = keep.all() and self.rows is self.drawn_rows
        if is_as_drawn and not any((self.manifest["job"].get("refill"), self.merged, self.split)):
            return self.rows.column("index").to_pylist()
        turns, counts = [], dict[tuple[str, int], int]()
        columns = (self.rows.column(name).to_pylist() for name in ("strategy", "label"))
        for cell, kept in zip(zip(*columns, strict=True), keep.tolist(), strict=True):
            counts[cell] = counts.get(cell, 0) + kept
            turns.append(max(counts[cell] - 1, 0))
        return turns


def strategies_of(strategy: Strategies) -> tuple[str, ...]:
    """The names of the strategies that are meant, in their order, each once; none of them for all images.

    >>> strategies_of("base"), strategies_of(["base", "class_prompt", "base"]), strategies_of(None)
    (('base',), ('base', 'class_prompt'), ())
    """
    names = (strategy,) if isinstance(strategy, str) else strategy or ()
    return tuple(dict.fromkeys(names))


def open_dataset(folder: str | Path) -> Dataset:
    """Open a finished dataset.

    Raises:
        DataError: no dataset there, one that is not finished, or one that this version cannot read.
        UsageError: a folder within it is a link, or it holds the parts of a dataset.
    """
    folder = to_path(folder)
    if not (folder / MANIFEST_FILE).exists() and is_dataset(folder):
        raise DataError(
            f"Expected {MANIFEST_FILE} of the dataset in '{folder}', found none. Restore it, or run the same 'synthset "
            "create' again."
        )
    if not (folder / MANIFEST_FILE).exists():
        if parts := parts_in(folder):
            raise not_one(folder, parts)
        raise DataError(f"Expected a Synthset dataset in '{folder}', found none. Run 'synthset create' first.")
    refuse_links(folder, "data", VERDICTS_FOLDER)
    manifest = read_manifest(folder)
    if manifest["status"] != "complete":
        raise DataError(f"The dataset in '{folder}' is not finished. Run the same 'synthset create' again.")
    return Dataset(folder, manifest)


def is_dataset(folder: str | Path) -> bool:
    """Whether a Synthset manifest stands in `folder`, or what only a dataset has that lacks one.

    Without its manifest it is refused where it is opened: read as plain Parquet, its verdicts would not count.
    """
    root = to_path(folder)
    if (root / MANIFEST_FILE).is_file():
        return True
    has_own = (root / "plan.parquet").is_file() or any((root / VERDICTS_FOLDER).glob("*.parquet"))
    return has_own and (root / "data").is_dir()


class _Identities:
    """Which drawing each row is; to another process, which reads pixels alone, none of it goes."""

    def __init__(self, rows: pa.Table | None = None) -> None:
        self._rows = rows

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def __call__(self, row: int) -> dict[str, Any]:
        if self._rows is None:
            return {}
        columns = {"request_id": "id"} | {name: name for name in IDENTITY if name != "id"}
        return {shown: self._rows.column(name)[row].as_py() for name, shown in columns.items()}


class _ShardReader:
    """Image i of all shards, of which row groups are kept in memory.

    Attributes:
        together: images that are read at once, at most.
    """

    def __init__(self, shards: Sequence[Path], budget_bytes: int = KeptGroups.budget_bytes) -> None:
        self._shards = list(shards)
        sizes = [group_sizes(path, REDRAW) for path in shards]
        # of each group its shard, and its first row in that; and of each the first row of all
        self._groups = [
            (shard, start)
            for shard, of_shard in enumerate(sizes)
            for start in np.cumsum([0, *of_shard[:-1]]).tolist()[: len(of_shard)]
        ]
        self._starts = np.cumsum([0, *(size for of_shard in sizes for size in of_shard)])
        self.together = int(np.diff(self._starts).max(initial=1))
        self._kept = KeptGroups(self._load)
        self._kept.budget_bytes = budget_bytes

    def __reduce__(self) -> tuple[Any, ...]:  # to another process go the names of the files alone
        return type(self), (self._shards, self._kept.budget_bytes)

    def read(self, index: int) -> bytes:
        group = int(np.searchsorted(self._starts, index, "right")) - 1
        table, within = self._kept.get(group), index - int(self._starts[group])
        data = table.column("image").chunk(0).field("bytes")[within].as_py()
        if data is None or hashlib.sha256(data).hexdigest() != table.column("sha256")[within].as_py():
            shard, start = self._groups[group]
            raise DataError(
                f"Expected row {start + within} of '{self._shards[shard]}' as it was drawn, it was changed. {REDRAW}"
            )
        return data

    def _load(self, group: int) -> pa.Table:
        shard, start = self._groups[group]
        rows = np.arange(start, start + self._starts[group + 1] - self._starts[group])
        schema = stored_schema(["image", "sha256"])
        return read_table(self._shards[shard], schema, REDRAW, rows=rows).combine_chunks()
