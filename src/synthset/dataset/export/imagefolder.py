"""A folder of image files for each class, as `torchvision.datasets.ImageFolder` reads them.

<class>/<id>.<ext>    the images; folders are called as the classes where all names can be, see class_folders.py
metadata.jsonl        file_name, id, label, prompt, seed, … of each image, as `datasets` reads it
classes.json          the folders with the names of the classes as they were, in label order
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from synthset.core.errors import SynthsetError, setting
from synthset.core.files import write_json
from synthset.dataset.export.class_folders import folders_of
from synthset.dataset.export.config import ExportConfig
from synthset.dataset.export.material import Material, as_line
from synthset.images.folders import EXPORT_MARKER, ExportedClass, ExportRecord

log = logging.getLogger("synthset")

METADATA = "metadata.jsonl"


def write_imagefolder(material: Material, root: Path, config: ExportConfig) -> None:
    """Write an image folder with what each image was drawn from."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / METADATA).open("w", encoding="utf-8") as lines:

        def note(row: int, file_name: str) -> None:
            lines.write(as_line({"file_name": file_name, **material.describe(row)}))

        folders = write_classes(material, root, config, note)
    classes = tuple(ExportedClass(f, n) for f, n in zip(folders, material.images.class_names, strict=True))
    write_json(root / EXPORT_MARKER, asdict(ExportRecord(source=material.images.name, classes=classes)))


def write_classes(
    material: Material, root: Path, config: ExportConfig, note: Callable[[int, str], object] | None = None
) -> list[str]:
    """Write a folder of image files for each class.

    Args:
        note: is told of each image its row and the path of its file within the root.
    Returns:
        The names of the folders, in label order.
    """
    folders = folders_of(material.images.class_names, numbered=config.numbered)
    for folder in folders:
        (root / folder).mkdir(parents=True)

    def write(row: int, stem: str, data: bytes, extension: str) -> None:
        file_name = f"{folders[material.images.labels[row]]}/{stem}.{extension}"
        (root / file_name).write_bytes(data)
        if note is not None:
            note(row, file_name)

    material.for_each(write)
    return folders


def tell_order(material: Material, config: ExportConfig) -> None:
    """Say where tools that number classes by their sorted folders number them otherwise than the dataset."""
    names = material.images.class_names
    folders = folders_of(names, numbered=config.numbered)
    if sorted(folders) != folders:
        first = min(range(len(folders)), key=folders.__getitem__)
        text = (
            f"Tools that number the classes by the names of their folders, such as torchvision, have '{names[first]}' "
            f"as class 0, which is {first} here. Give {setting('numbered', True)} to have the same numbers."
        )
        log.warning("%s", SynthsetError(text))  # which words its option as the reader has it
