"""Doing the work of findings by several processes, each piece after what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from synthset.core.crew import call_apart
from synthset.core.errors import SynthsetError
from synthset.findings.work import Lab, Work


@dataclass(frozen=True)
class Ended:
    """A piece of work that was tried.

    Attributes:
        error: why it could not be done; None if it is.
        warnings: of a process that has no terminal.
    """

    work: Work
    error: str | None = None
    warnings: tuple[str, ...] = ()


def do_all(work: Sequence[Work], lab: Lab, workers: int, begin: Callable[[Work], None]) -> Iterator[Ended]:
    """Do work that is in order of its needs; gives each piece as it ends. What needs failed work fails with it.

    Args:
        workers: processes; the work of one is done in this one.
        begin: is told of each piece, or of the first of several that are begun together.
    """
    failed: dict[Work, str] = {}
    for together in _layers(work) if workers > 1 else ((one,) for one in work):
        able = []
        for one in together:
            if lacking := next((need for need in one.needs() if need in failed), None):
                failed[one] = f"needs {lacking.kind} {lacking.title}: {failed[lacking]}"
                yield Ended(one, failed[one])
            else:
                able.append(one)
        if able:
            begin(able[0])
        for ended in _try_all(able, lab, workers):
            if ended.error is not None:
                failed[ended.work] = ended.error
            yield ended


def _layers(work: Sequence[Work]) -> Iterator[list[Work]]:
    """Parts of the work, one after the other, in which no piece needs or changes what another of the part reads."""
    depths: dict[Work, int] = {}
    for one in work:
        depths[one] = 1 + max((depths.get(need, 0) for need in one.needs()), default=0)

    def place(one: Work) -> tuple[int, bool]:
        return depths[one], not one.changes_what_it_needs

    for _, together in groupby(sorted(work, key=place), key=place):
        yield sorted(together, key=lambda one: -sum(vars(one.cost).values()))  # nobody waits for a long one at the end


def _try_all(work: Sequence[Work], lab: Lab, workers: int) -> Iterator[Ended]:
    """Each of independent pieces as it ends."""
    if workers == 1 or len(work) == 1:
        yield from (_try(one, lab) for one in work)
        return
    for ended, kept in call_apart(partial(_try, lab=Lab(lab.root)), work, workers):
        yield replace(ended, warnings=kept)


def _try(work: Work, lab: Lab) -> Ended:
    try:
        lab.do(work)
    except SynthsetError as error:
        return Ended(work, str(error))
    return Ended(work)
