"""Which machines a command works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from synthset.core.options import Option, check_options
from synthset.executors import EXECUTORS, Executor, load_executor

MACHINES = "GPUs and machines"


@dataclass(frozen=True)
class Machines:
    """Where a command's work is done."""

    executor: Annotated[str, Option(group=MACHINES, choices=EXECUTORS)] = "local"
    """Executor: local, or ray, for many GPUs or machines, each with the model loaded once; needs
    `pip install "synthset[ray]"`."""
    address: Annotated[str | None, Option(group=MACHINES, default="Ray is started on this machine")] = None
    """Address of a running Ray cluster, e.g. auto or ray://head:10001."""
    workers: Annotated[int | None, Option(group=MACHINES, at_least=1, default="one a GPU, or one a core")] = None
    """Workers that share the work of Ray."""

    def __post_init__(self) -> None:
        check_options(self)

    def load(self) -> Executor:
        """The executor."""
        return load_executor(self.executor, self.address, self.workers)

    def load_remote(self) -> Executor | None:
        """The executor, None for this process."""
        executor = self.load()
        return None if self.executor == "local" else executor
