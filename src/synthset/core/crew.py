"""Work by several processes of this machine: small networks gain more by a core each than by two threads."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar, cast

from synthset.core.progress import set_progress

log = logging.getLogger("synthset")

MOST_WORKERS = 8  # by default: each holds PyTorch, a network and its images, about 1 GB

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers(device: str) -> int:
    """One on a GPU, which one process fills, or else one a core that this process may use."""
    if device != "cpu":
        return 1
    import torch

    from synthset.core.cpu import tune_for_cpu

    tune_for_cpu()
    return min(torch.get_num_threads(), MOST_WORKERS)


def call_apart(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Result, tuple[str, ...]]]:
    """Call a function on each item in processes that end with this one; gives what each call returns, as it ends.

    Args:
        function, items: travel to the processes by pickle.
        workers: processes; they share the threads that this one would use.
    Returns:
        Beside each result the warnings of Synthset meanwhile: a process of a crew has no terminal.
    """
    import torch
    from joblib import Parallel, delayed, parallel_config

    threads = max(1, torch.get_num_threads() // workers)
    with parallel_config("loky", inner_max_num_threads=threads), warnings.catch_warnings():
        # one whose memory grows is replaced, which is as it should be
        warnings.filterwarnings("ignore", "A worker stopped while some jobs")
        crew: Any = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=cast("Any", 1))
        yield from crew(delayed(_call)(function, item, threads, os.getpid()) for item in items)


def _call(function: Callable[[Item], Result], item: Item, threads: int, parent: int) -> tuple[Result, tuple[str, ...]]:
    """In a process of a crew."""
    import torch

    _end_with(parent)
    torch.set_num_threads(threads)
    set_progress(False)
    with _warnings_kept() as kept:
        result = function(item)
    return result, tuple(kept)


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
