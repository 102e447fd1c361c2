"""The tables that a diagnosis saves beside its measures, for the report and for others to read."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from PIL import Image

from synthset.dataset.reader import Dataset, open_dataset
from synthset.diagnosis.ambiguity import ClassAmbiguity, judge_by_clip, rank_ambiguity
from synthset.diagnosis.inputs import DiagnosedSet, EmbeddedSet
from synthset.diagnosis.rows import ClassRow, EvidenceRow, Row
from synthset.encoders.clip import Encoder
from synthset.encoders.embed import EmbeddingCache, embed_classes
from synthset.filters import audit
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.measures.points import SetPoints
from synthset.prompts.phrases import nouns_of

if TYPE_CHECKING:
    from torch import Tensor

THUMBNAIL_PX = 96
GALLERY_CLASSES = 40  # more fill a page that nobody reads to its end
GALLERY_IMAGES = 6  # of a class and strategy


def table_of(rows: Sequence[Row | EvidenceRow]) -> pa.Table:
    """Rows as a table, a column a field or measure."""
    return pa.Table.from_pylist([row.columns() for row in rows])


def rank_sets(
    sets: Sequence[tuple[EmbeddedSet, SetPoints]], encoder: Encoder, cache: EmbeddingCache | None
) -> dict[str, list[ClassAmbiguity]]:
    """Classes of each set by how badly CLIP recognises their images, by the prompts that the verdicts go by.

    Where no prompts are known, by the class's name in templates, or the phrase that stands for it.
    """
    rankings = {}
    for item, points in sets:
        names = item.source.images.class_names
        if points.prompts is not None:
            predicted = points.drawn_by_prompts.predicted
        else:
            vectors = embed_classes(nouns_of(names, item.source.phrases), encoder, cache=cache)
            predicted = judge_by_clip(item.images.embeddings, vectors)
        rankings[item.source.name] = rank_ambiguity(predicted, item.images.labels, names)
    return rankings


def ambiguity_table(
    sets: Sequence[EmbeddedSet],
    rankings: Mapping[str, Sequence[ClassAmbiguity]],
    classes: Sequence[ClassRow],
    drafts: Mapping[str, Sequence[ClassAmbiguity]],
) -> pa.Table:
    """The rankings as a table, with the most frequent prompt and the verdict of each class, and whether it is drafted.

    Args:
        drafts: by set, the places of its ranking that are in the draft of phrases.
    """
    verdicts = {(row.set, row.class_index): row.verdict for row in classes}
    rows = []
    for item in sets:
        name, prompts = item.source.name, _common_prompts(item.source)
        judged_by = "prompts" if item.prompts is not None else "class names"
        rows += [
            {"set": name, "prompt": prompts.get(place.class_index), **asdict(place), "rank": rank}
            | {"judged_by": judged_by, "verdict": verdicts[name, place.class_index], "drafted": place in drafts[name]}
            for rank, place in enumerate(rankings[name], start=1)
        ]
    return pa.Table.from_pylist(rows)


def _common_prompts(item: DiagnosedSet) -> dict[int, str]:
    """The most frequent prompt of each class."""
    counts: dict[int, Counter[str]] = {}
    for prompt, label in zip(item.prompts, item.images.labels.tolist(), strict=False):
        counts.setdefault(label, Counter())[prompt] += 1
    return {label: count.most_common(1)[0][0] for label, count in counts.items()}


def projection_table(
    sets: Sequence[DiagnosedSet], features: Sequence[Tensor], num_images: int, seed: int = 0
) -> pa.Table | None:
    """A t-SNE of at most `num_images` of all sets together, in equal parts; None where none are asked for.

    Args:
        features: (n, d) of each set, in one space.
        seed: of the images and of the t-SNE.
    """
    import torch

    from synthset.measures.tsne import project

    generator = np.random.default_rng(seed)
    share = num_images // len(sets)
    if share < 2:
        return None
    rows, vectors = [], []
    for item, vector in zip(sets, features, strict=True):
        drawn = np.sort(generator.permutation(len(item))[:share])
        labels = item.images.labels[drawn]
        for index, label in zip(drawn.tolist(), labels.tolist(), strict=True):
            place = {"set": item.name, "kind": item.kind, "class_index": label}
            rows.append(place | item.images.identity_of(index))
        vectors.append(vector[drawn])
    places = project(torch.cat(vectors), seed)
    for row, (x, y) in zip(rows, places.tolist(), strict=True):
        row |= {"x": x, "y": y}
    return pa.Table.from_pylist(rows)


def prompt_table(sets: Sequence[DiagnosedSet]) -> pa.Table | None:
    """Every distinct prompt with its class, strategy and guidance, and how many images it drew."""
    scales: dict[tuple[Any, ...], list[Any]] = {}  # of the images that a prompt drew
    for item in sets:
        groups, unknown = item.images.groups or ("",) * len(item), (None,) * len(item)
        columns = (item.images.labels.tolist(), groups, item.prompts, item.guidance_scales or unknown)
        for label, strategy, prompt, scale in zip(*columns, strict=True) if item.prompts else ():
            scales.setdefault((item.name, label, strategy, prompt), []).append(scale)
    rows = [
        {
            "set": name,
            "class_index": label,
            "class_name": sets[0].images.class_names[label],
            "strategy": strategy,
            "prompt": prompt,
            "guidance_scale": None if None in values else sum(values) / len(values),
            "images": len(values),
        }
        for (name, label, strategy, prompt), values in scales.items()
    ]
    return pa.Table.from_pylist(rows) if rows else None


def gallery_table(sets: Sequence[DiagnosedSet], classes: Sequence[ClassRow]) -> pa.Table:
    """A few thumbnails of each class, set and strategy; of datasets with filters, rejected ones too.

    Where there are many classes, those whose row of `classes` has a remedy come first.
    """
    troubled = [row.class_index for row in classes if row.remedy]
    first = list(dict.fromkeys([*troubled, *range(len(sets[0].images.class_names))]))[:GALLERY_CLASSES]
    return pa.Table.from_pylist([row for item in sets for row in _gallery(item, frozenset(first))])


def _gallery(item: DiagnosedSet, classes: frozenset[int]) -> Iterator[dict[str, Any]]:
    shown: Counter[tuple[str, int]] = Counter()
    for images, reasons in ((item.images, None), (item.rejected, item.reasons)):
        if images is None:
            continue
        shown.clear()
        for index, label in enumerate(images.labels.tolist()):
            group = images.groups[index] if images.groups else ""
            if label not in classes or shown[group, label] >= GALLERY_IMAGES:
                continue
            shown[group, label] += 1
            yield {
                "set": item.name,
                "strategy": group,
                "class_index": label,
                "class_name": images.class_names[label],
                "image": thumbnail(images, index),
                "kept": reasons is None,
                "reason": reasons[index] if reasons else "",
                **images.identity_of(index),
            }


def thumbnail(images: ImageSet, index: int) -> bytes:
    """Small images as they are, pixel for pixel; larger ones shrunk."""
    data = images.read(index)
    with Image.open(io.BytesIO(data)) as header:
        if header.format == "PNG" and max(header.size) <= THUMBNAIL_PX:
            return data
    image = images.image(index)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BICUBIC)
    return encode(np.asarray(image))


def describe(item: DiagnosedSet) -> dict[str, Any]:
    """How a set was made, as far as it is known, for the report."""
    manifest = item.manifest or {}
    return {
        "name": item.name,
        "kind": item.kind,
        "folder": str(item.folder) if item.folder else None,
        "images": len(item),
        "prompts": len(set(zip(item.prompts, item.images.labels.tolist(), strict=True))) if item.prompts else 0,
        "strategies": list(dict.fromkeys(item.images.groups)),
        "job": manifest.get("job"),
        "accounting": manifest.get("accounting"),
        "kept": len(item),
        "rejected": len(item.reasons),
    }


def filter_table(sets: Sequence[DiagnosedSet]) -> pa.Table | None:
    """The verdict of each filter on every image of the datasets, by dataset; None where none was run."""
    tables = []
    for folder, dataset in _datasets(sets).items():
        verdicts = audit(dataset)
        names = pa.array([folder.resolve().name] * verdicts.num_rows, pa.string())
        tables.append(verdicts.append_column("set", names))
    return pa.concat_tables(tables) if any(table.num_rows for table in tables) else None


def filter_notes(sets: Sequence[DiagnosedSet]) -> list[dict[str, Any]]:
    """The configuration of each filter that was run, with the numbers that it kept and rejected."""
    return [
        {
            "set": folder.resolve().name,
            "method": method,
            "config": dict(verdicts.config),
            "kept": int(verdicts.keep.sum()),
            "rejected": int((~verdicts.keep).sum()),
        }
        for folder, dataset in _datasets(sets).items()
        for method, verdicts in dataset.verdicts().items()
    ]


def _datasets(sets: Sequence[DiagnosedSet]) -> dict[Path, Dataset]:
    """The Synthset datasets behind the sets, each once."""
    folders = dict.fromkeys(item.folder for item in sets if item.folder is not None and item.manifest is not None)
    return {folder: open_dataset(folder) for folder in folders}
