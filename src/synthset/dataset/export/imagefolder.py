"""A folder of image files for each class, as `torchvision.datasets.ImageFolder` reads them.

A raw class name never becomes a path: folders are called by class index and a slug (`003_sea_or_lake`),
so that they sort in label order, and `classes.json` beside them keeps the names as they were.
"""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from synthset.core.errors import DataError
from synthset.core.files import write_json
from synthset.core.progress import track
from synthset.core.whole_folders import whole_folder
from synthset.images.folders import EXPORT_MARKER, ExportedClass, ExportRecord, exported_classes
from synthset.images.imageset import ImageSet


def export_imagefolder(images: ImageSet, output_dir: str | Path, *, overwrite: bool = False) -> Path:
    """Write `<output_dir>/<index>_<slug>/<row>.<ext>`, the bytes of every image unchanged.

    The folder appears whole or not at all. `torchvision.datasets.ImageFolder` opens it with the same
    labels as `images`.

    Args:
        images: every class needs one, since ImageFolder knows classes by folders.
        output_dir: a new or empty folder; its parents are made.
        overwrite: replace an earlier export, if nothing else lies in its folder.
    Returns:
        The folder written.
    Raises:
        UsageError: something that is no export of ours is in the way, or one is and `overwrite` is off.
        DataError: a class without images, an image that is not PNG, JPEG or WebP, or a full disk.
    """
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    if not len(images) or not counts.all():
        missing = [name for name, count in zip(images.class_names, counts, strict=True) if not count]
        raise DataError(
            f"Expected images of every class of '{images.name}', found none of: {', '.join(missing)}. "
            "An image folder cannot hold an empty class: create the missing images first."
        )
    with whole_folder(Path(output_dir), _owned, overwrite=overwrite) as folder:
        _write_classes(images, folder)
    return Path(output_dir)


def class_slug(index: int, name: str, k: int) -> str:
    """A folder name for class `index` of `k`: ASCII letters, digits and `_` only, sorting by index.

    >>> class_slug(3, "sea or lake", 10)
    '003_sea_or_lake'
    >>> class_slug(0, "../x", 2)
    '000_x'
    """
    if not 0 <= index < k:
        raise ValueError(f"Expected a class index in 0..{k - 1}, got {index}.")
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", ascii_name)[:40].strip("_") or "class"
    return f"{index:0{max(3, len(str(k - 1)))}d}_{slug}"


def _owned(folder: Path) -> set[str] | None:
    """What an export wrote into a folder, see `whole_folder`."""
    classes = None
    with suppress(DataError):  # damaged, or never ours
        classes = exported_classes(folder)
    return None if classes is None else {EXPORT_MARKER, *classes}


def _write_classes(images: ImageSet, root: Path) -> None:
    k = len(images.class_names)
    folders = [class_slug(index, name, k) for index, name in enumerate(images.class_names)]
    for folder in folders:
        (root / folder).mkdir()
    width = max(6, len(str(len(images) - 1)))
    with track(len(images), "Exporting") as bar:
        for index, label in enumerate(images.labels):
            data = images.read(index)
            extension = _extension(data)
            if extension is None:
                raise DataError(f"{images.place(index)}: expected PNG, JPEG or WebP, got {data[:8]!r}….")
            (root / folders[label] / f"{index:0{width}d}.{extension}").write_bytes(data)
            bar.advance()
    classes = tuple(ExportedClass(f, n) for f, n in zip(folders, images.class_names, strict=True))
    write_json(root / EXPORT_MARKER, asdict(ExportRecord(source=images.name, classes=classes)))


def _extension(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None
