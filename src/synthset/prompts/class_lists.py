"""Class names as people give them: as words on a command line, or in a file of text, JSON or YAML.

A file is one class a line, or a list, or a table of numbers and names, as other tools write them: `names:` of a
data.yaml, `id2label` of a model, `class_to_idx`, `categories`. What looks like a piece of another list, a file or a
numbering is refused: it would be drawn as it stands. The one name of a list in CLASS_LISTS stands for its names.
"""

from __future__ import annotations

import codecs
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from synthset.core.errors import UsageError, setting, some
from synthset.core.names import plain_name, shown
from synthset.core.yaml_files import MAX_BYTES, TextLoader, load_yaml
from synthset.prompts.classes import check_classes
from synthset.real import class_names_of
from synthset.real.names import imagenet_2k

log = logging.getLogger("synthset")

# what He et al. 2023, section 3.3, pre-train on
CLASS_LISTS: dict[str, Callable[[], tuple[str, ...]]] = {
    "cifar100": lambda: class_names_of("cifar100"),
    "imagenet-1k": lambda: class_names_of("imagenet"),
    "imagenet-2k": lambda: tuple(imagenet_2k().values()),
}

_ENCODINGS = (  # by the mark at the beginning; that of UTF-32 begins as that of UTF-16 does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_KEYS = ("names", "classes", "class_names", "categories", "labels", "id2label", "label2id", "class_to_idx")
_BEGINNING = re.compile(r"""[\[{]|-(\s|$)|---|["']?\d+["']?\s*:""")  # of a list or a table
_KEY = re.compile(rf"""["']?({"|".join(_KEYS)})["']?\s*:""")
_PIECE = re.compile(r"""[\[{](.*[,:"'].*)?|-\s.*|.*[,;:]|(["']).*\2|[\]}],?""")  # of a list in JSON, YAML or Python
_FILE = re.compile(r".*\.(txt|json|ya?ml|csv|tsv)", re.IGNORECASE)
_NUMBERED = (re.compile(r"(?P<number>\d+)[\s.:)]+(?P<name>\S.*)"), re.compile(r"(?P<name>.*\S)\s+(?P<number>\d+)"))
_CODED = re.compile(r"n\d{8}\s")  # WordNet's


def expand_list(names: Sequence[str]) -> tuple[str, ...]:
    """The names of the list of CLASS_LISTS that the only name is of, and says so; all others as they are.

    >>> expand_list(["cifar100"])[:2], expand_list(["cifar100", "dog"])
    (('apple', 'aquarium fish'), ('cifar100', 'dog'))
    """
    names = tuple(names)
    key = names[0].strip().lower() if len(names) == 1 else ""
    if key not in CLASS_LISTS:
        return names
    _tell_list(key)
    return CLASS_LISTS[key]()


@cache  # a stage may ask several times, and this is said once
def _tell_list(key: str) -> None:
    names = CLASS_LISTS[key]()
    log.warning("Classes '%s' are a list of %s names: %s", key, f"{len(names):,}", some(names))


def read_classes(path: str | Path) -> tuple[str, ...]:
    """Class names from a file: text with one a line, where lines that begin with # are skipped, or JSON or YAML.

    Raises:
        UsageError: a file that is neither, or that holds something else than class names.
    """
    path = Path(path)
    text = _read_text(path)
    lines = [line for line in map(plain_name, text.splitlines()) if line and not line.startswith("#")]
    is_structure = (lines and _BEGINNING.match(lines[0])) or any(map(_KEY.match, lines))
    if is_structure or path.suffix.lower() in (".json", ".yaml", ".yml"):
        return check_classes(_names_in(_parse(path, text), path))
    return check_classes(check_typed(lines))


def check_typed(names: Sequence[str]) -> tuple[str, ...]:
    """The names as they are seen, if each can be meant as one class.

    Raises:
        UsageError: several in one, a piece of a list, a file, or numbers or codes beside all of the names.
    """
    names = tuple(map(plain_name, names))
    example = f"Write each for itself, e.g. {setting('classes', 'one two')}, or one a line in a file"
    for name in names:
        if re.search(r",(?! |$)", name) or (len(names) == 1 and ", " in name):
            raise UsageError(f"Expected spaces between class names, got '{name}', which would be one class. {example}.")
        if _PIECE.fullmatch(name):
            raise UsageError(f"Expected class names, got '{name}', a piece of a list. {example}, a .json or a .yaml.")
        if _FILE.fullmatch(name) and Path(name).is_file():
            raise UsageError(
                f"Expected class names, got '{name}', the name of a file. Give it as {setting('classes_file', name)}."
            )
    if len(names) > 1 and (_are_numbered(names) or all(map(_CODED.match, names))):
        raise UsageError(
            f"Expected class names alone, got numbers beside them ('{names[0]}', '{names[1]}'), which would be drawn "
            "too. Take them away: the first class has label 0."
        )
    return names


def _are_numbered(names: Sequence[str]) -> bool:
    """Whether a number stands beside each name, in front or at the end, that counts them from 0 or 1."""
    for pattern in _NUMBERED:
        found = [match for match in map(pattern.fullmatch, names) if match]
        if len({match["name"] for match in found}) == len(names) and _counts([int(match["number"]) for match in found]):
            return True
    return False


def _counts(numbers: Sequence[int]) -> bool:
    return list(numbers) in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)  # no more: a device has no end
        if len(data) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        return data.decode(next((name for mark, name in _ENCODINGS if data.startswith(mark)), "utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Expected a text file in UTF-8 with one class a line, got '{shown(path)}' ({shown(error)}). "
            "Save it as UTF-8."
        ) from error


# ---- JSON and YAML ----------------------------------------------------------------------------------------


def _parse(path: Path, text: str) -> Any:
    """What JSON holds, or YAML with all words as they stand."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return load_yaml(path, setting("classes_file"), TextLoader)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key that stands twice")  # which YAML names
    return table


def _names_in(content: Any, path: Path) -> list[str]:
    """The class names of a list, or of a table in the order of its numbers."""
    if isinstance(content, Mapping):
        key = next((key for key in _KEYS if isinstance(content.get(key), list | dict)), None)
        if key is not None:
            return _names_in(content[key], path)
        content = _in_order(content, path)
    if isinstance(content, list):
        entries = [entry.get("name") if isinstance(entry, Mapping) else entry for entry in content]
        names = [entry for entry in entries if isinstance(entry, str)]
        if names and len(names) == len(entries):
            return names
        content = next((entry for entry in content if not isinstance(entry, str)), content)
    raise UsageError(
        f"Expected a list of class names in '{shown(path)}', such as [cat, dog], or one a line, got {_brief(content)}. "
        "Put names that are numbers in quotes."
    )


def _in_order(table: Mapping[Any, Any], path: Path) -> Any:
    """The names of a table of numbers and names, either way round; the table itself where it is none.

    Raises:
        UsageError: numbers that do not count from 0 or 1: the labels would be others.
    """
    for pairs in (
        [(_number(key), value) for key, value in table.items()],
        [(_number(value), key) for key, value in table.items()],
    ):
        if pairs and all(number >= 0 for number, _ in pairs):
            break
    else:
        return table
    pairs.sort(key=lambda pair: pair[0])
    numbers = [number for number, _ in pairs]
    if not _counts(numbers):
        raise UsageError(
            f"Expected the numbers 0..{len(pairs) - 1} beside the {len(pairs)} class names in '{shown(path)}', got "
            f"{some([str(number) for number in numbers], 8)}. Write the names alone, in the order of their labels."
        )
    return [name for _, name in pairs]


def _number(value: Any) -> int:
    """A number from 0 on, also as text; -1 for anything else."""
    is_number = type(value) is int or (isinstance(value, str) and value.isdecimal())
    return int(value) if is_number else -1


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
