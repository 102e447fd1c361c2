"""Images without labels from what people name: files, folders, patterns, URLs, Parquet files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from synthset.core.errors import DataError, UsageError, first_line, some
from synthset.core.parquet_files import open_parquet, read_table
from synthset.dataset.parts import parts_in
from synthset.dataset.reader import REDRAW, is_dataset, open_dataset
from synthset.dataset.records import stored_schema
from synthset.images.archives import exists, is_archive, is_folder, read_file
from synthset.images.folders import SUFFIXES, Folder, shown, tell_left_out
from synthset.images.tables import open_pictures


@dataclass(frozen=True)
class Pictures:
    """n encoded images, each with a name.

    Attributes:
        names: a path, a URL, or a Parquet file and the row, as "cats.parquet#12".
        read: the bytes of image i. Raises DataError.
        ids: the ids that images of Synthset datasets have there, None for others; empty where none has one.
        hashes: their SHA-256, in hexadecimal, as `ids`: ids of two datasets may be the same.
    """

    names: Sequence[str]
    read: Callable[[int], bytes]
    ids: Sequence[int | None] = ()
    hashes: Sequence[str | None] = ()

    def __len__(self) -> int:
        return len(self.names)


def find_pictures(paths: Sequence[str]) -> Pictures:
    """All images that the paths name, in their order; those of a folder or a pattern by name.

    Args:
        paths: image files of any ending; folders and archives, flat or nested, of which what is called like an image
            counts; Synthset datasets, of which every image counts, and their parts; patterns such as "photos/*.jpg";
            Parquet files with a column of images; URLs of any of these but folders.
    Raises:
        UsageError: no path, a path or pattern with nothing there, or a kind of URL that no installed package reads.
        DataError: a folder or tables without images, or a damaged table.
    A warning counts the files of a folder that are not called like images.
    """
    if not paths:
        raise UsageError("Expected images to classify: files, folders, patterns, URLs or Parquet files. Name one.")
    found = _join([_find(path) for path in paths])
    if not len(found):
        named = some([f"'{shown(path)}'" for path in paths])
        raise DataError(f"Expected images in {named}, found no rows. Name a table that has some.")
    return found


def _find(path: str) -> Pictures:
    if "://" in path:
        return _at_urls(path)
    place = Path(path).expanduser()
    if is_folder(place):
        return _in_folder(place)
    if exists(place):
        return _of_file(place)
    start = Path(place.anchor or ".")
    matches = sorted(start.glob(str(place.relative_to(start)))) if any(mark in path for mark in "*?[") else []
    files = [match for match in matches if not match.is_dir()]
    if not files:
        raise UsageError(f"Expected images at '{shown(path)}', found nothing there. Check the path.")
    return _join([_of_file(file) for file in files])


def _of_file(file: Path) -> Pictures:
    if file.suffix.lower() == ".parquet":
        tables = open_pictures(file)
        names = [f"{shown(file)}#{row}" for row in range(len(tables))]
        return Pictures(names, tables.read, *_identities(file))
    return _in_folder(file) if is_archive(file) else Pictures([shown(file)], lambda _: read_file(file))


def _identities(file: Path) -> tuple[Sequence[int | None], Sequence[str | None]]:
    """The ids and the hashes of the images in a shard of a dataset; empty for another table."""
    with open_parquet(file) as opened:
        names = opened.schema_arrow.names
    if not {"request_id", "sha256"} <= set(names):
        return (), ()
    table = read_table(file, stored_schema(["request_id", "sha256"]), REDRAW)
    return table.column("request_id").to_pylist(), table.column("sha256").to_pylist()


def _in_dataset(place: Path) -> Pictures:
    """All images of a dataset, whatever filters say of them: its preview is none of them."""
    shards = open_dataset(place).shards
    if not shards:
        raise DataError(f"Expected images in '{shown(place)}', found none. Run 'synthset create' first.")
    return _join([_of_file(shard) for shard in shards])


def _in_folder(place: Path) -> Pictures:
    """The images of a folder at any depth, in the order of their paths; else its Parquet files."""
    if is_dataset(place):
        return _in_dataset(place)
    if datasets := parts_in(place):
        return _join([_in_dataset(part) for part in datasets.values()])
    parts = list(Folder.top(place).walk())
    files = sorted(image for part in parts for image in part.images)
    if files:
        tell_left_out(place, parts[0].left_out())
    files = files or sorted(file for part in parts for file in part.files(".parquet"))
    if not files:
        raise DataError(f"Expected {', '.join(SUFFIXES)} images, or Parquet files, in '{shown(place)}', found none.")
    return _join([_of_file(file) for file in files])


def _at_urls(url: str) -> Pictures:
    import fsspec

    try:
        files = fsspec.open_files(url, "rb")
    except (ImportError, ValueError, OSError) as error:
        raise UsageError(f"Expected a URL that can be reached, got '{url}' ({first_line(error)}).") from error
    names = [file.full_name for file in files] if len(files) > 1 else [url]
    if not files:
        raise UsageError(f"Expected images at '{url}', found nothing there. Check the URL.")

    def read(index: int) -> bytes:
        try:
            with fsspec.open(names[index], "rb") as file:
                return file.read()  # pyright: ignore[reportAttributeAccessIssue]
        except Exception as error:  # each kind of store has errors of its own
            raise DataError(f"Expected a readable file, got {first_line(error)}.") from error

    return Pictures(names, read)


def _join(parts: Sequence[Pictures]) -> Pictures:
    if len(parts) == 1:
        return parts[0]
    ends = list(accumulate(map(len, parts)))

    def read(index: int) -> bytes:
        part = bisect_right(ends, index)
        return parts[part].read(index - (ends[part - 1] if part else 0))

    names = [name for part in parts for name in part.names]
    if not any(part.ids for part in parts):
        return Pictures(names, read)
    ids = [number for part in parts for number in part.ids or [None] * len(part)]
    return Pictures(names, read, ids, [name for part in parts for name in part.hashes or [None] * len(part)])
