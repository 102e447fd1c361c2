"""The seam between a job and the machines that do it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

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


@runtime_checkable
class WorkInTwoParts(Protocol):
    """Work whose second part leaves the device free: an executor may begin the next item meanwhile.

    It can be called as any other work, which does both parts.
    """

    def begin(self, item: Any) -> Callable[[], Any]:
        """Do the first part; the answer does the second, in any thread, and returns the result."""
        ...
