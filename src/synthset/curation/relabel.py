"""Relabel: other classes for images of a dataset, from a table of ids or hashes; shards stay as they are.

What is said here lies beside the images, see dataset/relabels.py: training, export, tests and diagnosis obey it, and it
can be taken back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthset.core.errors import DataError, UsageError, closest, setting
from synthset.core.locks import writing
from synthset.core.names import plain_name
from synthset.curation.tables import TableRow, column_of, columns_of, read_rows
from synthset.curation.writing import local_dataset
from synthset.dataset.card import refresh_card
from synthset.dataset.opening import warn_of_outdated
from synthset.dataset.reader import Dataset
from synthset.dataset.relabels import read_relabels, write_relabels

IDS, HASHES, FILES = ("id", "request_id"), ("sha256", "hash"), ("file",)
CLASSES = ("class_name", "class", "label")
MAX_TOLD = 5  # lines that an error names


@dataclass(frozen=True)
class RelabelResult:
    """What became of the labels.

    Attributes:
        changed: images that have another class now than before.
        unchanged: images in the table that had that class already.
        relabelled: images that have another class now than they were drawn for, those of earlier tables among them.
        moves: how many images went from one class to another.
    """

    dataset: Path
    changed: int
    unchanged: int
    relabelled: int
    moves: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """With a list of moves, which JSON can hold."""
        moves = [{"from": old, "to": new, "images": count} for (old, new), count in self.moves.items()]
        return {**vars(self), "dataset": str(self.dataset), "moves": moves}


def relabel(dataset: str | Path, table: str | Path | None = None, *, undo: bool = False) -> RelabelResult:
    """Give images of a dataset the classes that a table says, or take that back. No image is touched.

    Args:
        dataset: folder of a finished dataset.
        table: a .csv, .tsv, .json, .jsonl or .parquet file. A row names an image by `id`, by `sha256`, or as
            `predict` names rows of the dataset's own shards in `file`; and its class in `class_name`, `class` or
            `label`, by name.
        undo: give the images of the table the classes back that they were drawn for; without a table, all images.
    Raises:
        UsageError: neither a table nor `undo`, or a table that cannot be read in one way alone.
        DataError: a class or an image that the dataset does not have, or one image with two classes: the lines are
            named, and nothing was changed.
    Example:
        >>> synthset.relabel("digits-synthetic", "corrections.csv")  # doctest: +SKIP
    """
    if table is None and not undo:
        raise UsageError(
            f"Expected a table of ids and classes, or {setting('undo', True)} to take all relabels back, got neither."
        )
    folder = local_dataset(dataset).folder
    with writing(folder):
        opened = local_dataset(folder)  # nobody writes into it from here on
        known = read_relabels(folder)
        if table is None:
            said, wanted = None, dict[str, str]()
        else:
            said = _read(opened, Path(table), with_classes=not undo)
            wanted = {name: one for name, one in known.items() if name not in said}
            wanted |= {} if undo else said
        wanted = _needed(opened, wanted)
        result = _compare(opened, wanted, said)
        write_relabels(folder, wanted)
        refresh_card(opened)
    warn_of_outdated(local_dataset(folder))
    return result


def _needed(dataset: Dataset, relabels: Mapping[str, str]) -> dict[str, str]:
    """The relabels without those that say what the image was drawn for anyway."""
    columns = (dataset.drawn_rows.column(name).to_pylist() for name in ("sha256", "class_name"))
    drawn: dict[str, set[str]] = {}
    for name, class_name in zip(*columns, strict=True):
        drawn.setdefault(name, set()).add(class_name)
    return {name: one for name, one in relabels.items() if drawn.get(name) != {one}}


def _compare(dataset: Dataset, wanted: Mapping[str, str], said: Mapping[str, str] | None) -> RelabelResult:
    hashes, drawn = (dataset.drawn_rows.column(name).to_pylist() for name in ("sha256", "class_name"))
    before = dataset.rows.column("class_name").to_pylist()
    after = [wanted.get(name, old) for name, old in zip(hashes, drawn, strict=True)]
    moves = Counter((old, new) for old, new in zip(before, after, strict=True) if old != new)
    meant = sum(name in said for name in hashes) if said is not None else 0
    relabelled = sum(old != new for old, new in zip(drawn, after, strict=True))
    changed = sum(moves.values())
    return RelabelResult(dataset.folder, changed, max(0, meant - changed), relabelled, dict(moves.most_common()))


# ---- the table --------------------------------------------------------------------------------------------


def _read(dataset: Dataset, path: Path, *, with_classes: bool) -> dict[str, str]:
    """What a table says: SHA-256 of an image -> class name, empty without classes."""
    rows = read_rows(path)
    if not rows:
        raise DataError(f"Expected rows of ids and classes in '{path}', found none. Nothing was changed.")
    find = _finder(dataset, rows, path)
    class_columns = [name for name in CLASSES if name in rows[0].cells] if with_classes else []
    if with_classes and not class_columns:
        raise DataError(
            f"Expected a column {', '.join(CLASSES[:-1])} or {CLASSES[-1]} in '{path}', got {_columns(rows)}."
        )
    said, places, troubles = dict[str, str](), dict[str, str](), list[str]()
    for row in rows:
        try:
            image = find(row)
            name = _class_of(dataset, {column: row.cells.get(column) for column in class_columns})
            if said.setdefault(image, name) != name:
                raise ValueError(f"'{name}' for the image that is '{said[image]}' in {places[image]}")
            places.setdefault(image, row.place)
        except ValueError as error:
            troubles.append(f"{row.place}: {error}")
    if troubles:
        more = f"; and {len(troubles) - MAX_TOLD:,} more" if len(troubles) > MAX_TOLD else ""
        told = "; ".join(troubles[:MAX_TOLD])
        raise DataError(
            f"Expected images and classes of '{dataset.folder}' in '{path}', got others: {told}{more}. Nothing was "
            "changed."
        )
    return said


def _columns(rows: Sequence[TableRow]) -> str:
    return ", ".join(columns_of(rows)) or "none"


def _finder(dataset: Dataset, rows: Sequence[TableRow], path: Path) -> Callable[[TableRow], str]:
    """A function that gives the hash of the image of a row, or raises ValueError."""
    ids = column_of(rows, IDS, "ids", path)
    hashes = column_of(rows, HASHES, "hashes", path)
    files = column_of(rows, FILES, "files", path) if ids is None and hashes is None else None
    if ids is None and hashes is None and files is None:
        raise DataError(f"Expected a column id or sha256 in '{path}', got {_columns(rows)}.")
    columns = (dataset.drawn_rows.column(name).to_pylist() for name in ("request_id", "sha256"))
    by_id = dict(zip(*columns, strict=True))
    all_hashes = set(by_id.values())
    places = _places(dataset) if files else {}

    def find(row: TableRow) -> str:
        found = set[str]()
        if ids is not None:
            found.add(_by_id(by_id, row.cells.get(ids)))
        if hashes is not None:
            name = str(row.cells.get(hashes)).strip().lower()
            if name not in all_hashes:
                raise ValueError(f"no image has the SHA-256 '{name[:12]}…'")
            found.add(name)
        if files is not None:
            found.add(_by_file(places, str(row.cells.get(files))))
        if len(found) > 1:
            raise ValueError(f"'{ids}' and '{hashes}' are of two images")
        return found.pop()

    return find


def _by_id(by_id: Mapping[int, str], value: Any) -> str:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or int(text) not in by_id:
        raise ValueError(f"no image has the id '{text}'")
    return by_id[int(text)]


def _places(dataset: Dataset) -> dict[tuple[Path, int], str]:
    """The hash of each image by its shard and the row within."""
    from synthset.core.parquet_files import read_table
    from synthset.dataset.reader import REDRAW
    from synthset.dataset.records import stored_schema

    places = {}
    for shard in dataset.shards:
        names = read_table(shard, stored_schema(["sha256"]), REDRAW).column("sha256").to_pylist()
        places |= {(shard.resolve(), row): name for row, name in enumerate(names)}
    return places


def _by_file(places: Mapping[tuple[Path, int], str], text: str) -> str:
    file, _, row = text.rpartition("#")
    place = (Path(file).expanduser().resolve(), int(row)) if row.isdecimal() else None
    if place is None or place not in places:
        raise ValueError(f"'{text}' is no row of the dataset's shards")
    return places[place]


def _class_of(dataset: Dataset, cells: Mapping[str, Any]) -> str:
    """The class that the cells of a row name, or ValueError; empty where there are none."""
    found: dict[str, str] = {}
    for column, value in cells.items():
        # beside a column of names one of numbers may stand, as the dataset itself has it
        number = _by_number(dataset, value) if column == "label" and len(cells) > 1 else ""
        found[column] = number or _by_name(dataset, value, column)
    if len(set(found.values())) > 1:
        texts = (f"{column} says '{name}'" for column, name in found.items())
        raise ValueError(f"{' and '.join(texts)}: take one of the columns away")
    return next(iter(found.values()), "")


def _by_number(dataset: Dataset, value: Any) -> str:
    """The class of a number, empty where it is none or may be a name."""
    text = str(value).strip()
    is_number = not isinstance(value, bool) and text.isdecimal() and text not in dataset.class_names
    return dataset.class_names[int(text)] if is_number and int(text) < len(dataset.class_names) else ""


def _by_name(dataset: Dataset, value: Any, column: str) -> str:
    names = dataset.class_names
    if value is None or not str(value).strip():
        raise ValueError("no class")
    text = plain_name(str(value))
    is_number = isinstance(value, int | float) or text.isdecimal()
    if isinstance(value, bool | float):
        raise ValueError(f"'{value}' is no name of a class")
    if column == "label" and is_number and text in names and names.index(text) != int(text):
        raise ValueError(f"'{text}' may be the name or the number of a class: call the column class_name")
    # a spreadsheet keeps a text that begins like a formula behind an apostrophe
    for name in (text, text.removeprefix("'")):
        if name in names:
            return name
    close = closest(text, names)
    hint = f", the nearest is '{close}'" if close else ", a number: give its name" if is_number else ""
    raise ValueError(f"there is no class '{text}'{hint}")
