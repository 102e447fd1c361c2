"""Annotated photographs as Pascal VOC lays them out: read from a devkit, one folder a year.

    VOC2007/JPEGImages/000005.jpg
    VOC2007/Annotations/000005.xml
    VOC2007/ImageSets/Main/trainval.txt         a name a line

What stands there is hostile until checked: no entities are expanded, and no name leads out of the devkit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

import numpy as np

from synthset.core.errors import DataError, UsageError, first_line, some
from synthset.images.decoding import read_size

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_XML_BYTES = 10_000_000
_YEAR = re.compile(r"VOC\d{4}")
_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """A photograph and the objects in it.

    Attributes:
        name: year and file, as "VOC2007/000005".
        file: of the photograph.
        sha256: of the file.
        width, height: in pixels.
        boxes: float32 (n, 4): left, top, right, bottom in pixels from the upper left corner; right and bottom are the
            first pixels beyond.
        labels: int64 (n,), numbers of classes.
        difficult: bool (n,): objects that are neither asked for nor wrong.
    """

    name: str
    file: Path
    sha256: str
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray


@dataclass(frozen=True, eq=False)
class DetectionSet:
    """Annotated photographs with the names of their classes."""

    name: str
    class_names: tuple[str, ...]
    images: tuple[AnnotatedImage, ...]

    def __len__(self) -> int:
        return len(self.images)


def read_voc(
    devkit: str | Path, parts: Iterable[tuple[str, str]], classes: Sequence[str] | None = None
) -> DetectionSet:
    """Some sets of a devkit, one after another.

    Args:
        devkit: the folder that holds VOC2007, or that is it.
        parts: years and sets, e.g. [("2007", "trainval"), ("2012", "trainval")].
        classes: names in the order of their numbers; those of VOC by default, or else the ones that are found.
    Raises:
        UsageError: no devkit there, or a year or set that it lacks.
        DataError: damaged annotations, an object outside its image or without area, or of another class.
    """
    root, parts = Path(devkit).absolute(), list(parts)
    found = [_read_image(folder, name) for year, split in parts for folder, name in _names(root, year, split)]
    names = tuple(classes) if classes is not None else _class_names(found)
    numbers = {name: number for number, name in enumerate(names)}
    images = tuple(_annotated(raw, numbers) for raw in found)
    if not images:
        raise DataError(f"Expected images in '{root}', found none. Choose another set.")
    return DetectionSet("+".join(f"VOC{year} {split}" for year, split in parts), names, images)


def find_parts(devkit: str | Path, split: str) -> list[tuple[str, str]]:
    """The years of a devkit that have a set, with it. Raises UsageError where none has."""
    root = Path(devkit).absolute()
    folders = [folder for folder in (root, *root.glob("VOC*")) if _YEAR.fullmatch(folder.name)]
    years = sorted(folder.name.removeprefix("VOC") for folder in folders if _list_of(folder, split).exists())
    if not years:
        raise UsageError(
            f"Expected folders such as VOC2007 with ImageSets/Main/{split}.txt in '{root}', found none. "
            "Give the devkit."
        )
    return [(year, split) for year in years]


def check_apart(devkit: str | Path, parts: Iterable[tuple[str, str]], test: tuple[str, str]) -> None:
    """Refuse a test set that is not there, or that names images of the others; of it the list of names alone is read.

    Raises:
        UsageError: no such set, or an image in both.
    """
    root = Path(devkit).absolute()
    learned = {item for year, split in parts for item in _names(root, year, split)}
    if both := [name for folder, name in _names(root, *test) if (folder, name) in learned]:
        raise UsageError(
            f"Expected other images in VOC{test[0]} {test[1]} than in the sets that are learned from, '{both[0]}' is "
            "in both. Choose other sets."
        )


def _list_of(folder: Path, split: str) -> Path:
    return folder / "ImageSets" / "Main" / f"{split}.txt"


def _names(root: Path, year: str, split: str) -> list[tuple[Path, str]]:
    folder = root if root.name == f"VOC{year}" else root / f"VOC{year}"
    if not _YEAR.fullmatch(folder.name) or not _NAME.fullmatch(split):
        raise UsageError(f"Expected a year and a set such as 2007 trainval, got '{year[:40]}' and '{split[:40]}'.")
    path = _list_of(folder, split)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Expected a list of images in '{path}', it does not read. Choose another set.") from error
    names = [line.split()[0] for line in lines if line.strip()]
    for name in names:
        if not _NAME.fullmatch(name):
            raise DataError(f"Expected names of images in '{path}', got '{name[:40]}'. Mend the line.")
    return [(folder, name) for name in dict.fromkeys(names)]


@dataclass(frozen=True, eq=False)
class _Raw:
    name: str
    place: Path
    file: Path
    sha256: str
    size: tuple[int, int]
    objects: list[tuple[str, tuple[float, float, float, float], bool]]


def _read_image(folder: Path, name: str) -> _Raw:
    place = folder / "Annotations" / f"{name}.xml"
    file = next((path for end in SUFFIXES if (path := folder / "JPEGImages" / f"{name}{end}").is_file()), None)
    if file is None:
        raise DataError(f"Expected the image '{name}' in '{folder / 'JPEGImages'}', found none. Take it off the list.")
    for path in (file, place):
        if not path.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"Expected files inside '{folder}', '{path.name}' leads out of it. Take it off the list.")
    tree = parse_xml(place)
    try:
        data = file.read_bytes()
        size = read_size(data)
    except (DataError, OSError) as error:
        raise DataError(f"Expected the image '{file}', it does not read ({first_line(error)}). Restore it.") from error
    _check_size(tree, place, size)
    objects = [_object(item, place, size) for item in _all(tree, "object")]
    return _Raw(f"{folder.name}/{name}", place, file, hashlib.sha256(data).hexdigest(), size, objects)


def _check_size(tree: Any, place: Path, size: tuple[int, int]) -> None:
    """Boxes for an image of another size would lie elsewhere; 0 stands for unknown, as some write it."""
    for item in _all(tree, "size")[:1]:
        named = tuple(_number(item, key, place) for key in ("width", "height"))
        if all(named) and named != size:
            raise DataError(
                f"Expected the annotations '{place}' of an image of {size[0]}×{size[1]} pixels, as it has, got "
                f"{named[0]:g}×{named[1]:g}. Mend the file, or restore the image."
            )


def _object(item: Any, place: Path, size: tuple[int, int]) -> tuple[str, tuple[float, float, float, float], bool]:
    name = _text(item, "name", place)
    box = _all(item, "bndbox")
    if not box:
        raise DataError(f"Expected a bndbox of '{name[:40]}' in '{place}', found none. Mend the file.")
    left, top, right, bottom = (_number(box[0], key, place) for key in ("xmin", "ymin", "xmax", "ymax"))
    # the devkit counts pixels from 1, the last one included; who counts from 0 is refused, for all boxes would be off
    corners = (left - 1, top - 1, right, bottom)
    if not (0 <= corners[0] < corners[2] <= size[0] and 0 <= corners[1] < corners[3] <= size[1]):
        raise DataError(
            f"Expected the box of '{name[:40]}' in '{place}' inside {size[0]}×{size[1]} pixels and with an area, got "
            f"{left:g}, {top:g}, {right:g}, {bottom:g}. Mend the file."
        )
    difficult = _text(item, "difficult", place) if _all(item, "difficult") else "0"
    if difficult not in ("0", "1"):
        raise DataError(f"Expected <difficult> as 0 or 1 in '{place}', got '{difficult[:40]}'. Mend the file.")
    return name, corners, difficult == "1"


def _class_names(found: Sequence[_Raw]) -> tuple[str, ...]:
    names = {name for raw in found for name, _, _ in raw.objects}
    return CLASSES if names <= set(CLASSES) else tuple(sorted(names))


def _annotated(raw: _Raw, numbers: Mapping[str, int]) -> AnnotatedImage:
    if other := sorted({name for name, _, _ in raw.objects} - numbers.keys()):
        raise DataError(
            f"Expected objects of {some(list(numbers))} in '{raw.place}', got '{other[0][:40]}'. Mend the file."
        )
    return AnnotatedImage(
        raw.name,
        raw.file,
        raw.sha256,
        *raw.size,
        np.array([box for _, box, _ in raw.objects], np.float32).reshape(-1, 4),
        np.array([numbers[name] for name, _, _ in raw.objects], np.int64),
        np.array([difficult for _, _, difficult in raw.objects], bool),
    )


# ---- XML, without anything that an attacker could use -----------------------------------------------------


def parse_xml(path: Path) -> dict[str, Any]:
    """An XML file as dictionaries: children by tag in lists, the text under "".

    Raises:
        DataError: no file there, one that is damaged, or one that declares a document type or entities.
    """

    def refuse(*_: Any) -> None:
        raise DataError(f"Expected plain XML in '{path}', it declares entities. Take the declaration out.")

    root: dict[str, Any] = {}
    stack = [root]

    def start(tag: str, _attributes: Any) -> None:
        child: dict[str, Any] = {}
        stack[-1].setdefault(tag, []).append(child)
        stack.append(child)

    def text(data: str) -> None:
        stack[-1][""] = stack[-1].get("", "") + data

    parser = ParserCreate()
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda _: stack.pop()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_XML_BYTES + 1)
        if len(data) > MAX_XML_BYTES:
            raise DataError(f"Expected annotations of at most {MAX_XML_BYTES:,} bytes in '{path}', got more.")
        parser.Parse(data, True)
    except (ExpatError, OSError, LookupError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(
            f"Expected annotations as XML in '{path}', they do not read ({reason}). Mend the file."
        ) from error
    return next(iter(root.values()))[0]


def _all(item: Mapping[str, Any], tag: str) -> list[Any]:
    found = item.get(tag, [])
    return found if isinstance(found, list) else []


def _text(item: Mapping[str, Any], tag: str, place: Path) -> str:
    found = _all(item, tag)
    if not found or not found[0].get("", "").strip():
        raise DataError(f"Expected <{tag}> in '{place}', found none. Mend the file.")
    return found[0][""].strip()


def _number(item: Mapping[str, Any], tag: str, place: Path) -> float:
    text = _text(item, tag, place)
    try:
        value = float(text)
    except ValueError as error:
        raise DataError(f"Expected <{tag}> as a number in '{place}', got '{text[:40]}'. Mend the file.") from error
    if not np.isfinite(value):
        raise DataError(f"Expected <{tag}> as a number in '{place}', got '{text[:40]}'. Mend the file.")
    return value
