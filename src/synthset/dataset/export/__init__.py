"""Datasets in other tools' layouts. A format is declared in FORMATS, and has a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthset.core.errors import DataError, UnknownNameError, UsageError, setting
from synthset.core.files import to_path, write_json
from synthset.core.json_records import Count, read_record
from synthset.core.locks import reading
from synthset.core.options import with_options
from synthset.core.whole_folders import whole_folder
from synthset.dataset.export.config import ExportConfig
from synthset.dataset.export.imagefolder import tell_order, write_imagefolder
from synthset.dataset.export.material import Material, material_of
from synthset.dataset.export.table import write_csv
from synthset.dataset.export.webdataset import write_webdataset
from synthset.dataset.export.yolo import describe_yolo, write_yolo
from synthset.dataset.opening import open_images
from synthset.dataset.parts import PART_NAMES, check_shares, one_part, part_images, parts_in
from synthset.dataset.reader import Strategies
from synthset.images.folders import EXPORT_MARKER, exported_classes
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource
from synthset.images.splits import TEST, TRAIN, VALIDATION

__all__ = [
    "FORMATS",
    "ExportConfig",
    "ExportResult",
    "Format",
    "Material",
    "export",
    "export_imagefolder",
    "export_images",
]

MARKER = ".export.json"  # what an export wrote; hidden, for `datasets` takes any other file for a part of the data


@dataclass(frozen=True)
class Format:
    """A layout that datasets are exported to.

    Attributes:
        summary: a line about it.
        write: (images, folder, config) -> None: writes all of them, or those of one split, into a folder of their own.
        has_class_folders: whether classes are known by their folders, so that each needs an image.
        reads: options that it reads, of those that not every format does.
        split_folders: how folders of splits are called, where not as the splits.
        shares: of the splits, where none are asked for; those of them that it cannot do without have to be among any.
        needs: splits that it cannot do without.
        describe: (images, folder, folders of the splits by name, config) -> None: writes what stands beside them.
    """

    summary: str
    write: Callable[[Material, Path, ExportConfig], None]
    has_class_folders: bool = False
    reads: tuple[str, ...] = ()
    split_folders: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    describe: Callable[[Material, Path, Mapping[str, str], ExportConfig], None] | None = None


FORMATS = {
    "imagefolder": Format(
        "one folder of image files a class, as torchvision and datasets read them",
        write_imagefolder,
        has_class_folders=True,
        reads=("numbered",),
    ),
    "webdataset": Format(
        "tar files, as webdataset and datasets read them in a stream", write_webdataset, reads=("shard_size",)
    ),
    "yolo": Format(
        "folders of splits and classes, as YOLO reads them for classification",
        write_yolo,
        has_class_folders=True,
        reads=("numbered",),
        split_folders={VALIDATION: "val"},
        shares={TRAIN: 0.8, VALIDATION: 0.1, TEST: 0.1},
        needs=(TRAIN, VALIDATION),
        describe=describe_yolo,
    ),
    "csv": Format("image files and one table of all that is known of each", write_csv),
}


@dataclass(frozen=True)
class ExportResult:
    """An export, done.

    Attributes:
        folder: where it lies.
        images: how many of each split, by name; under "" the whole, where there are no splits.
        tied: images that must not be parted from others: near copies, or drawn on the same noise or real image.
    """

    folder: Path
    images: Mapping[str, int]
    tied: int = 0


@dataclass(frozen=True, kw_only=True)
class _Marker:
    synthset_export: Literal[1]
    format: str
    source: str
    class_names: tuple[str, ...]
    images: Mapping[str, Count]
    files: tuple[str, ...]


def export(
    data: ImageSource,
    output_dir: str | Path,
    *,
    format: str = "imagefolder",
    strategy: Strategies = None,
    all_images: bool = False,
    overwrite: bool = False,
    config: ExportConfig | None = None,
    **options: Any,
) -> Path:
    """Write a dataset in another tool's layout.

    Args:
        data: a Synthset dataset, an image folder, Parquet files, or an ImageSet; or the folder of a split dataset,
            whose parts are the splits of the export.
        output_dir: a new or empty folder.
        format: a key of FORMATS.
        strategy: of a Synthset dataset, the strategy or combination to export, or several; all images by default.
        all_images: of a Synthset dataset, also the images that filters rejected.
        overwrite: replace an earlier export.
        config: how; `options` are its fields, e.g. `train=0.8, validation=0.1, test=0.1`.
    Returns:
        The folder written.
    Raises:
        UnknownNameError: a format that is not in FORMATS.
        UsageError: options that cannot be, something that is no export of ours in the way, or one and `overwrite` off.
        DataError: a class without images where classes are folders, an image that is no PNG, JPEG or WebP, a full disk.
    """
    config = with_options(config or ExportConfig(), options)
    choice = {"strategy": strategy, "all_images": all_images}
    return export_images(data, output_dir, format, config, overwrite=overwrite, **choice).folder


def export_images(
    data: ImageSource,
    output_dir: str | Path,
    format: str = "imagefolder",
    config: ExportConfig | None = None,
    *,
    strategy: Strategies = None,
    all_images: bool = False,
    overwrite: bool = False,
) -> ExportResult:
    """As `export`, and what came of it."""
    if format not in FORMATS:
        raise UnknownNameError("export format", format, FORMATS)
    config = config or ExportConfig()
    if not isinstance(data, ImageSet) and (parts := parts_in(str(data))):
        given = ImagePath.of(data)
        if given.opening.split is None:
            _check_parts(format, config, given, parts)
            with reading(*parts.values()):
                made = _open_parts(given, parts, strategy, all_images)
                first = next(iter(made.values()))
                whole = replace(first, images=replace(first.images, name=to_path(given.path).resolve().name))
                return _write(whole, lambda: (made, 0), Path(output_dir), format, config, overwrite=overwrite)
        data = one_part(given, parts)
    shares = _shares(format, config)
    with reading(data):
        images = open_images(data, strategy, all_images=all_images)
        material = material_of(images, data, strategy, all_images=all_images)
        deal = partial(_deal, material, shares, config)
        return _write(material, deal, Path(output_dir), format, config, overwrite=overwrite)


def export_imagefolder(images: ImageSet, output_dir: str | Path, *, overwrite: bool = False) -> Path:
    """Write `<output_dir>/<class>/<row>.<ext>`, the bytes of every image unchanged. As `export`, of images alone."""
    return export(images, output_dir, overwrite=overwrite)


def _shares(format: str, config: ExportConfig) -> dict[str, float]:
    """The shares of the splits. Raises UsageError for options that the format does not read, or cannot do with."""
    form = FORMATS[format]
    shares = config.shares or dict(form.shares)
    _check_read(format, config, shares)
    if shares:
        check_shares(shares)
    if missing := [name for name in form.needs if name not in shares]:
        raise UsageError(
            f"Expected {' and '.join(map(setting, form.needs))} for format '{format}', got none of "
            f"{' and '.join(map(setting, missing))}. Give it a share too."
        )
    return shares


def _check_read(format: str, config: ExportConfig, shares: Mapping[str, float]) -> None:
    """Raise UsageError for options that the format does not read."""
    known, default = {name for other in FORMATS.values() for name in other.reads}, ExportConfig()
    asked = [item.name for item in fields(config) if getattr(config, item.name) != getattr(default, item.name)]
    unread = [name for name in asked if name in known and name not in FORMATS[format].reads]
    unread += [name for name in asked if name in ("seed", "ties") and not shares]
    if unread:
        where = f"format '{format}'" + (" without splits" if unread[0] in ("seed", "ties") else "")
        raise UsageError(
            f"Expected no {' and '.join(map(setting, unread))} with {where}, which reads none. Leave it out."
        )


def _check_parts(format: str, config: ExportConfig, data: ImagePath, parts: Mapping[str, Path]) -> None:
    """Raise UsageError for shares of what is split already, or for a part that the format cannot do without."""
    default = ExportConfig()
    asked = [name for name in (*PART_NAMES, "seed", "ties") if getattr(config, name) != getattr(default, name)]
    if asked:
        raise UsageError(
            f"Expected no {' and '.join(map(setting, asked))} with '{data}', which is split already. Leave it out, or "
            f"name one part, e.g. '{next(iter(parts.values()))}'."
        )
    _check_read(format, config, FORMATS[format].shares)
    if missing := [name for name in FORMATS[format].needs if name not in parts]:
        raise UsageError(
            f"Expected a part {' and '.join(missing)} in '{data}' for format '{format}', got {', '.join(parts)}. Split "
            f"the dataset again with {' and '.join(map(setting, missing))}."
        )


def _open_parts(
    data: ImagePath, parts: Mapping[str, Path], strategy: Strategies, all_images: bool
) -> dict[str, Material]:
    """The images of each part of a split dataset; names of files are as wide in all of them."""
    made = dict[str, Material]()
    for name, folder in parts.items():
        place = replace(data, path=str(folder))
        images = open_images(place, strategy, all_images=all_images)
        made[name] = material_of(images, place, strategy, all_images=all_images)
    most = max(part.digits for part in made.values())
    return {name: replace(part, digits=most) for name, part in made.items()}


def _deal(material: Material, shares: Mapping[str, float], config: ExportConfig) -> tuple[dict[str, Material], int]:
    """The splits by name, or the whole under "" where there are no shares; and how many images are tied to others."""
    if not shares:
        return {"": material}, 0
    ties = () if config.ties == ("none",) else config.ties
    dealt = part_images(material.images, shares, seed=config.seed, rows=material.table, ties=ties)
    return {name: material.select(dealt.rows(name)) for name in dealt.names}, dealt.num_tied


def _write(
    material: Material,
    deal: Callable[[], tuple[Mapping[str, Material], int]],
    output: Path,
    format: str,
    config: ExportConfig,
    *,
    overwrite: bool,
) -> ExportResult:
    form = FORMATS[format]
    if not len(material):
        raise DataError(f"Expected images in '{material.images.name}', found none.")
    with whole_folder(output, _owned, overwrite=overwrite) as folder:  # refuses what is in the way before any work
        parts, tied = deal()
        if form.has_class_folders:
            for name, part in parts.items():
                _check_classes(part, name)
            tell_order(material, config)
        places = {name: form.split_folders.get(name, name) for name in parts}
        for name, part in parts.items():
            form.write(part, folder / places[name], config)
        if form.describe is not None:
            form.describe(material, folder, places, config)
        counts = {name: len(part) for name, part in parts.items()}
        files = (*sorted(entry.name for entry in folder.iterdir()), MARKER)
        names, source = material.images.class_names, material.images.name
        marker = _Marker(synthset_export=1, format=format, source=source, class_names=names, images=counts, files=files)
        write_json(folder / MARKER, asdict(marker))
    return ExportResult(output, counts, tied)


def _check_classes(part: Material, split: str) -> None:
    """Raise DataError where classes are known by their folders, and one would have none."""
    images = part.images
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    if counts.all():
        return
    missing = [name for name, count in zip(images.class_names, counts, strict=True) if not count]
    where = f"in '{split}' of '{images.name}'" if split else f"of '{images.name}'"
    remedy = "create the missing images first"
    if split:
        remedy = "draw more, or give that split a larger share"
    raise DataError(
        f"Expected images of every class {where}, found none of: {', '.join(missing)}. "
        f"An image folder cannot hold an empty class: {remedy}."
    )


def _owned(folder: Path) -> Collection[str] | None:
    """What an export wrote into a folder, see `whole_folder`; earlier versions had no marker but the classes."""
    with suppress(DataError):  # damaged, or never ours
        try:
            return read_record(_Marker, folder / MARKER, "").files
        except FileNotFoundError:
            classes = exported_classes(folder)
            return None if classes is None else {EXPORT_MARKER, *classes}
    return None
