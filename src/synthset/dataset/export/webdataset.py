"""Tar files of samples, as `webdataset` reads them one after the other, from a disk or across a network.

    shard-000000.tar    <id>.png (or .jpg, .webp), <id>.cls with the label, <id>.json with all that is known of it

Each shard is a sample of the whole set, so that a training that reads some of them at a time sees all classes. The same
images make the same bytes: members have no times, owners or rights of their own.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from synthset.dataset.export.config import ExportConfig
from synthset.dataset.export.material import Material, as_line

MAX_OPEN = 200  # shards that are written at once, each of them an open file


def write_webdataset(material: Material, root: Path, config: ExportConfig) -> None:
    """Write tar files, each with `shard_size` images from all over the set, but the last, which has the rest."""
    root.mkdir(parents=True, exist_ok=True)
    shard_of = np.empty(len(material), np.int64)
    shard_of[np.random.default_rng(0).permutation(len(material))] = np.arange(len(material)) // config.shard_size
    count = int(shard_of.max(initial=-1)) + 1
    for first in range(0, count, MAX_OPEN):
        numbers = range(first, min(first + MAX_OPEN, count))
        rows = np.flatnonzero(np.isin(shard_of, numbers))
        paths = {number: root / f"shard-{number:06d}.tar" for number in numbers}
        _write_shards(material.select(rows), shard_of[rows], paths)


def _write_shards(material: Material, shard_of: np.ndarray, paths: dict[int, Path]) -> None:
    with ExitStack() as stack:
        shards = {
            number: stack.enter_context(tarfile.open(path, "w", format=tarfile.GNU_FORMAT))
            for number, path in paths.items()
        }

        def write(row: int, stem: str, data: bytes, extension: str) -> None:
            label = str(int(material.images.labels[row])).encode()
            parts = ((extension, data), ("cls", label), ("json", as_line(material.describe(row)).encode()))
            _add(shards[int(shard_of[row])], stem, parts)

        material.for_each(write)


def _add(shard: Any, key: str, parts: Sequence[tuple[str, bytes]]) -> None:
    for extension, data in parts:
        member = tarfile.TarInfo(f"{key}.{extension}")  # of 1970, and nobody's
        member.size = len(data)
        shard.addfile(member, io.BytesIO(data))
        shard.members = []  # of a million files it would keep all that it knows
