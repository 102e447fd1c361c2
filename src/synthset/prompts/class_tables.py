"""Class names in a table: the column of a CSV or TSV that holds them, and the one that numbers them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthset.core.errors import UsageError, some
from synthset.core.names import plain_name, shown

_NAMES = ("name", "class", "class_name", "label_name", "names", "classes", "label", "labels", "category")
_NUMBERS = ("id", "index", "idx", "number", "label", "label_id", "class_id", "class_index", "class", "target")
_SYNONYMS = ("synonyms", "synonym", "aliases", "other_names")
_CODES = ("wnid", "wordnet_id", "synset", "synset_id")
_CODE = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Column:
    """The names of a file, as they stand there.

    Attributes:
        taken: sentences that say which way something was read that has more than one.
        synonyms: that stand beside each name, if there is a place for them.
        whole: which names stand in quotes, and so have no synonyms behind a comma; None where none can have any.
    """

    names: Sequence[str]
    taken: tuple[str, ...] = ()
    synonyms: Sequence[Sequence[str]] = ()
    whole: tuple[bool, ...] | None = None

    @property
    def splits_at_commas(self) -> bool:
        """Whether what stands behind a comma is a synonym."""
        return self.whole is not None

    def entries(self, names: Iterable[str]) -> Iterable[tuple[str, bool]]:
        """The names, each with whether it stands in quotes."""
        return zip(names, self.whole or (), strict=True)


def read_table(text: str, path: Path) -> Column:
    """The names in a table, in the order of its numbers if it has any.

    Raises:
        UsageError: no column that is called as names are, or several; numbers that do not count from 0 or 1; rows of
            other lengths.
    """
    rows = _rows(text, path)
    if not rows:
        return Column(())
    heading = [re.sub(r"[\s-]+", "_", cell.lower()) for cell in rows[0]]
    if len(heading) == 1:
        has_heading = heading[0] in _NAMES and len(rows) > 1
        names = [row[0] for row in rows[has_heading:]]
        taken = (f"The first row of '{shown(path)}', '{rows[0][0]}', is taken as the heading, not as a class",)
        return Column(names, taken if has_heading else (), whole=(False,) * len(names))
    is_data = any(_are_numbers([cell]) or _are_codes([cell]) for cell in heading)
    has_heading = not is_data and bool({*heading} & {*_NAMES, *_SYNONYMS, *_CODES, *_NUMBERS})
    body = rows[has_heading:]
    columns = [list(column) for column in zip(*body, strict=True)] or [[] for _ in heading]
    place = _place_of_names(columns, heading if has_heading else None, path)
    order, by = _order(columns, place, heading if has_heading else None, path)
    beside = [_beside(i, heading if has_heading else None, columns) for i in range(len(columns)) if i != place]
    synonyms = [[text for texts in beside for text in (texts[row] if texts else ())] for row in order]
    what = f"column '{rows[0][place]}'" if has_heading else f"column {place + 1}"
    taken = f"Class names are taken from {what} of '{shown(path)}'{by}"
    return Column([columns[place][row] for row in order], (taken,), synonyms, (False,) * len(order))


def _rows(text: str, path: Path) -> list[list[str]]:
    """The cells of each row that holds any, without columns that are empty throughout."""
    lines = [line for line in text.splitlines() if line.strip() and not plain_name(line).startswith("#")]
    first = lines[0] if lines else ""
    has_tabs = path.suffix.lower() == ".tsv" or any("\t" in line for line in lines)
    mark = "\t" if has_tabs else ";" if ";" in first and "," not in first else ","
    try:
        rows = [list(map(plain_name, row)) for row in csv.reader(lines, delimiter=mark, skipinitialspace=True)]
    except csv.Error as error:
        raise UsageError(f"Expected a table of class names in '{shown(path)}', it does not read ({error}).") from error
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise UsageError(
                f"Expected {len(rows[0])} columns in each row of '{shown(path)}', as in the first, got {len(row)} in "
                f"row {number}: {some(row, 3)}. Put a name with a '{mark}' in it in double quotes."
            )
    used = [i for i in range(len(rows[0]) if rows else 0) if any(row[i] for row in rows)]
    return [[row[i] for i in used] for row in rows if any(row)]


def _place_of_names(columns: Sequence[Sequence[str]], heading: Sequence[str] | None, path: Path) -> int:
    """Which column has the names: the one that is called so and has words in it, or beside numbers or ids the other."""
    worded = [i for i, column in enumerate(columns) if not (_are_numbers(column) or _are_codes(column))]
    if heading is None:
        if len(worded) == 1 and len(columns) == 2:
            return worded[0]
        raise UsageError(
            f"Expected a row with the names of the {len(columns)} columns at the top of '{shown(path)}', to tell which "
            f"holds the class names, got {some([column[0] for column in columns], 4)}. Call it 'name'."
        )
    called = [i for i in worded if heading[i] in _NAMES]
    if len(called) == 1:
        return called[0]
    several = f", {' and '.join(repr(heading[i]) for i in called)}" if called else ""
    raise UsageError(
        f"Expected one column of class names in '{shown(path)}', got {len(called) or 'none'} of its columns "
        f"{some(heading, 8)} that may be{several}. Leave one, and call it 'name'."
    )


def _order(
    columns: Sequence[Sequence[str]], names: int, heading: Sequence[str] | None, path: Path
) -> tuple[list[int], str]:
    """The rows in the order of their numbers, and a word on that; as they stand where there are no numbers."""
    called = range(len(columns)) if heading is None else [i for i, name in enumerate(heading) if name in _NUMBERS]
    found = [i for i in called if i != names and _are_numbers(columns[i])]
    if not found:
        return list(range(len(columns[names]))), ""
    numbers = [list(map(int, columns[i])) for i in found]
    sorted_numbers = sorted(numbers[0])
    if any(other != numbers[0] for other in numbers) or sorted_numbers not in (
        list(range(len(numbers[0]))),
        list(range(1, len(numbers[0]) + 1)),
    ):
        raise UsageError(
            f"Expected the numbers 0..{len(numbers[0]) - 1} beside the {len(numbers[0])} class names in "
            f"'{shown(path)}', got {some(list(map(str, numbers[0])), 8)}"
            f"{' and others in another column' if len(found) > 1 else ''}. Write the names alone, in the order of "
            "their labels."
        )
    what = f"'{heading[found[0]]}'" if heading else "beside them"
    return sorted(range(len(numbers[0])), key=numbers[0].__getitem__), f", in the order of the numbers {what}"


def _beside(place: int, heading: Sequence[str] | None, columns: Sequence[Sequence[str]]) -> list[list[str]] | None:
    """What a column has of each class that is another name of it: synonyms, or WordNet ids."""
    if heading is not None and heading[place] in _SYNONYMS:
        return [[part.strip() for part in re.split(r"[,;|]", text) if part.strip()] for text in columns[place]]
    return [[code] for code in columns[place]] if _are_codes(columns[place]) else None


def _are_numbers(column: Sequence[str]) -> bool:
    return bool(column) and all(text.isascii() and text.isdecimal() for text in column)


def _are_codes(column: Sequence[str]) -> bool:
    return bool(column) and all(map(_CODE.fullmatch, column))
