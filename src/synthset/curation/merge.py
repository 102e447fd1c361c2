"""Merge: several datasets to one, in which each image says where it is from.

classes    matched by name; other lists of classes are refused, unless their union is asked for
images     bytes as they are; of those that are one file the first stays, and the others are counted
verdicts   carried: an image that any copy of it was rejected by a filter is rejected by that filter
relabels   obeyed: the class that an image has now is that of its row
jobs       kept whole, of each dataset, in the manifest; where they agree they are the new one's
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthset.core.errors import DataError, UsageError, setting, some
from synthset.core.locks import reading
from synthset.core.options import with_options
from synthset.core.whole_folders import whole_folder
from synthset.create.real_guidance import TABLE_SCHEMA
from synthset.curation.writing import (
    FILES,
    Made,
    Taken,
    by_hand_of,
    check_apart,
    local_dataset,
    read_failures,
    read_real_images,
    write_dataset,
)
from synthset.dataset.manifest import MANIFEST_FILE, Accounting, Merged, Source, read_manifest
from synthset.dataset.noise import noise_of
from synthset.dataset.reader import Dataset, is_dataset
from synthset.dataset.records import default_of, merged_columns, stored_schema, unknown_columns
from synthset.dataset.verdicts import BY_HAND, JUDGED_AS, SCHEMA, Verdicts
from synthset.prompts.classes import check_classes

log = logging.getLogger("synthset")

NOT_JUDGED = "not judged by this filter before the merge"


@dataclass(frozen=True)
class MergeConfig:
    """What may differ between datasets that are merged."""

    union: bool = False
    """Union of the classes, where the datasets do not all have the same ones; without it, other classes are refused."""
    with_real: bool = False
    """Consent to merge datasets that real images helped to draw with such that no real image did."""


@dataclass(frozen=True)
class MergeResult:
    """A merged dataset.

    Attributes:
        sources: name of each dataset -> how many of its images there are now.
        class_names: in label order.
        images, kept: that there are, and that every filter keeps.
        duplicates: images that were left out, as an earlier one is the same file.
        other_class: of those, how many had another class than the one that stayed.
        generators: names of the models that drew the images.
    """

    folder: Path
    sources: Mapping[str, int]
    class_names: tuple[str, ...]
    images: int
    kept: int
    duplicates: int
    other_class: int
    generators: tuple[str, ...]


def merge(
    datasets: Sequence[str | Path],
    output_dir: str | Path,
    config: MergeConfig | None = None,
    *,
    overwrite: bool = False,
    **options: Any,
) -> MergeResult:
    """Merge datasets into a new one; they stay as they are. The folder appears whole, or not at all.

    Args:
        datasets: folders of two or more finished datasets, in the order in which their images stand then.
        output_dir: a new or empty folder.
        config: what may differ; `options` are its fields, e.g. `union=True`.
        overwrite: replace an earlier merge there.
    Raises:
        UsageError: fewer than two datasets, one twice, other classes, real images behind some of them alone, or
            something else in the folder.
        DataError: a dataset that is damaged, or verdicts that do not fit its images.
    Example:
        >>> synthset.merge(["digits-a", "digits-b"], "digits")  # doctest: +SKIP
    """
    config, output = with_options(config or MergeConfig(), options), Path(output_dir)
    _check_folders([Path(folder) for folder in datasets], output)
    with reading(*datasets):
        opened = [local_dataset(folder) for folder in datasets]
        parts = _line_up(opened, _class_names(opened, config))
        _check_real(opened, config)
        with whole_folder(output, merged_files, overwrite=overwrite) as folder:
            stays, copies = _first_of_each(parts)
            made = _describe(parts, stays, output.resolve().name)
            taken = [
                Taken(part.dataset, mine, part.table.take(pa.array(mine)))
                for part, mine in zip(parts, _by_part(parts, stays), strict=True)
            ]
            dataset = write_dataset(folder, taken, made)
            kept = int(dataset.kept().sum())
    other_class = _count_other_class(parts, stays, copies)
    if other_class:
        log.warning(
            "%s images are one file under two classes: the class of the dataset that was named first stands.",
            f"{other_class:,}",
        )
    merged = dataset.merged
    assert merged is not None  # as it was written
    counts = {source.name: source.images for source in merged.sources}
    generators = dict.fromkeys(str(source.job["generation"].get("model")) for source in merged.sources)
    return MergeResult(
        output, counts, dataset.class_names, int(stays.sum()), kept, len(copies), other_class, tuple(generators)
    )


def merged_files(folder: Path) -> set[str] | None:
    """The files of a merged dataset; None where the folder holds none."""
    try:
        return set(FILES) if is_dataset(folder) and read_manifest(folder).get("merged") else None
    except DataError:
        return None


# ---- what may be merged -----------------------------------------------------------------------------------


def _check_folders(folders: Sequence[Path], output: Path) -> None:
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        named = some([str(folder) for folder in folders]) or "none"
        raise UsageError(f"Expected two or more datasets to merge, each once, got {named}. Name others.")
    for folder in folders:
        if folder.exists() and not is_dataset(folder):
            raise UsageError(
                f"Expected Synthset datasets to merge, '{folder}' is none (no {MANIFEST_FILE}). Real images, or those "
                "of another tool, are not mixed with them."
            )
    check_apart(output, folders)


def _class_names(datasets: Sequence[Dataset], config: MergeConfig) -> tuple[str, ...]:
    """The classes of the merged dataset: those of the first, and behind them what others have beside."""
    first, *others = datasets
    for other in others:
        lacking = [name for name in first.class_names if name not in other.class_names]
        further = [name for name in other.class_names if name not in first.class_names]
        if (lacking or further) and not config.union:
            texts = [f"'{other.folder}' lacks {some(lacking)}"] * bool(lacking)
            texts += [f"'{first.folder}' lacks {some(further)}"] * bool(further)
            raise UsageError(
                f"Expected datasets of the same classes, got others: {'; '.join(texts)}. Give {setting('union', True)} "
                "to have the classes of all."
            )
    names = tuple(dict.fromkeys(name for dataset in datasets for name in dataset.class_names))
    try:
        return check_classes(names)
    except UsageError as error:
        raise UsageError(f"Expected classes that go together, got others: {error}") from error


def _check_real(datasets: Sequence[Dataset], config: MergeConfig) -> None:
    guided = [str(dataset.folder) for dataset in datasets if "initial_images" in dataset.manifest["job"]]
    if guided and len(guided) < len(datasets) and not config.with_real:
        raise UsageError(
            f"Expected datasets that no real image helped to draw, or such alone, got both: {some(guided)} began at "
            f"real images. Give {setting('with_real', True)} to merge them all the same; the card will say so."
        )


# ---- the images -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Part:
    """A dataset that is merged, and its rows as they are to be: all columns but the image."""

    dataset: Dataset
    first_id: int
    sources: tuple[Source, ...]
    table: pa.Table
    class_names: tuple[str, ...]
    columns: tuple[str, ...]

    def number(self) -> np.ndarray:
        """Ids of its rows in the merged dataset."""
        return self.table.column("request_id").to_numpy()


def _line_up(datasets: Sequence[Dataset], class_names: tuple[str, ...]) -> list[_Part]:
    for dataset in datasets:
        if later := unknown_columns(dataset.columns):
            raise DataError(f"'{dataset.folder}' has columns of a later version: {', '.join(later)}. Update synthset.")
        dataset.kept()  # raises for verdicts that do not fit
    columns = merged_columns([dataset.columns for dataset in datasets])
    parts, known, first_id = list[_Part](), list[Source](), 0
    for dataset in datasets:
        names, sources = _name_sources(dataset, known)
        known += [source for source in sources if source.name not in {old.name for old in known}]
        table = _as_merged(dataset, names, class_names, columns, first_id)
        parts.append(_Part(dataset, first_id, sources, table, class_names, columns))
        ids = [*dataset.rows.column("request_id").to_pylist(), *read_failures(dataset).column("request_id").to_pylist()]
        first_id += max(ids, default=-1) + 1
    if not any(part.table.num_rows for part in parts):
        raise DataError(f"Expected images to merge, found none in {some([str(one.folder) for one in datasets])}.")
    return parts


def _name_sources(dataset: Dataset, known: Sequence[Source]) -> tuple[dict[str, str], tuple[Source, ...]]:
    """The datasets behind one, by names that no other has; and these, by the names that its rows have."""
    manifest = dataset.manifest
    own = dataset.split.dataset if dataset.split else dataset.folder.resolve().name
    plain = Source(own, manifest["job"], 0, dataset.accounting, manifest["libraries"], manifest["seconds"])
    names, sources = dict[str, str](), list[Source]()
    for source in dataset.merged.sources if dataset.merged else (plain,):
        taken = {old.name: _drawing(old.job) for old in (*known, *sources)}
        name, number = source.name, 1
        while name in taken and taken[name] != _drawing(source.job):
            number += 1
            name = f"{source.name} ({number})"
        names[source.name] = name
        sources.append(replace(source, name=name))
    return names, tuple(sources)


def _drawing(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job but for how it became a part: two parts of one dataset have it in common."""
    return {key: value for key, value in job.items() if key != "made_by"}


def _as_merged(
    dataset: Dataset, names: Mapping[str, str], class_names: Sequence[str], columns: Sequence[str], first_id: int
) -> pa.Table:
    """The rows with new ids and labels, with where they are from, and with what their shards lack."""
    rows, n = dataset.rows, dataset.rows.num_rows
    labels = np.array([class_names.index(name) for name in dataset.class_names])[rows.column("label").to_numpy()]
    own = next(iter(names.values()))
    values: dict[str, Any] = {
        "label": labels,
        "request_id": rows.column("request_id").to_numpy() + first_id,
        "source": [own] * n,
        "source_id": rows.column("request_id"),
    }
    if dataset.merged:
        values["source"] = [names[name] for name in rows.column("source").to_pylist()]
        values["source_id"] = rows.column("source_id")
    for name in columns:
        if name not in values and name != "image":
            has_it = name in rows.column_names
            values[name] = rows.column(name) if has_it else [default_of(name)] * n
    schema = stored_schema([name for name in columns if name != "image"])
    arrays = [
        value if isinstance(value, pa.ChunkedArray) else pa.array(value, schema.field(name).type)
        for name, value in ((name, values[name]) for name in schema.names)
    ]
    return pa.table(arrays, schema.names).cast(schema)


def _first_of_each(parts: Sequence[_Part]) -> tuple[np.ndarray, dict[int, int]]:
    """Which rows of all stay, bool (n,); and of each other one the row that is the same file."""
    hashes = [name for part in parts for name in part.table.column("sha256").to_pylist()]
    first: dict[str, int] = {}
    copies = {row: first[name] for row, name in enumerate(hashes) if first.setdefault(name, row) != row}
    stays = np.ones(len(hashes), bool)
    stays[list(copies)] = False
    return stays, copies


def _by_part(parts: Sequence[_Part], mask: np.ndarray) -> list[np.ndarray]:
    """The rows of each dataset where a mask of all is true."""
    stops = np.cumsum([0, *(part.table.num_rows for part in parts)])
    return [np.flatnonzero(mask[start:stop]) for start, stop in pairwise(stops.tolist())]


def _count_other_class(parts: Sequence[_Part], stays: np.ndarray, copies: Mapping[int, int]) -> int:
    labels = np.concatenate([part.table.column("label").to_numpy() for part in parts])
    return sum(int(labels[row] != labels[first]) for row, first in copies.items())


# ---- what goes beside them --------------------------------------------------------------------------------


def _describe(parts: Sequence[_Part], stays: np.ndarray, name: str) -> Made:
    datasets = [part.dataset for part in parts]
    hashes = [name for part in parts for name in part.table.column("sha256").to_pylist()]
    by_hand: dict[str, bool] = {}
    for dataset, part in zip(datasets, parts, strict=True):
        for image, keep in by_hand_of(dataset, part.table.column("sha256").to_pylist()).items():
            by_hand[image] = by_hand.get(image, True) and keep
    total = sum((dataset.accounting for dataset in datasets), Accounting())
    dropped = int((~stays).sum())
    relabelled = sum(
        int((dataset.rows.column("label").to_numpy() != dataset.drawn_rows.column("label").to_numpy()).sum())
        for dataset in datasets
    )
    merged = Merged(_sources(parts, stays), dropped, relabelled)
    return Made(
        name,
        _job(datasets, parts[0].class_names),
        parts[0].columns,
        max(dataset.manifest["batch_size"] for dataset in datasets),
        sum(dataset.manifest["seconds"] for dataset in datasets),
        {"merged": asdict(merged)},
        _failures(parts),
        replace(total, requested=total.requested - dropped, ok=int(stays.sum())),
        _verdicts(parts, hashes, stays),
        by_hand,
        _real_images(parts),
    )


def _sources(parts: Sequence[_Part], stays: np.ndarray) -> tuple[Source, ...]:
    sources: dict[str, Source] = {}
    for part, rows in zip(parts, _by_part(parts, stays), strict=True):
        names = part.table.column("source").take(pa.array(rows)).to_pylist()
        for source in part.sources:
            before = sources.get(source.name)
            count = names.count(source.name) + (before.images if before else 0)
            sources[source.name] = replace(before or source, images=count)
    return tuple(sources.values())


def _job(datasets: Sequence[Dataset], class_names: tuple[str, ...]) -> dict[str, Any]:
    """What all jobs agree on; and of the rest, what is true of all together."""
    jobs = [dict(dataset.manifest["job"]) for dataset in datasets]
    job = _common(jobs)
    for key in ("refill", "sentences", "initial_images", "requests", "plan_hash"):
        job.pop(key, None)  # they are about a run
    noises = {noise_of(dataset) for dataset in datasets}
    if len(noises) > 1 or None in noises:
        job.pop("shared_noise", None)
    models = dict.fromkeys(str(one["generation"].get("model")) for one in jobs)
    job["generation"] = {**job["generation"], "model": " + ".join(models)}
    guidance: dict[str, dict[str, None]] = {}
    for one in jobs:
        for strategy, scale in one["strategies"].items():
            guidance.setdefault(strategy, {})[str(scale)] = None
    job["strategies"] = {strategy: "; ".join(scales) for strategy, scales in guidance.items()}
    job["prompts"] = {**job["prompts"], "phrases": _phrases(datasets)}
    guided = [one["initial_images"] for one in jobs if "initial_images" in one]
    if guided:
        job["initial_images"] = {"images": sum(one.get("images", 0) for one in guided)}
    return {**job, "classes": list(class_names), "made_by": "merge"}


def _common(jobs: Sequence[Any]) -> Any:
    """The entries on which all agree; where they do not, a list of what they have, which is like no other job's."""
    first = jobs[0]
    if all(isinstance(job, Mapping) for job in jobs):
        keys = dict.fromkeys(key for job in jobs for key in job)
        return {key: _common([job.get(key) for job in jobs]) for key in keys}
    return first if all(job == first for job in jobs) else [job for i, job in enumerate(jobs) if job not in jobs[:i]]


def _phrases(datasets: Sequence[Dataset]) -> dict[str, str]:
    """Phrases of all, by class; where they differ the first stands."""
    phrases: dict[str, str] = {}
    differing = set[str]()
    for dataset in datasets:
        for name in dataset.class_names:
            phrase = dataset.phrases.get(name, name)
            if phrases.setdefault(name, phrase) != phrase:
                differing.add(name)
    if differing:
        log.warning(
            "The classes %s were drawn by other phrases in other datasets: filters and diagnosis will read those of "
            "the dataset that was named first.",
            some(sorted(differing)),
        )
    return {name: phrase for name, phrase in phrases.items() if phrase != name}


def _failures(parts: Sequence[_Part]) -> pa.Table:
    tables = []
    for part in parts:
        table = read_failures(part.dataset)
        place = table.schema.get_field_index("request_id")
        ids = pa.array(table.column("request_id").to_numpy() + part.first_id, pa.int64())
        tables.append(table.set_column(place, table.schema.field(place), ids))
    return pa.concat_tables(tables)


def _real_images(parts: Sequence[_Part]) -> pa.Table | None:
    """The real images behind all of them, each once, with their labels as they are now."""
    rows: dict[str, dict[str, Any]] = {}
    for part in parts:
        table = read_real_images(part.dataset)
        for row in table.to_pylist() if table is not None else ():
            rows.setdefault(row["sha256"], {**row, "label": part.class_names.index(row["class_name"])})
    if not rows:
        return None
    return pa.Table.from_pylist(list(rows.values()), schema=TABLE_SCHEMA)


def _verdicts(parts: Sequence[_Part], hashes: Sequence[str], stays: np.ndarray) -> list[Verdicts]:
    """Verdicts of every filter that any dataset has, on the images that stay."""
    found = [part.dataset.verdicts() for part in parts]
    methods = sorted({method for verdicts in found for method in verdicts if method != BY_HAND})
    ids = np.concatenate([part.number() for part in parts])
    merged = list[Verdicts]()
    for method in methods:
        merged.append(_merge_verdicts(method, parts, [one.get(method) for one in found], hashes, ids[stays]))
    return merged


def _merge_verdicts(
    method: str,
    parts: Sequence[_Part],
    found: Sequence[Verdicts | None],
    hashes: Sequence[str],
    ids: np.ndarray,
) -> Verdicts:
    said: dict[str, tuple[bool, str | None, float | None, str | None]] = {}  # of each image, by its hash
    start = 0
    for part, verdicts in zip(parts, found, strict=True):
        n = part.table.num_rows
        if verdicts is not None:
            of_id = {row["request_id"]: row for row in verdicts.table.to_pylist()}
            rows = part.dataset.rows.column("request_id").to_pylist()
            for image, number in zip(hashes[start : start + n], rows, strict=True):
                row, before = of_id[number], said.get(image)
                if before is None or (before[0] and not row["keep"]):
                    said[image] = (row["keep"], row["reason"], row["score"], row.get(JUDGED_AS.name))
        start += n
    images = dict.fromkeys(hashes)  # those that stay, in their order
    rows = [said.get(image, (True, NOT_JUDGED, None, None)) for image in images]
    schema = SCHEMA.append(JUDGED_AS)
    columns = [pa.array(ids), *([row[place] for row in rows] for place in range(4))]
    table = pa.table([pa.array(one, kind) for one, kind in zip(columns, schema.types, strict=True)], schema)
    configs = [one and dict(one.config) for one in found]
    names = _own_names([part.dataset.folder.resolve().name for part in parts])
    same = configs[0]
    apart = {"merged": dict(zip(names, configs, strict=True))}
    config = same if same is not None and all(one == same for one in configs) else apart
    return Verdicts(method, config, table)


def _own_names(names: Sequence[str]) -> list[str]:
    """The names, each with a number behind it where an earlier one is the same, as of folders in two places."""
    own = list[str]()
    for name in names:
        number, free = 1, name
        while free in own:
            number += 1
            free = f"{name} ({number})"
        own.append(free)
    return own
