"""The seam between a job and the machines that do it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Does independent pieces of work; any object with this method can be given to a stage."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `work(item)` for each item, in any order.

        A bounded number of items is in flight at a time. Every result is yielded and every exception
        raised: none is dropped.
        """
        ...
