"""Executors: where the shards of a job are worked on."""

from synthset.executors.base import Executor
from synthset.executors.local import LocalExecutor

__all__ = ["Executor", "LocalExecutor"]
