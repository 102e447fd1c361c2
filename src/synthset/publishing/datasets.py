"""What of a dataset is published: images that are kept, all that each was drawn from, the card and the manifest.

Never real images, nor files that Synthset does not know. Where filters, or a person, reject images, or relabels say
what they show, shards are written anew without the first and with the second: who loads them need not know of either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthset.core.errors import DataError
from synthset.core.files import read_json, write_json, write_text
from synthset.curation.split import MARKER as SPLIT_MARKER
from synthset.curation.split import split_files
from synthset.curation.writing import Made, Taken, by_hand_of, local_dataset, read_failures, write_dataset
from synthset.dataset.card import card_text, jobs_of
from synthset.dataset.layout import INITIAL_IMAGES_FILE
from synthset.dataset.manifest import MANIFEST_FILE, Accounting
from synthset.dataset.reader import Dataset
from synthset.dataset.records import unknown_columns
from synthset.dataset.verdicts import BY_HAND, FOLDER, read_verdicts, write_verdicts
from synthset.publishing.cards import published_card, with_configs
from synthset.publishing.contents import CARD, Publication, PublishedFile, listed, others_in
from synthset.publishing.licences import LookUp, licence_of
from synthset.publishing.privacy import json_without_paths, without_paths

_FILES = (
    *("data/train-*.parquet", "plan.parquet", "plan-refill-*.parquet", "failures.parquet"),
    *("sentences.jsonl", "preview.png"),
)


def publish_dataset(
    folder: Path, stage: Path, *, include_rejected: bool = False, look_up: LookUp | None = None, prefix: str = ""
) -> Publication:
    """What of a dataset is published.

    Args:
        folder: of a finished dataset.
        stage: an empty folder for files that are published otherwise than they lie there.
        include_rejected: publish images that filters reject too, with the verdicts.
        look_up: asks the hub for the card of a model.
        prefix: of paths in the repository.
    Raises:
        DataError: a dataset that is not finished, is damaged, or has lost its card.
    """
    dataset = local_dataset(folder)
    source, rejected = _as_published(dataset, stage, include_rejected)
    licences = tuple(licence_of(model, look_up) for model in dict.fromkeys(map(_model, jobs_of(dataset))))
    files = listed(source.folder, _FILES, prefix)
    if include_rejected:
        files += _verdicts(source, stage, prefix)
    remarks = []
    if rejected:
        remarks.append(f"{rejected:,} images that filters or a person rejected were left out.")
    if (folder / INITIAL_IMAGES_FILE).exists():
        remarks.append(f"The real images of `{INITIAL_IMAGES_FILE}` are not part of what was published.")
    card, manifest = stage / CARD, stage / MANIFEST_FILE
    text = with_configs(_read_card(source.folder), card_text(source))
    write_text(card, published_card(text, licences, remarks))
    write_json(manifest, json_without_paths(read_json(source.folder / MANIFEST_FILE)))
    files += [PublishedFile(f"{prefix}{path.name}", path) for path in (card, manifest)]
    left_out = others_in(folder, [file.path.removeprefix(prefix) for file in files])
    return Publication("dataset", tuple(files), licences, rejected, tuple(f"{prefix}{name}" for name in left_out))


def is_split(folder: Path) -> bool:
    """Whether a folder holds the parts of a split dataset."""
    return split_files(folder) is not None


def publish_split(
    folder: Path, stage: Path, *, include_rejected: bool = False, look_up: LookUp | None = None
) -> Publication:
    """What of the parts of a split dataset is published: of each as of a dataset. Arguments and errors as there."""
    entries = split_files(folder) or set()
    names = [name for name in sorted(entries) if (folder / name / MANIFEST_FILE).is_file()]
    parts = []
    for name in names:
        (stage / name).mkdir()
        how = {"include_rejected": include_rejected, "look_up": look_up, "prefix": f"{name}/"}
        parts.append(publish_dataset(folder / name, stage / name, **how))
    licences = tuple(dict.fromkeys(licence for part in parts for licence in part.licences))
    write_text(stage / CARD, published_card(_read_card(folder), licences))
    write_json(stage / SPLIT_MARKER, json_without_paths(read_json(folder / SPLIT_MARKER)))
    files = [file for part in parts for file in part.files]
    files += [PublishedFile(name, stage / name) for name in (CARD, SPLIT_MARKER)]
    left_out = [name for part in parts for name in part.left_out] + others_in(folder, [file.path for file in files])
    return Publication("dataset", tuple(files), licences, sum(part.rejected for part in parts), tuple(left_out))


def _as_published(dataset: Dataset, stage: Path, include_rejected: bool) -> tuple[Dataset, int]:
    """The dataset whose shards are published, and how many images are rejected and left out."""
    kept = dataset.kept()
    rejected = 0 if include_rejected else int((~kept).sum())
    if not rejected and dataset.rows is dataset.drawn_rows:
        return dataset, 0
    if rejected == len(kept):
        raise DataError(
            f"Expected images that the filters keep in '{dataset.folder}', all {len(kept):,} are rejected "
            f"({', '.join(dataset.verdicts())}). Lower the threshold of 'synthset filter'."
        )
    if later := unknown_columns(dataset.columns):
        raise DataError(f"'{dataset.folder}' has columns of a later version: {', '.join(later)}. Update synthset.")
    rows = (kept | include_rejected).nonzero()[0]
    table, manifest, total = dataset.rows.take(pa.array(rows)), dataset.manifest, dataset.accounting
    verdicts = [v for method, v in dataset.verdicts().items() if method != BY_HAND] if include_rejected else []
    made = Made(
        dataset.folder.resolve().name,
        {**manifest["job"], "made_by": "push"},
        dataset.columns,
        manifest["batch_size"],
        manifest["seconds"],
        {key: manifest[key] for key in ("merged", "split") if key in manifest},
        read_failures(dataset),
        Accounting(len(rows) + total.flagged + total.failed, len(rows), total.flagged, total.failed, total.retries),
        verdicts,
        by_hand_of(dataset, table.column("sha256").to_pylist()) if include_rejected else {},
    )
    folder = stage / "images"
    folder.mkdir()
    return write_dataset(folder, [Taken(dataset, rows, table)], made), rejected


def _verdicts(dataset: Dataset, stage: Path, prefix: str) -> list[PublishedFile]:
    """The files of verdicts, without the paths of real images that reasons name."""
    for one in read_verdicts(dataset.folder).values():
        reasons = [text and without_paths(text) for text in one.table.column("reason").to_pylist()]
        table = one.table.set_column(
            one.table.schema.get_field_index("reason"), "reason", pa.array(reasons, pa.string())
        )
        write_verdicts(stage, replace(one, table=table, config=json_without_paths(one.config)))
    by_hand = listed(dataset.folder, [f"{FOLDER}/{BY_HAND}.parquet"], prefix)
    return listed(stage, [f"{FOLDER}/*.parquet"], prefix) + by_hand


def _read_card(folder: Path) -> str:
    try:
        return (folder / CARD).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"Expected the card of '{folder}' in its {CARD}, found none that reads. Restore it.") from error


def _model(job: Mapping[str, Any]) -> str:
    return str(job["generation"].get("model"))
