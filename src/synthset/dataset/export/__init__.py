"""Datasets in other tools' layouts. A format is declared in FORMATS, and has a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from synthset.core.errors import UnknownNameError
from synthset.core.locks import reading
from synthset.dataset.export.imagefolder import export_imagefolder
from synthset.dataset.opening import open_images
from synthset.dataset.reader import Strategies
from synthset.images.opening import ImageSource

__all__ = ["FORMATS", "Format", "export", "export_imagefolder"]


@dataclass(frozen=True)
class Format:
    """A layout that datasets are exported to: a line about it, and what writes it.

    `write` is (images, output_dir, overwrite=…) -> the folder; it replaces nothing but an earlier export.
    """

    summary: str
    write: Callable[..., Path]


FORMATS = {
    "imagefolder": Format("one folder of image files a class, as torchvision reads them", export_imagefolder),
}


def export(
    data: ImageSource,
    output_dir: str | Path,
    *,
    format: str = "imagefolder",
    strategy: Strategies = None,
    all_images: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a dataset in another tool's layout.

    Args:
        data: a Synthset dataset, an image folder, Parquet files, or an ImageSet.
        output_dir: a new or empty folder.
        format: a key of FORMATS.
        strategy: of a Synthset dataset, the strategy or combination to export, or several; all images by default.
        all_images: of a Synthset dataset, also the images that filters rejected.
        overwrite: replace an earlier export.
    Returns:
        The folder written.
    Raises:
        UnknownNameError: a format that is not in FORMATS.
        UsageError, DataError: as the layout's own function.
    """
    if format not in FORMATS:
        raise UnknownNameError("export format", format, FORMATS)
    with reading(data):
        images = open_images(data, strategy, all_images=all_images)
        return FORMATS[format].write(images, output_dir, overwrite=overwrite)
