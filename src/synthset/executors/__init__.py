"""Executors: where the shards of a job are worked on."""

from __future__ import annotations

from synthset.core.errors import UnknownNameError, UsageError
from synthset.executors.base import Executor
from synthset.executors.local import LocalExecutor

__all__ = ["EXECUTORS", "Executor", "LocalExecutor", "load_executor"]

EXECUTORS = ("local", "ray")


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
    if name == "local":
        if address is not None:
            raise UsageError(f"Expected --executor ray with --address {address}, got --executor local.")
        return LocalExecutor()

    from synthset.executors.ray import RayExecutor

    return RayExecutor(address, num_workers)
