"""Many GPUs or machines through Ray, a worker process each that keeps its model loaded. Only this file imports ray.

    driver ── items, as workers ask for them ──▶ worker: work(item), on its GPU or cores
           ◀── a result, or the exception ──

A worker that is lost, with its process, its machine or its network, costs the items that it had: they go to another.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from synthset.core.errors import SynthsetError, UsageError, first_line, setting
from synthset.executors.base import Item, Result

log = logging.getLogger("synthset")

AHEAD = 2  # items a worker has at most: one that it works on, one that waits so that it need not
MAX_LOSSES = 5  # workers that an item may cost: one that kills them all would otherwise go round for ever


@dataclass(frozen=True)
class RayExecutor:
    """An executor on a Ray cluster, or on this machine's GPUs or cores.

    A worker is an actor: it gets `work` once, so that a model is loaded once, and then items, in no order.

    Attributes:
        address: of a running cluster ("auto", "ray://head:10001"); None starts Ray on this machine, with a token of
            its own, no dashboard and no telemetry, until this process ends.
        num_workers: processes; None for one a GPU, or one a core where there is none.
        cpus_per_worker: cores of each, and its OpenMP threads.
    Raises:
        UsageError: Ray is not installed, or a number that cannot be.
    """

    address: str | None = None
    num_workers: int | None = None
    cpus_per_worker: int = 1

    def __post_init__(self) -> None:
        if self.num_workers is not None and self.num_workers < 1:
            raise UsageError(f"Expected at least 1 worker, got {self.num_workers}.")
        if self.cpus_per_worker < 1:
            raise UsageError(f"Expected at least 1 core a worker, got {self.cpus_per_worker}.")
        _import_ray(self.address)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `work(item)` for each item, as they are done.

        Args:
            work: can be pickled (by cloudpickle), and its results too.
            items: taken one by one, as workers become free.
        Raises:
            SynthsetError: the cluster cannot be reached, or an item cost MAX_LOSSES workers.
            Exception: of `work`, itself; items in flight are then given up.
        """
        ray = _connect(self.address, self.num_workers and self.num_workers * self.cpus_per_worker)
        resources = ray.cluster_resources()
        cores = int(resources.get("CPU", 0)) // self.cpus_per_worker
        size = self.num_workers or int(resources.get("GPU", 0)) or max(1, cores)
        pool = _Pool(ray, ray.put(work), size, self.cpus_per_worker)
        try:
            yield from pool.run(items)
        finally:
            pool.close()


class _Worker:
    """The work in each process. Ray makes an actor of it."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work

    def ready(self) -> None:
        """Answered once the work has arrived."""

    def do(self, item: Any) -> Any:
        return self._work(item)


@dataclass(eq=False)
class _Task:
    """An item on its way to a result, and the workers that it has cost."""

    item: Any
    losses: int = 0


@dataclass(eq=False)
class _Pool:
    """Workers, made when there is something for them to do, and the items that each has in hand.

    A worker gets nothing before it is there: after a machine was lost, the cluster may have no place for another.
    """

    ray: Any
    work: Any  # a reference to it in Ray's store
    size: int
    cpus: int
    workers: list[Any] = field(default_factory=list)
    starting: dict[Any, Any] = field(default_factory=dict)  # workers by the reference that is there when they are
    in_hand: dict[Any, tuple[Any, _Task]] = field(default_factory=dict)  # by the reference to the result
    failed_starts: int = 0

    def run(self, items: Iterable[Any]) -> Iterator[Any]:
        """A result for each item."""
        coming, waiting = (_Task(item) for item in items), deque[_Task]()
        while True:
            while True:
                wanted = max(1, self.size - len(self.workers))  # those that wait decide how many workers start
                waiting.extend(islice(coming, max(0, wanted - len(waiting))))
                worker = self._least_busy()
                if not waiting or worker is None:
                    break
                task = waiting.popleft()
                self.in_hand[worker.do.remote(task.item)] = worker, task
            if not waiting and not self.in_hand:
                return
            self._start_workers(len(waiting))
            (done, *_), _ = self.ray.wait([*self.in_hand, *self.starting], num_returns=1)
            if done in self.starting:
                self._welcome(done)
                continue
            worker, _ = self.in_hand[done]
            try:
                result = self.ray.get(done)
            except self.ray.exceptions.RayTaskError as error:
                raise getattr(error, "cause", error) from None
            except self.ray.exceptions.RayError as error:
                waiting.extend(self._lost(worker, error))
            else:
                del self.in_hand[done]
                yield result

    def _least_busy(self) -> Any:
        """A worker that may have another item, None if there is none."""
        counts = dict.fromkeys(self.workers, 0)
        for worker, _ in self.in_hand.values():
            counts[worker] += 1
        least = min(self.workers, key=counts.__getitem__, default=None)
        return least if least is not None and counts[least] < AHEAD else None

    def _start_workers(self, num_tasks: int) -> None:
        """As many as the tasks that wait, and as there may be."""
        count = min(num_tasks, self.size - len(self.workers)) - len(self.starting)
        if count <= 0:
            return
        num_gpus = 1 if self.ray.cluster_resources().get("GPU", 0) > 0 else 0
        environment = {"env_vars": {"OMP_NUM_THREADS": str(self.cpus)}}
        actor = self.ray.remote(num_cpus=self.cpus, num_gpus=num_gpus, runtime_env=environment)(_Worker)
        for _ in range(count):
            worker = actor.remote(self.work)
            self.starting[worker.ready.remote()] = worker

    def _welcome(self, reference: Any) -> None:
        """A worker that is there, or that could not be."""
        worker = self.starting.pop(reference)
        try:
            self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            if getattr(error, "actor_init_failed", False):
                reason = str(error).strip().splitlines()[-1]
                raise SynthsetError(
                    f"Expected the work to arrive at a worker, it does not load there ({reason}). "
                    "Is Synthset, and all that the work needs, installed on every machine?"
                ) from error
            self.failed_starts += 1
            if self.failed_starts >= MAX_LOSSES:
                raise SynthsetError(
                    f"Expected a worker to start, {self.failed_starts} did not ({first_line(error)})."
                ) from error
        else:
            self.failed_starts = 0
            self.workers.append(worker)

    def _lost(self, worker: Any, error: Exception) -> list[_Task]:
        """The tasks of a worker that is no more, to be done again. Raises for one that has cost too many."""
        tasks = [self.in_hand.pop(reference)[1] for reference, (other, _) in [*self.in_hand.items()] if other is worker]
        task = tasks[0]  # the one in work: the others waited
        log.warning("A worker was lost (%s): its items go to others.", first_line(error).rstrip("."))
        with suppress(ValueError):
            self.workers.remove(worker)
        with suppress(Exception):  # it may be alive and out of reach: its items are done elsewhere
            self.ray.kill(worker)
        task.losses += 1
        if task.losses >= MAX_LOSSES:
            raise SynthsetError(
                f"Expected a worker to live through item {task.item!r}, {task.losses} did not ({first_line(error)}). "
                f"Is there enough memory? Give fewer {setting('workers')} or a smaller {setting('batch_size')}, then "
                "run the same again."
            ) from error
        return tasks

    def close(self) -> None:
        """Stop the workers, whatever they are at."""
        for worker in [*self.workers, *self.starting.values()]:
            with suppress(Exception):  # of a cluster that is gone nothing is left to stop
                self.ray.kill(worker)


def _import_ray(address: str | None) -> Any:
    """Ray, with the defaults that are safe; they are read as it is imported."""
    if "ray" not in sys.modules:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # its daemons tell of lost workers on stdout, where results are: all of it is skipped, and we tell
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")
        if address is None:  # of a cluster that is there, the mode and the token are its own
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise UsageError(
            'Expected Ray for this executor, it is not installed. Run: pip install "synthset[ray]"'
        ) from error
    return ray


def _connect(address: str | None, num_cpus: int | None) -> Any:
    """Ray, connected. It stays so until the process ends, for a stage asks for more than one piece of work."""
    ray = _import_ray(address)
    if ray.is_initialized():
        return ray
    # "local", or Ray would join a cluster of somebody else that happens to run here
    own = {"address": "local", "include_dashboard": False, "num_cpus": num_cpus}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its own coming versions
            ray.init(**(own if address is None else {"address": address}), logging_level="ERROR", log_to_driver=False)
    except Exception as error:  # Ray has many ways to say that nobody is there
        where = f"a Ray cluster at '{address}'" if address else "Ray to start on this machine"
        raise SynthsetError(f"Expected {where}, got: {first_line(error)}") from error
    return ray
