"""Folders of splits and classes, as Ultralytics' YOLO reads them for classification.

    train/<class>/<id>.<ext>    and val/, test/: the images, in folders of the same classes in each
    dataset.yaml                the splits, and the names of the classes by the numbers that YOLO gives them

By its rules the folder is what `data=` names, each split has a folder for each class, and classes are numbered by the
names of their folders, in order: these are the names that a model gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from synthset.core.files import write_text
from synthset.dataset.export.class_folders import folders_of
from synthset.dataset.export.config import ExportConfig
from synthset.dataset.export.imagefolder import write_classes
from synthset.dataset.export.material import Material

DESCRIPTION = "dataset.yaml"


def write_yolo(material: Material, root: Path, config: ExportConfig) -> None:
    """Write a folder for each class."""
    write_classes(material, root, config)


def describe_yolo(material: Material, folder: Path, splits: Mapping[str, str], config: ExportConfig) -> None:
    """Write the description beside the folders of the splits.

    Args:
        splits: the folder of each split that there is, by the name of the split.
    """
    names = material.images.class_names
    folders = folders_of(names, numbered=config.numbered)
    order = sorted(range(len(names)), key=folders.__getitem__)
    keys = {"train": "train", "validation": "val", "test": "test"}
    description = {
        "path": ".",
        **{keys[split]: place for split, place in splits.items()},
        "nc": len(names),
        "names": {number: names[label] for number, label in enumerate(order)},
    }
    write_text(folder / DESCRIPTION, yaml.safe_dump(description, sort_keys=False, allow_unicode=True))
