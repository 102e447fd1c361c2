"""Rows of the three tables of measures; the value of a measure reads as an attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

Values = Mapping[str, float | None]  # by measure, see measures/registry.py; None where it lacks what it needs


@dataclass(frozen=True, repr=False)
class Row:
    """A row of a table; `row.centroid_distance` is `row.values["centroid_distance"]`."""

    def columns(self) -> dict[str, Any]:
        """All by column, in order: the fields, with the measures in the place of `values`."""
        columns: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            columns |= value if item.name == "values" else {item.name: value}
        return columns

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("values", {})  # not there while a copy is made
        if name not in values:
            raise AttributeError(f"'{type(self).__name__}' has no measure '{name}'. Valid: {', '.join(values)}.")
        return values[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.__dict__["values"]]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.columns().items())})"


@dataclass(frozen=True, repr=False)
class SetSummary(Row):
    """One set as a whole."""

    set: str
    kind: str  # real or synthetic
    images: int
    values: Values = field(hash=False)


@dataclass(frozen=True, repr=False)
class ClassRow(Row):
    """One class of one synthetic set, with its verdict: see failure_modes.py."""

    set: str
    class_index: int
    class_name: str
    images: int
    values: Values = field(hash=False)
    verdict: str
    explanation: str
    remedy: str


@dataclass(frozen=True, repr=False)
class Pairing(Row):
    """How well the references of one set classify the queries of another (or of the same)."""

    experiment: int  # number in the table, from 1
    reference: str  # ends in -IM or -PRMT, as the query does
    query: str
    values: Values = field(hash=False)
    queries: int
