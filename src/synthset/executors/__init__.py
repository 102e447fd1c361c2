"""Executors: where the shards of a job are worked on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synthset.core.errors import UnknownNameError, UsageError, setting
from synthset.executors.base import Executor
from synthset.executors.local import LocalExecutor

__all__ = ["EXECUTORS", "Executor", "LocalExecutor", "load_executor"]


def _load_local(address: str | None, num_workers: int | None) -> Executor:
    for name, value in (("address", address), ("workers", num_workers)):
        if value is not None:
            raise UsageError(
                f"Expected {setting('executor', 'ray')} with {setting(name, value)}, got "
                f"{setting('executor', 'local')}."
            )
    return LocalExecutor()


def _load_ray(address: str | None, num_workers: int | None) -> Executor:
    from synthset.executors.ray import RayExecutor

    return RayExecutor(address, num_workers)


@dataclass(frozen=True)
class ExecutorKind:
    """A line about an executor, for help and docs, and what makes one of an address and a number of workers."""

    summary: str
    load: Callable[[str | None, int | None], Executor]


EXECUTORS = {
    "local": ExecutorKind("this process, on its GPU or all its cores", _load_local),
    "ray": ExecutorKind("many GPUs or machines, each with the model loaded once, through Ray", _load_ray),
}


def load_executor(name: str, address: str | None = None, num_workers: int | None = None) -> Executor:
    """An executor by its name in EXECUTORS.

    Args:
        name: local (this process) or ray.
        address: of a running Ray cluster; None starts Ray on this machine.
        num_workers: of Ray; None for one a GPU, or one a core where there is no GPU.
    Raises:
        UsageError: another name, settings of Ray for another executor, or Ray is not installed.
    """
    if name not in EXECUTORS:
        raise UnknownNameError("executor", name, EXECUTORS)
    return EXECUTORS[name].load(address, num_workers)
