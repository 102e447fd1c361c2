"""Rows of the three tables of measures, whose values read as attributes, and of the table of evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from synthset.diagnosis.evidence import Finding
from synthset.diagnosis.failure_modes import TOO_FEW

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
    evidence: str = ""  # the tests behind the verdict, in words; EvidenceRow has their numbers

    @property
    def is_unresolved(self) -> bool:
        """Whether there are too few images for a verdict."""
        return self.verdict == TOO_FEW.name


@dataclass(frozen=True)
class EvidenceRow(Finding):
    """What one test says of one class of one synthetic set: see evidence.py."""

    set: str
    class_index: int
    class_name: str
    test: str

    def columns(self) -> dict[str, Any]:
        """All by column: which class and test it is, then what it says."""
        whose = ("set", "class_index", "class_name", "test")
        values = asdict(self)
        return {name: values[name] for name in (*whose, *(name for name in values if name not in whose))}


@dataclass(frozen=True, repr=False)
class Pairing(Row):
    """How well the references of one set classify the queries of another (or of the same)."""

    experiment: int  # number in the table, from 1
    reference: str  # ends in -IM or -PRMT, as the query does
    query: str
    values: Values = field(hash=False)
    queries: int
