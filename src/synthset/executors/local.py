"""One item after the other, in this process, on its GPU or all its cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from synthset.executors.base import Item, Result, WorkInTwoParts


class LocalExecutor:
    """The default executor: no processes, no copies, the model stays loaded."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `work(item)` for each item, in order; of work in two parts, the second is done behind the next item."""
        return _overlap(work, items) if isinstance(work, WorkInTwoParts) else map(work, items)


def _overlap(work: WorkInTwoParts, items: Iterable[Any]) -> Iterator[Any]:
    """One item is begun while at most one other is finished."""
    with ThreadPoolExecutor(max_workers=1) as behind:
        pending: Future[Any] | None = None
        try:
            for item in items:
                finish = work.begin(item)
                if pending:
                    yield pending.result()
                pending = behind.submit(finish)
        finally:
            if pending:
                pending.result()  # raises what failed behind, whatever ended the loop
        if pending:
            yield pending.result()
