"""Image folders: one folder a class, as they are unpacked, with splits above the classes or none.

Folders are read when they are first looked at. Reading follows no link out of the folder, and leaves out what
archives, file systems and editors leave behind.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from synthset.core.errors import DataError, UsageError, first_line
from synthset.core.files import CHECKSUM, parse_json
from synthset.core.json_records import as_record
from synthset.core.names import plain_name, shown
from synthset.images.archives import exists, list_folder, read_file
from synthset.images.imageset import ImageSet
from synthset.images.splits import is_split_word, split_of

logger = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
EXPORT_MARKER = "classes.json"  # beside the folders of an export; keeps the class names as they were
LEFT_BEHIND = (  # by archives, file systems and the machines that share them, in lower case
    *("__macosx", "__pycache__", "@eadir", "@tmp", "#recycle", "@recycle", "#snapshot", "lost+found", "$recycle.bin"),
    "system volume information",
)


@dataclass(frozen=True)
class ExportedClass:
    """A class of an export: its folder, and its name as it was."""

    folder: str
    name: str


@dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """What an export says of itself, in EXPORT_MARKER; `classes` in label order, `source` is what was exported."""

    layout: Literal["synthset-imagefolder"] = "synthset-imagefolder"
    version: Literal[1] = 1
    source: str = ""
    classes: tuple[ExportedClass, ...]

    def __post_init__(self) -> None:
        if len({entry.folder for entry in self.classes}) < len(self.classes):
            raise ValueError("a folder stands twice")


def exported_classes(folder: Path) -> dict[str, str] | None:
    """Class folder -> class name, in label order, if `folder` is an export of ours; else None.

    Raises:
        DataError: the names are damaged, and without them the folders' own would pass for names.
    """
    path, remedy = folder / EXPORT_MARKER, "Restore it; or delete it, and the folders' names are those of the classes."
    if not exists(path):
        return None
    try:
        value = parse_json(read_file(path))
    except (DataError, ValueError) as error:
        raise DataError(
            f"Expected JSON in '{shown(path)}', it does not read ({first_line(error)}). {remedy}"
        ) from error
    if not isinstance(value, dict) or (value.get("layout") != ExportRecord.layout and CHECKSUM not in value):
        return None  # somebody else's file of that name
    record = as_record(ExportRecord, value, f"'{shown(path)}'", remedy)
    return {entry.folder: entry.name for entry in record.classes}


@dataclass(frozen=True)
class Folder:
    """A folder, or an archive, and what is in it, but for hidden entries.

    Attributes:
        path: where it is.
        root: no link leads out of it, resolved.
    """

    path: Path
    root: Path

    @staticmethod
    def top(path: Path) -> Folder:
        """A folder that was named; it may be a link itself."""
        return Folder(path.resolve() if path.is_symlink() else path, path.resolve())

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.path.name

    @cached_property
    def _entries(self) -> tuple[list[Folder], list[Path], Counter[str]]:
        folders: list[Folder] = []
        files: list[Path] = []
        others = Counter[str]()
        if self.path.is_symlink():  # a linked folder may lead anywhere, also back up
            raise DataError(f"Expected a folder, got '{shown(self.path)}', a link. Links to folders are not followed.")
        for entry, is_folder in list_folder(self.path):
            if entry.name.startswith(".") or entry.name.casefold() in LEFT_BEHIND:
                others["hidden"] += 1
            elif is_folder:
                folders.append(Folder(entry, self.root))
            else:
                files.append(entry)
        return folders, files, others

    @property
    def folders(self) -> list[Folder]:
        """The folders in it, by name."""
        return self._entries[0]

    @cached_property
    def images(self) -> list[Path]:
        """The images directly in it. Raises DataError for a link that leaves the root, a pipe or a device."""
        images = [file for file in self._entries[1] if file.suffix.lower() in SUFFIXES]
        for image in images:
            if image.is_symlink() and not image.resolve().is_relative_to(self.root):
                raise DataError(f"Expected images inside '{self.root}', got '{shown(image)}', a link that leaves it.")
            if image.exists() and not image.is_file():  # reading a pipe would wait for ever
                raise DataError(f"Expected an image file, got '{shown(image)}', a pipe or a device. Remove it.")
        return images

    def files(self, *suffixes: str) -> list[Path]:
        """The files directly in it whose names end so."""
        return [file for file in self._entries[1] if file.suffix.lower() in suffixes]

    def walk(self) -> Iterator[Folder]:
        """It and all folders within."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    @cached_property
    def has_images(self) -> bool:
        """Whether there are images in it, at any depth."""
        return any(folder.images for folder in self.walk())

    def left_out(self) -> Counter[str]:
        """Files at any depth that are no images by their names, by extension."""
        counts = Counter[str]()
        for folder in self.walk():
            counts += folder._entries[2]
            suffixes = (file.suffix.lower() or file.name for file in folder._entries[1])
            counts.update(suffix for suffix in suffixes if suffix not in SUFFIXES)
        return counts


def find_splits(top: Folder) -> dict[str, Folder]:
    """The folders of splits within `top`, by name; under "" the only one that holds the classes, where it has none.

    Splits are folders called so, in part of their names too, that hold folders of classes and no images themselves.
    Two that are called nothing else are splits whatever they hold: a classifier would tell the splits apart.
    """
    called = [folder for folder in top.folders if split_of(folder.name)]
    plain = [folder for folder in called if is_split_word(folder.name)]
    splits = [folder for folder in called if folder.folders and not folder.images]
    if len({split_of(folder.name) for folder in plain}) > 1:
        splits = [folder for folder in called if folder in splits or folder in plain]
    is_alone = bool(splits) and not any(folder.has_images for folder in top.folders if folder not in splits)
    if is_alone or len({split_of(folder.name) for folder in splits}) > 1:
        return {folder.name: _unwrap(folder) for folder in splits}
    inner = _unwrap(top)
    return {"": top} if inner is top else find_splits(inner)


def _unwrap(folder: Folder) -> Folder:
    """The folder within that holds the folders with images, where it alone does: archives unpack to a folder."""
    holders = [inner for inner in folder.folders if inner.has_images]
    if folder.images or len(holders) != 1 or holders[0].images:
        return folder
    inner = _unwrap(holders[0])
    return inner if sum(part.has_images for part in inner.folders) > 1 else folder


def tell_beside(top: Folder, splits: Sequence[Folder]) -> None:
    """Say which folders with images in `top` are in none of its splits, and how many images lie beside them."""
    above = list(_above(top, splits))
    inside = {folder.path for folder in (*above, *splits)}
    others = [folder for one in above for folder in one.folders if folder.path not in inside and folder.has_images]
    loose = sum(len(folder.images) for folder in above)
    names = [_some([shown(folder.path.relative_to(top.path)) for folder in others])] if others else []
    names += [_count_images(loose)] if loose else []
    if names:
        logger.warning("%s: left out what is in none of its splits: %s", shown(top.path), " and ".join(names))


def tell_beside_tables(top: Folder, is_apart: Callable[[], bool]) -> None:
    """Say which folders of `top` hold images that are none of its Parquet files', and how many there are.

    Args:
        is_apart: whether the Parquet files do without the images in folders; asked where there are any.
    """
    others = [folder for folder in top.folders if folder.has_images]
    if others and is_apart():
        count = sum(len(folder.images) for other in others for folder in other.walk())
        names = _some([shown(folder.name) for folder in others])
        logger.warning(
            "%s: its Parquet files are read; left out %s in %s. Give the path of what is meant, if it is these.",
            *(shown(top.path), _count_images(count), names),
        )


def _above(folder: Folder, splits: Sequence[Folder]) -> Iterator[Folder]:
    """It and the folders within that the splits lie in."""
    if any(folder.path in split.path.parents for split in splits):
        yield folder
        for inner in folder.folders:
            yield from _above(inner, splits)


def load_imagefolder(root: Folder, name: str) -> ImageSet:
    """One folder a class, labels in the order of the sorted folder names, as torchvision has it."""
    folders = _class_folders(root)
    exported = exported_classes(root.path)
    if not folders:
        raise DataError(
            f"Expected one folder a class, or Parquet files, in '{shown(root.path)}', found neither. Put the images of "
            "each class into a folder of its name, or a metadata.csv with the columns file_name and label beside them."
        )
    if exported is not None and sorted(exported) != sorted(folders):
        raise DataError(f"The class folders of '{root.path}' are not those that its classes.json lists.")
    names = exported or {folder: _class_name(folder, root) for folder in folders}
    _check_distinct(names, root)
    if list(folders.values()) == root.folders:
        _check_same_folders(root)
    files = [sorted(image for part in folders[folder].walk() for image in part.images) for folder in names]
    _tell_left_out(root, [name for name, images in zip(names.values(), files, strict=True) if not images])
    flat = [file for images in files for file in images]
    if not flat:
        raise DataError(f"Expected {', '.join(SUFFIXES)} images in the folders of '{root.path}', found none.")
    return ImageSet(
        name=name,
        class_names=tuple(names.values()),
        labels=np.repeat(np.arange(len(files)), [len(images) for images in files]).astype(np.int64),
        read=lambda index: read_file(flat[index]),
        origin=lambda index: shown(flat[index].relative_to(root.path)),
        kind="real" if exported is None else "exported",
    )


def _class_folders(root: Folder) -> dict[str, Folder]:
    """The folder of each class, by name: those in `root`, or those within where it sorts classes by their first letter.

    SUN397 and Places365 are published so: a/abbey, a/apartment_building/outdoor.
    """

    def is_letter(folder: Folder) -> bool:
        words = [inner.name.casefold() for inner in folder.folders]
        letter = folder.name.casefold()
        return (
            len(letter) == 1
            and bool(words)
            and not folder.images
            and all(w[:1] == letter and w[:2].isalpha() for w in words)
        )

    if not all(map(is_letter, root.folders)):
        return {folder.name: folder for folder in root.folders}
    holders = {
        inner.path.relative_to(top.path).as_posix(): inner
        for top in root.folders
        for inner in top.walk()
        if inner.images
    }
    if holders:
        logger.warning("%s: folders of first letters hold the classes: %s", root.path, _some(list(holders)))
    return holders


def _class_name(folder: str, root: Folder) -> str:
    """The class of a folder: file systems spell accents in two ways, names here in one."""
    if folder != os.fsencode(folder).decode("utf-8", "replace"):
        raise DataError(f"Expected names in UTF-8 in '{root.path}', got the folder '{shown(folder)}'. Rename it.")
    return plain_name(folder)


def _check_distinct(names: dict[str, str], root: Folder) -> None:
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise DataError(f"Expected each class once in '{root.path}', got two folders called '{twice[0]}'. Join them.")


def _check_same_folders(root: Folder) -> None:
    """Refuse folders that hold the same folders: those within are the classes, or splits of each class."""
    holders = [
        (folder, {inner.name.casefold() for inner in folder.folders if inner.has_images})
        for folder in root.folders
        if not folder.images
    ]
    for i, (first, inner) in enumerate(holders):
        for second, others in holders[i + 1 :]:
            if len(same := sorted(inner & others)) > 1:
                raise UsageError(
                    f"Expected one folder a class in '{root.path}', got '{first.name}' and '{second.name}', "
                    f"which both hold the folders {_some(same)}. Name one of the two, or move the images of each class "
                    "into one folder."
                )


def tell_left_out(place: Path, left_out: Counter[str]) -> None:
    """Say how many files of a folder are no images by their names, if there are any."""
    if left_out:
        kinds = ", ".join(f"{kind} ({count:,})" for kind, count in left_out.most_common(8))
        suffixes, total = ", ".join(SUFFIXES), f"{left_out.total():,}"
        logger.warning("%s: left out %s files that are hidden or not called %s: %s", place, total, suffixes, kinds)


def _tell_left_out(root: Folder, empty: Sequence[str]) -> None:
    tell_left_out(root.path, sum((folder.left_out() for folder in root.folders), Counter[str]()))
    if root.images:
        logger.warning("%s: left out %s in none of its folders", root.path, _count_images(len(root.images)))
    if empty:
        logger.warning("%s: no images of %s", root.path, _some(empty))


def _count_images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")
