"""One item after the other, in this process, on its GPU or all its cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from synthset.executors.base import Item, Result


class LocalExecutor:
    """The default executor: no processes, no copies, the model stays loaded."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `work(item)` for each item, in order."""
        return map(work, items)
