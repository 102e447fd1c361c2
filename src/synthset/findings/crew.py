"""Doing work by several processes: small networks gain more by a core each than by two threads."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from synthset.core.errors import SynthsetError
from synthset.core.progress import set_progress
from synthset.findings.work import Lab, Work

log = logging.getLogger("synthset")

MOST_WORKERS = 8  # by default: each holds PyTorch, a network and its images, about 1 GB


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


def default_workers(device: str) -> int:
    """One on a GPU, which one process fills, or else one a core that this process may use."""
    if device != "cpu":
        return 1
    import torch

    from synthset.core.cpu import tune_for_cpu

    tune_for_cpu()
    return min(torch.get_num_threads(), MOST_WORKERS)


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
    import torch
    from joblib import Parallel, delayed, parallel_config

    threads = max(1, torch.get_num_threads() // workers)
    with parallel_config("loky", inner_max_num_threads=threads), warnings.catch_warnings():
        # one whose memory grows is replaced, which is as it should be
        warnings.filterwarnings("ignore", "A worker stopped while some jobs")
        crew: Any = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=cast("Any", 1))
        yield from crew(delayed(_try_apart)(one, lab.root, threads, os.getpid()) for one in work)


def _try(work: Work, lab: Lab) -> Ended:
    try:
        lab.do(work)
    except SynthsetError as error:
        return Ended(work, str(error))
    return Ended(work)


def _try_apart(work: Work, root: Path, threads: int, parent: int) -> Ended:
    """In a process of a crew."""
    import torch

    _end_with(parent)
    torch.set_num_threads(threads)
    set_progress(False)
    with _warnings_kept() as kept:
        ended = _try(work, Lab(root))
    return Ended(work, ended.error, tuple(kept))


@cache
def _end_with(parent: int) -> None:
    """End this process soon after its parent, even one that was killed: the next run shall find no folder locked."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _warnings_kept() -> Iterator[list[str]]:
    """The warnings of Synthset in this block."""
    kept: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: kept.append(record.getMessage())
    before, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield kept
    finally:
        log.removeHandler(handler)
        log.propagate = before
