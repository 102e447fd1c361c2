"""Labels of tables as numbers: names, numbers with names, and numbers alone, in the order of one list of classes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.core.errors import DataError
from synthset.core.names import plain_name

if TYPE_CHECKING:
    from synthset.images.columns import Table

logger = logging.getLogger(__name__)

MAX_CLASSES = 100_000  # a label above is an id, not a class


def names_in_all(tables: Sequence[Table], column: str, values: list[Any]) -> tuple[str, ...] | None:
    """The class names of all tables, in the order of the first; numbers of the others are put into that order.

    Raises:
        DataError: tables that name other classes: one number means two of them.
    """
    lists = [table.class_names(column) for table in tables]
    names = lists[0]
    start = 0
    for table, others in zip(tables, lists, strict=True):
        stop = start + table.rows
        if others != names:
            if names is None or others is None or set(names) != set(others) or len(set(names)) < len(names):
                raise DataError(
                    f"Expected the same classes in all tables, got {_some(names)} in '{tables[0].file}' and "
                    f"{_some(others)} in '{table.file}'. Give the path of one of them."
                )
            place = {name: i for i, name in enumerate(names)}
            for row in range(start, stop):
                if isinstance(number := values[row], int) and 0 <= number < len(others):
                    values[row] = place[others[number]]
        start = stop
    return names


def number_labels(values: list[Any], names: Sequence[str] | None, place: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of any kind -> int64 (n,), -1 for none, and the class names: the labels themselves if need be."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {str}:
        words = [plain_name(value or "") or None for value in values]  # a cell of CSV that is empty has no label
        own = {word for word in words if word is not None}
        class_names = tuple(names) if names and own <= set(names) else tuple(sorted(own))
        index: dict[str | None, int] = {name: i for i, name in enumerate(class_names)}
        return np.array([index.get(word, -1) for word in words], np.int64), class_names
    if kinds and kinds != {int}:
        raise DataError(
            f"Expected labels of '{place}' that are all integers or all text, "
            f"got {', '.join(sorted(kind.__name__ for kind in kinds))}."
        )
    labels = np.array([-1 if value is None else value for value in values], np.int64)
    numbers = np.unique(labels[labels != -1])
    low, high = (int(numbers[0]), int(numbers[-1])) if len(numbers) else (0, 0)
    if names is None:
        if low < 0 or high >= MAX_CLASSES:
            raise DataError(f"Expected class indices as labels of '{place}', got values of {low} to {high}.")
        return np.where(labels < 0, -1, np.searchsorted(numbers, labels)), tuple(map(str, numbers.tolist()))
    k = len(names)
    first = first_number(numbers, names, place)
    if low < first or high >= k + first:
        raise DataError(f"Expected labels 0..{k - 1} of '{place}', which names {k} classes, got {low}..{high}.")
    return np.where(labels < 0, -1, labels - first), tuple(names)


def first_number(numbers: np.ndarray, names: Sequence[str], place: str) -> int:
    """The number of the first of k names: 0, or 1 where the numbers have none below and reach k, which is said."""
    if not len(numbers) or numbers.min() < 1 or numbers.max() != len(names):
        return 0
    logger.warning("'%s' counts its labels from 1: 1 is '%s', %d is '%s'", place, names[0], len(names), names[-1])
    return 1


def _some(names: Sequence[str] | None) -> str:
    if names is None:
        return "no names"
    return ", ".join(names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")
