"""Galleries: saved thumbnails as data URIs, by class, set and strategy, as many as a page can bear."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthset.report.reading import IDENTITY, Diagnosis, damaged

MAX_CLASSES = 40
MAX_THUMBNAILS = 10  # of a class, set and strategy
MAX_BYTES = 24_000_000  # of all galleries; base64 adds a third
PIXELATED_UP_TO_PX = 48  # images of so few pixels are shown enlarged, each pixel crisp
PNG_HEAD = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Thumbnail:
    """One image, ready for an img element."""

    uri: str
    width_px: int
    height_px: int
    reason: str  # why a filter rejected it; empty where it was kept
    identity: Mapping[str, Any] = field(default_factory=dict)  # what is known of it, by the names of IDENTITY

    @property
    def told(self) -> str:
        """Which image it is, in a line: "id 12 · a photo of a cat · scale 7.5 · seed 64", or its file."""
        return tell_identity(self.identity)

    @property
    def is_small(self) -> bool:
        """Whether it is shown enlarged."""
        return max(self.width_px, self.height_px) <= PIXELATED_UP_TO_PX


@dataclass(frozen=True)
class ClassGallery:
    """All strips of one class: images that belong side by side, under the name of a set, or of set and strategy."""

    class_name: str
    strips: tuple[tuple[str, tuple[Thumbnail, ...]], ...]


@dataclass(frozen=True)
class Galleries:
    """The classes shown, and of how many."""

    classes: tuple[ClassGallery, ...]
    num_classes: int


def build_galleries(diagnosis: Diagnosis, class_order: Sequence[int], *, audits: bool = False) -> Galleries | None:
    """Kept images by class; within a class a strip for each set and strategy, real images first.

    Where it `audits`, kept beside rejected images of the classes and sets that lost any; None if nothing was rejected.
    """
    table = diagnosis.galleries
    if table is None or not table.num_rows:
        return None
    order = {info.name: (not info.is_real, i) for i, info in enumerate(diagnosis.info.sets)}
    strips: dict[int, dict[tuple[str, str, bool], list[int]]] = {}
    plain = table.drop_columns(["image"]).to_pylist()
    rejected = {(row["set"], row["class_index"]) for row in plain if row["kept"] is False}
    for i, row in enumerate(plain):
        was_kept = row["kept"] is not False  # nothing was filtered where it says nothing
        if (row["set"], row["class_index"]) not in rejected if audits else not was_kept:
            continue
        key = (row["set"], "" if audits else row["strategy"] or "", was_kept)
        strips.setdefault(row["class_index"], {}).setdefault(key, []).append(i)

    images, galleries, budget = table.column("image"), [], MAX_BYTES // (2 if audits else 1)
    wanted = [index for index in class_order if index in strips]
    for index in wanted[:MAX_CLASSES]:
        rows = strips[index]
        keys = sorted(rows, key=lambda key: (order.get(key[0], (True, len(order))), key[1], not key[2]))
        first = {key: {i: images[i].as_py() for i in rows[key][:MAX_THUMBNAILS]} for key in keys}
        budget -= sum(len(data) for some in first.values() for data in some.values())
        if budget < 0 and galleries:
            break
        shown = tuple(
            (
                _label(*key, audits=audits),
                tuple(
                    as_thumbnail(data, plain[i]["reason"] or "", diagnosis.folder, plain[i]) for i, data in some.items()
                ),
            )
            for key, some in first.items()
        )
        galleries.append(ClassGallery(diagnosis.info.class_names[index], shown))
    return Galleries(tuple(galleries), len(wanted)) if galleries else None


def _label(set_name: str, strategy: str, was_kept: bool, *, audits: bool) -> str:
    if audits:
        return f"{set_name} · {'kept' if was_kept else 'rejected'}"
    return f"{set_name} · {strategy}" if strategy and strategy != set_name else set_name


def tell_identity(row: Mapping[str, Any]) -> str:
    """Which image a row is about, in a line; empty where nothing is known.

    >>> tell_identity({"id": 12, "prompt": "a cat", "guidance_scale": 7.5, "seed": 64})
    'id 12 · a cat · scale 7.5 · seed 64'
    """
    if row.get("id") is None:
        return row.get("file") or ""
    scale, seed = row.get("guidance_scale"), row.get("seed")
    parts = [f"id {row['id']}", row.get("prompt") or ""]
    parts += [f"scale {scale:.3g}"] if scale is not None else []
    parts += [f"seed {seed}"] if seed is not None else []
    return " · ".join(filter(None, parts))


def as_thumbnail(data: bytes, reason: str, folder: Path, row: Mapping[str, Any] | None = None) -> Thumbnail:
    """A saved PNG of a folder, ready for the page. Raises DataError for anything else.

    Args:
        row: with what is known of the image, by the names of IDENTITY.
    """
    if data[:8] != PNG_HEAD or len(data) < 24:
        raise damaged(folder / "galleries.parquet", "other images than PNG")
    # a PNG begins with its header chunk: width and height at bytes 16 to 24
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    identity = {name: row[name] for name in IDENTITY if row.get(name) is not None} if row else {}
    return Thumbnail("data:image/png;base64," + base64.b64encode(data).decode(), width, height, reason, identity)


def order_classes(rows: Iterable[dict], num_classes: int) -> list[int]:
    """Class indices in the order of the ordered rows of classes.parquet, then those without a row."""
    return list(dict.fromkeys([*(row["class_index"] for row in rows), *range(num_classes)]))
