"""Work that experiments share: each piece a declaration, done once, with its figures in a folder of its own.

Two findings that declare the same drawing mean the same folder. A piece of work knows the others that it needs from its
own fields, so a plan is made of declarations alone, before anything is drawn.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from synthset.core.errors import DataError
from synthset.core.files import write_json
from synthset.core.json_records import Seconds, read_record

FORMAT = "synthset-work-1"
FOLDER, FILE = "work", "figures.json"
_DIGITS_OF_KEY = 12


@dataclass(frozen=True)
class Cost:
    """What a piece of work takes, in units that do not depend on the machine.

    Attributes:
        unet_rows: rows through the denoiser: images × steps, twice that with guidance.
        trained_images: images through a training step, each as often as there are passes.
        encoded_images: images through an encoder.
    """

    unet_rows: int = 0
    trained_images: int = 0
    encoded_images: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, unit.name) + getattr(other, unit.name) for unit in fields(self)))


@dataclass(frozen=True)
class Work(ABC):
    """A piece of work. What it is declared as is its identity."""

    kind: ClassVar[str]
    changes_what_it_needs: ClassVar[bool] = False  # then nothing else reads that meanwhile

    @property
    @abstractmethod
    def title(self) -> str:
        """What it does, in a few words."""

    @property
    @abstractmethod
    def cost(self) -> Cost:
        """What it takes, as far as that is known before."""

    @abstractmethod
    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Do it into `home`, going on with what lies there; its figures."""

    @cached_property
    def key(self) -> str:
        """A short hash of what it is declared as."""
        text = json.dumps(self.declaration, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS_OF_KEY]

    @property
    def declaration(self) -> dict[str, Any]:
        """Its kind and fields, as JSON has them; work that it needs is named by kind and key."""
        return {"kind": self.kind, **{item.name: _plain(getattr(self, item.name)) for item in fields(self)}}

    @property
    def folder(self) -> Path:
        """Its place among the work of a reproduction."""
        return Path(FOLDER, self.kind, f"{re.sub(r'[^a-z0-9.]+', '-', self.title.lower()).strip('-')[:48]}-{self.key}")

    def needs(self) -> Iterator[Work]:
        """The work that it is made of, each piece once."""
        yield from dict.fromkeys(_work_in(getattr(self, item.name) for item in fields(self)))

    def __getitem__(self, name: str) -> Value:
        """One of its figures, by name."""
        return Value(self, name)


def _plain(value: Any) -> Any:
    if isinstance(value, Work):
        return f"{value.kind} {value.key}"
    if is_dataclass(value) and not isinstance(value, type):
        named = {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
        return {"is": type(value).__name__, **named}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _work_in(values: Iterable[Any]) -> Iterator[Work]:
    for value in values:
        if isinstance(value, Work):
            yield value
        elif isinstance(value, tuple | list):
            yield from _work_in(value)
        elif is_dataclass(value) and not isinstance(value, type):
            yield from _work_in(getattr(value, item.name) for item in fields(value))


@dataclass(frozen=True)
class Value:
    """A figure of a piece of work, or the difference of two."""

    work: Work
    name: str
    less: Value | None = None

    def __sub__(self, other: Value) -> Value:
        return Value(self.work, self.name, other)

    def read(self, lab: Lab) -> float:
        """The number, of work that is done. Raises DataError where it has no such figure."""
        values = lab.values(self.work)
        if self.name not in values:
            raise DataError(
                f"Expected '{self.name}' among the figures in '{self.work.folder}', got {', '.join(values)}."
            )
        return values[self.name] - (self.less.read(lab) if self.less else 0.0)

    def all_work(self) -> Iterator[Work]:
        """The work that it is read of."""
        yield self.work
        if self.less:
            yield from self.less.all_work()


@dataclass(frozen=True)
class Done:
    """figures.json: what a piece of work came to.

    Attributes:
        work: its declaration.
        figures: by name; a share is in [0, 1].
        seconds: that it took, in the run that finished it.
    """

    format: Literal["synthset-work-1"]
    work: Mapping[str, Any]
    figures: Mapping[str, float]
    seconds: Seconds


class Lab:
    """The folder in which the work of a reproduction is done, each piece once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._done: dict[str, Done] = {}

    def home(self, work: Work) -> Path:
        """The folder of a piece of work."""
        return self.root / work.folder

    def find(self, work: Work) -> Done | None:
        """What it came to, if it is done. Raises DataError for a damaged file."""
        if work.key not in self._done:
            path = self.home(work) / FILE
            try:
                self._done[work.key] = read_record(Done, path, f"Delete '{path}', and run the same again.")
            except FileNotFoundError:
                return None
        return self._done[work.key]

    def values(self, work: Work) -> Mapping[str, float]:
        """Figures of work that is done. Raises DataError where it is not."""
        done = self.find(work)
        if done is None:
            raise DataError(
                f"Expected '{work.title}' to be done in '{self.home(work)}', it is not. Run the same again."
            )
        return done.figures

    def do(self, work: Work) -> Done:
        """Do a piece of work whose needs are done, unless it is done itself. Raises DataError for a figure like NaN."""
        if done := self.find(work):
            return done
        home, start = self.home(work), time.monotonic()
        home.mkdir(parents=True, exist_ok=True)
        figures = {name: float(value) for name, value in work.run(home, self).items()}
        if odd := [name for name, value in figures.items() if not math.isfinite(value)]:
            raise DataError(f"Expected a number for '{odd[0]}' of {work.kind} '{work.title}', got {figures[odd[0]]}.")
        seconds = round(time.monotonic() - start, 1)
        write_json(home / FILE, {"format": FORMAT, "work": work.declaration, "figures": figures, "seconds": seconds})
        return self._done.setdefault(work.key, Done(FORMAT, work.declaration, figures, seconds))


def in_order(wanted: Iterable[Work]) -> list[Work]:
    """All that is wanted and all that it needs, each piece once, after what it is made of."""
    ordered: dict[Work, None] = {}

    def add(work: Work) -> None:
        if work not in ordered:
            for need in work.needs():
                add(need)
            ordered[work] = None

    for work in wanted:
        add(work)
    return list(ordered)
