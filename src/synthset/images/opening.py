"""How labelled images are opened from a path, declared once for every stage; and which reader a path needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np

from synthset.core.errors import DataError, UsageError, setting
from synthset.core.files import read_json
from synthset.core.names import plain_name, shown
from synthset.core.options import Option, check_options
from synthset.images.archives import ENDINGS, exists, is_folder
from synthset.images.batches import find_batches, load_batches
from synthset.images.folders import (
    EXPORT_MARKER,
    Folder,
    find_splits,
    load_imagefolder,
    tell_beside,
    tell_beside_tables,
)
from synthset.images.imageset import ImageSet
from synthset.images.labels import first_number
from synthset.images.splits import choose_split, split_of
from synthset.images.tables import find_metadata, find_tables, has_own_images, load_tables

log = logging.getLogger("synthset")

OPENING = "How images are opened"  # heading of these options
MANIFEST = "manifest.json"  # of a Synthset dataset, whose images lie in data/ and whose other tables hold none


@dataclass(frozen=True)
class Opening:
    """How labelled images are opened, where a path leaves it open."""

    split: Annotated[str | None, Option(default="the only one; to test on, test or else validation")] = None
    """Split of the images, where there are several: train, validation, test, or the name of its folder."""
    label_column: Annotated[str | None, Option(default="the only one")] = None
    """Column of the labels, where a table has several."""
    label_names: Annotated[tuple[str, ...], Option(default="those of the images")] = ()
    """Class names of the labels 0, 1, …, for images that have numbers alone."""
    strict: bool = False
    """Refuse images that do not decode, have no label, or miss or add a class, where they are left out otherwise."""

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class ImagePath:
    """The path of labelled images, or the name of a known set, with how it is opened: it stands where a path may.

    Attributes:
        prefix: of the options' names, in errors, where another set has those without.
    """

    path: str
    opening: Opening = field(default_factory=Opening)
    prefix: str = ""

    @staticmethod
    def of(source: str | Path | ImagePath) -> ImagePath:
        """A path as it is, or with nothing else said of it."""
        return source if isinstance(source, ImagePath) else ImagePath(str(source))

    @staticmethod
    def from_dict(content: dict[str, Any]) -> ImagePath:
        """From what `dataclasses.asdict` made of one."""
        return ImagePath(content["path"], Opening(**content["opening"]), content["prefix"])

    def with_split(self, split: str | None) -> ImagePath:
        """The same path, and a split of it."""
        return replace(self, opening=replace(self.opening, split=split))

    def __str__(self) -> str:
        return self.path

    def __fspath__(self) -> str:
        return self.path


ImageSource: TypeAlias = str | Path | ImagePath | ImageSet


def open_strictly(source: object) -> bool:
    """Whether a source of images is to be opened without leaving any out."""
    return isinstance(source, ImagePath) and source.opening.strict


def load_path(source: str | Path | ImagePath, defaults: Sequence[str] = ()) -> ImageSet:
    """Labelled images of an image folder, of tables (Parquet, or metadata beside images), or of CIFAR's batches.

    Args:
        defaults: splits that are taken where there are several and none is wanted, the first that is there.
    Raises:
        UsageError: a split that is not there, or none wanted where there are several; likewise a column.
        DataError: nothing to read there, unusable labels, a link that leaves the folder.
    """
    source = ImagePath.of(source)
    path, opening = Path(source.path).expanduser(), source.opening
    with _readable(path):
        loaders = _loaders(path)
        splits = [name for name in loaders if name]
        if opening.split is not None and not splits:
            raise UsageError(f"Expected no split of '{path}', which has none, got '{opening.split}'. Leave it out.")
        labelled = [name for name in splits if loaders[name].has_labels]
        if opening.split is None and any(split_of(name) in defaults for name in labelled):
            splits = labelled  # a test split is often published without its labels
        split = choose_split(source.path, splits, opening.split, defaults, f"{source.prefix}split") if splits else ""
        images = replace(loaders[split].open(source), split=split)
    images = _with_names(images, opening.label_names) if opening.label_names else images
    log.debug("%s", images.summary)
    return images


def splits_at(path: Path) -> dict[str, str]:
    """The splits at a path: what each is, by its name there; empty where there is one set of images."""
    with _readable(path):
        return {name: split_of(name) or name for name in _loaders(path) if name}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"Expected a readable folder or file at '{path}', got: {error}.") from error


@dataclass(frozen=True)
class _Loader:
    """What opens a split, and whether there are labels, as far as can be told without opening it."""

    open: Callable[[ImagePath], ImageSet]
    has_labels: bool = True


def _loaders(path: Path) -> dict[str, _Loader]:
    """What opens each split of a path, by its name; under "" what opens images that no name of a split stands by."""

    def tables(files: Sequence[Path]) -> _Loader:
        def load(source: ImagePath) -> ImageSet:
            images = load_tables(files, path, source.opening.label_column, source.opening.strict, source.prefix)
            _check_whole(images, path)
            if path.is_dir():
                tell_beside_tables(Folder.top(path), partial(has_own_images, files))
            return images

        return _Loader(load)

    if not is_folder(path):
        if path.suffix.lower() != ".parquet":
            raise DataError(f"Expected a folder, an archive ({', '.join(ENDINGS)}) or a .parquet file, got '{path}'.")
        return {split_of(path.stem) or "": tables([path])}
    top = Folder.top(path)
    if batches := find_batches(top):
        return {
            split: _Loader(
                lambda source, files=files: load_batches(files, shown(path), source.opening.label_column, source.prefix)
            )
            for split, files in batches.items()
        }
    if found := find_tables(top):
        return {split: tables(files) for split, files in found.items()}
    if exists(path / MANIFEST):
        raise DataError(f"'{path}' is a Synthset dataset without its images, which lie in data/. Copy it whole.")
    splits = find_splits(top)
    return {
        split: _folder_loader(folder, path, partial(tell_beside, top, [*splits.values()]))
        for split, folder in splits.items()
    }


def _check_whole(images: ImageSet, path: Path) -> None:
    """Raise DataError for a Synthset dataset that has other images than it counts: a shard was lost on the way."""
    try:
        manifest = read_json(path / MANIFEST)
        count = manifest["accounting"]["ok"] if manifest["status"] == "complete" else len(images)
    except (OSError, ValueError, KeyError, TypeError):
        return  # no dataset of ours, or one that whoever learns from it complains of
    if count != len(images):
        raise DataError(
            f"Expected {count} images in '{path}', as its {MANIFEST} counts, found {len(images):,}. Copy it whole."
        )


def _folder_loader(folder: Folder, path: Path, tell: Callable[[], None]) -> _Loader:
    """What opens the classes of a folder: by its folders, or by the metadata beside its files.

    Args:
        tell: what is left out beside it, when it is opened.
    """

    # of an export, the folders are the classes by what it says itself
    metadata = None if exists(folder.path / EXPORT_MARKER) else find_metadata(folder)
    is_sorted = sum(part.has_images for part in folder.folders) > 1

    def load(source: ImagePath) -> ImageSet:
        opening = source.opening
        tell()
        if metadata is not None and not is_sorted:
            return load_tables([metadata], path, opening.label_column, opening.strict, source.prefix)
        if metadata is not None:
            log.warning("'%s': its folders are taken as the classes, and what '%s' says is not", path, metadata.name)
        if opening.label_column is not None:
            raise UsageError(f"Expected no column of labels of '{path}', whose classes are its folders. Leave it out.")
        return load_imagefolder(folder, shown(path))

    return _Loader(load, has_labels=is_sorted or metadata is not None)


def _with_names(images: ImageSet, names: Sequence[str]) -> ImageSet:
    """Images that have numbers for classes, with names for these. Raises UsageError where they have names."""
    numbers = np.array([int(name) if name.isdecimal() else -1 for name in images.class_names], np.int64)
    first = first_number(numbers, names, images.name)
    if not ((first <= numbers) & (numbers < len(names) + first)).all():
        raise UsageError(
            f"Expected images with the labels 0..{len(names) - 1} for {setting('label_names')}, got "
            f"{', '.join(images.class_names[:8])} in '{images.name}'."
        )
    return replace(images, labels=(numbers - first)[images.labels], class_names=tuple(map(plain_name, names)))
