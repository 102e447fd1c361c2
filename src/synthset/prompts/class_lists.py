"""Class names as people give them: as words on a command line, or in a file of text, JSON or YAML, or of a table.

A file is one class a line, or a list, or a table of numbers and names, as other tools write them: `names:` of a
data.yaml, `id2label` of a model, `class_to_idx`, `categories`, a `ClassLabel` of datasets, a CSV. What can be read in
two ways is refused, or it is said which was taken; what looks like a piece of another list, a file or a numbering is
refused: it would be drawn as it stands. The one name of a list in CLASS_LISTS stands for its names.
"""

from __future__ import annotations

import codecs
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from synthset.core.errors import UsageError, setting, some
from synthset.core.names import plain_name, shown
from synthset.core.yaml_files import MAX_BYTES, TextLoader, parse_yaml
from synthset.prompts.class_tables import Column, read_table
from synthset.prompts.classes import check_classes
from synthset.real import class_names_of
from synthset.real.names import imagenet_2k, lemmas_of

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
_CODED = re.compile(r"(?P<id>n\d{8})(\s*[:,]\s*|\s+)(?P<name>\S.*)")  # WordNet's, and a name
_CODE = re.compile(r"n\d{8}")
_QUOTED = re.compile(r"""(["'])((?:(?!\1).)+)\1""")
_CLASS_LABEL = re.compile(r"ClassLabel\(.*?names=(\[.*?\])", re.DOTALL)  # as datasets prints one
_FRONT_MATTER = re.compile(r"---\n(.*?\n)---(\n|$)", re.DOTALL)  # of a README.md on the hub
_TABLES = (".csv", ".tsv")


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


@dataclass(frozen=True)
class ClassList:
    """The class names of a file.

    Attributes:
        names: in label order.
        synonyms: other names and ids that stood beside some of them, by class name.
        taken: sentences that say which way something was read that has more than one.
    """

    names: tuple[str, ...]
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    taken: tuple[str, ...] = ()


def read_classes(path: str | Path) -> tuple[str, ...]:
    """The names of `read_class_list` alone."""
    return read_class_list(path).names


def read_class_list(path: str | Path) -> ClassList:
    """Class names from a file; where it can be read in two ways, a warning says which was taken.

    Text has one class a line, where lines that begin with # are skipped, a comma and a space begin the synonyms, and
    quotes hold a name with a comma; JSON and YAML have a list or a table of numbers; a CSV or TSV a column of names.

    Raises:
        UsageError: a file that is none of these, that can be read in two ways, or that holds something else than
            class names.
    """
    path = Path(path)
    text = _read_text(path)
    lines = [line for line in map(str.strip, text.splitlines()) if plain_name(line) and not _is_comment(line)]
    first = plain_name(lines[0]) if lines else ""
    if path.suffix.lower() in _TABLES:
        found = read_table(text, path)
    elif label := _CLASS_LABEL.search(text):
        found = Column(_names_in(_parse(path, label[1]), path))
    elif _BEGINNING.match(first) or any(_KEY.match(plain_name(line)) for line in lines) or _is_marked(path):
        found = Column(_names_in(_parse(path, text), path))
    elif any("\t" in line for line in lines):
        found = read_table(text, path)
    else:
        found = _names_of_lines(lines, path)
    return _checked(found, path)


def _is_comment(line: str) -> bool:
    return plain_name(line).startswith("#")


def _is_marked(path: Path) -> bool:
    return path.suffix.lower() in (".json", ".yaml", ".yml")


def _names_of_lines(lines: Sequence[str], path: Path) -> Column:
    """Names of text; in quotes, a name may be anything."""
    quoted = [match and match[2] for match in map(_QUOTED.fullmatch, lines)]
    bare = [line for line, inner in zip(lines, quoted, strict=True) if not inner]
    if len(lines) == 1 and bare and ", " in bare[0]:
        raise UsageError(
            f"Expected one class a line in '{shown(path)}', got the one line '{shown(bare[0])}', which may be several "
            "classes or one with its synonyms. Write each class on a line of its own, or a name with a comma in quotes."
        )
    check_typed(bare, of_file=True)
    names = [inner or line for inner, line in zip(quoted, lines, strict=True)]
    if len(names) == 1 and bare and " " in bare[0]:
        return Column(names, taken=(f"'{shown(path)}' has one line, taken as one class: '{shown(names[0])}'",))
    return Column(names, whole=tuple(bool(inner) for inner in quoted))


def _checked(found: Column, path: Path) -> ClassList:
    """The names without the ids and the synonyms beside them, if they can be the classes of a data set."""
    names, taken, others = list(found.names), list(found.taken), [list(own) for own in found.synonyms]
    others = others or [[] for _ in names]
    if names and all(map(_CODED.fullmatch, names)):
        for i, match in enumerate(map(_CODED.fullmatch, names)):
            assert match
            names[i], others[i] = match["name"], [*others[i], match["id"]]
        taken.append(f"The WordNet ids beside the names in '{shown(path)}' are taken as synonyms, not drawn")
    elif names and all(map(_CODE.fullmatch, names)):
        names, others = _named_codes(names, path)
        taken.append(f"The WordNet ids in '{shown(path)}' are taken by their names: {some(names)}")
    split = found.splits_at_commas and [", " in name and not whole for name, whole in found.entries(names)]
    if split and any(split):
        for i in (i for i, has_comma in enumerate(split) if has_comma):
            names[i], *rest = (part.strip() for part in names[i].split(", "))
            others[i] = [*rest, *others[i]]
        example = names[split.index(True)]
        taken.append(
            f"What stands behind a comma in '{shown(path)}' is taken as a synonym, so '{example}' is the name of a "
            "class; a name that has a comma stands in quotes, or in a list of JSON or YAML"
        )
    checked = check_classes(names)
    for sentence in taken:
        log.warning("%s.", sentence)
    pairs = zip(checked, others, strict=True)
    synonyms = {name: tuple(filter(None, map(plain_name, own))) for name, own in pairs if own}
    return ClassList(checked, synonyms, tuple(taken))


def _named_codes(codes: Sequence[str], path: Path) -> tuple[list[str], list[list[str]]]:
    """The names of WordNet's ids, as ImageNet's classes have them, and all else that they are called."""
    known = lemmas_of(codes)
    if unknown := [code for code in codes if code not in known]:
        raise UsageError(
            f"Expected WordNet ids of ImageNet-21K in '{shown(path)}', of which the names are known, got "
            f"{some(unknown)}. Write the names instead, or behind the ids, as in 'n01440764 tench'."
        )
    return [known[code][0] for code in codes], [[*known[code][1:], code] for code in codes]


def check_typed(names: Sequence[str], *, of_file: bool = False) -> tuple[str, ...]:
    """The names as they are seen, if each can be meant as one class; of a file, ids of WordNet may stand before them.

    Raises:
        UsageError: several in one, a piece of a list, a file, or numbers or codes beside all of the names.
    """
    names = tuple(map(plain_name, names))
    example = f"Write each for itself, e.g. {setting('classes', 'one two')}, or one a line in a file"
    for name in names:
        if re.search(r",(?! |$)", name) or (len(names) == 1 and not of_file and ", " in name):
            raise UsageError(f"Expected spaces between class names, got '{name}', which would be one class. {example}.")
        if _PIECE.fullmatch(name):
            raise UsageError(f"Expected class names, got '{name}', a piece of a list. {example}, a .json or a .yaml.")
        if _FILE.fullmatch(name) and Path(name).is_file():
            raise UsageError(
                f"Expected class names, got '{name}', the name of a file. Give it as {setting('classes_file', name)}."
            )
    is_coded = not of_file and all(map(_CODED.fullmatch, names))
    if len(names) > 1 and (_are_numbered(names) or is_coded):
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
    data = b""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)  # no more: a device has no end
        if len(data) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        text = data.decode(next((name for mark, name in _ENCODINGS if data.startswith(mark)), "utf-8-sig"))
        if "\0" in text:
            raise ValueError("it has zero bytes, as UTF-16 without a byte order mark")
        return text
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Expected a text file in UTF-8 with one class a line, got '{shown(path)}' ({_unread(error, data)}). "
            "Save it as UTF-8."
        ) from error


def _unread(error: Exception, data: bytes) -> str:
    """Why a file does not read, with the encoding that it may have."""
    if not (isinstance(error, UnicodeDecodeError) and error.encoding == "utf-8"):
        return shown(error)
    begin = max(data.rfind(mark, 0, error.start) for mark in (b"\n", b"\r")) + 1
    line = re.split(rb"[\r\n]", data[begin : begin + 40])[0].decode("cp1252", "replace")
    return f"byte {error.start} is no UTF-8; in Latin-1 or Windows-1252 the line reads '{line}'"


# ---- JSON and YAML ----------------------------------------------------------------------------------------


def _parse(path: Path, text: str) -> Any:
    """What JSON holds, or YAML with all words as they stand."""
    front = _FRONT_MATTER.match(text) if path.suffix.lower() == ".md" else None
    text = front[1] if front else text
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return parse_yaml(text, path, setting("classes_file"), TextLoader)


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
        if labels := list(_class_labels(content)):
            return _names_in(_only(labels, path), path)
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


def _class_labels(content: Any) -> Iterator[Any]:
    """The names of each ClassLabel of datasets: in its dataset_info.json, or on the card of a dataset."""
    parts = content.values() if isinstance(content, Mapping) else content if isinstance(content, list) else ()
    if isinstance(content, Mapping):
        label = content.get("class_label")
        label = content if content.get("_type") == "ClassLabel" else label
        if isinstance(label, Mapping) and "names" in label:
            yield label["names"]
            return
    for part in parts:
        yield from _class_labels(part)


def _only(labels: Sequence[Any], path: Path) -> Any:
    """Raises UsageError for several lists of names that differ."""
    if any(label != labels[0] for label in labels):
        raise UsageError(
            f"Expected one ClassLabel in '{shown(path)}', got {len(labels)} with other names. Write the names of one "
            "into a file of their own, one a line."
        )
    return labels[0]


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
