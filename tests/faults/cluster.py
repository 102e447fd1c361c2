"""A cluster of three nodes on this machine that loses workers, nodes and drivers while it draws a dataset.

Each time the dataset must come out as one process draws it, shard by shard and byte by byte, and the driver must print
its result alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fault_report import FaultReport, report

import synthset
from synthset.create.stage import CreateResult
from synthset.dataset.manifest import Accounting
from synthset.executors.ray import RayExecutor
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.testing import FakeGenerator

JOB = {"strategies": ["base", "random_guidance"], "images_per_class": 60, "shard_size": 16}
CLASSES = ["cat", "dog"]
SHARDS = 15


@dataclass
class SlowGenerator(FakeGenerator):
    """Takes a fifth of a second, so that there is a middle to be killed in, and notes its process in a folder."""

    processes: Path | None = None

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        if self.processes is not None:
            (self.processes / str(os.getpid())).touch()
            time.sleep(0.2)
        return super().generate(requests)


def run(workers: int, nodes: int, drivers: int) -> list[FaultReport]:
    """So many losses of each kind, each in a cluster of its own."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        draw(scratch / "whole")
        counts = {"worker": workers, "node": nodes, "driver": drivers}
        return [lose(what, times, scratch, shards(scratch / "whole")) for what, times in counts.items()]


def lose(what: str, times: int, scratch: Path, expected: dict[str, bytes]) -> FaultReport:
    """Draw the job `times` times, each with one loss in the middle."""
    from ray.cluster_utils import Cluster

    total, lost = Accounting(), []
    for number in range(times):
        folder, processes = scratch / f"{what}-{number}", scratch / f"{what}-{number}-processes"
        processes.mkdir()
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            others = [cluster.add_node(num_cpus=1) for _ in range(2)]
            driver = start_driver(folder, processes, cluster.address)
            wait_for_shards(folder, 2 + number % 3)
            if what == "worker":
                os.kill(int(max(processes.iterdir(), key=lambda p: p.stat().st_mtime).name), signal.SIGKILL)
            elif what == "node":
                cluster.remove_node(others[number % 2], allow_graceful=False)
            else:
                driver.kill()
            if len(shards(folder)) == SHARDS:
                lost.append(f"loss {number} came after the end, and tried nothing")
            if what == "driver":
                driver.wait(60)
                driver = start_driver(folder, processes, cluster.address)  # the same command again
            said, _ = driver.communicate(timeout=120)
        finally:
            cluster.shutdown()
        accounting = draw(folder).accounting  # nothing is left to be drawn
        total += accounting
        if driver.returncode != 0:
            lost.append(f"loss {number}: the driver ended with {driver.returncode}")
        elif said != f"{accounting}\n":
            lost.append(f"loss {number}: the driver printed {said[:200]!r} beside its result")
        if shards(folder) != expected:
            lost.append(f"loss {number}: the shards are others than one process draws")
    return report(f"cluster: a lost {what}", times, total, lost)


def draw(folder: Path, processes: Path | None = None, address: str | None = None) -> CreateResult:
    """The job, in this process or on a cluster."""
    executor = RayExecutor(address, 3) if address else None
    return synthset.create(CLASSES, folder, generator=SlowGenerator(processes=processes), executor=executor, **JOB)


def start_driver(folder: Path, processes: Path, address: str) -> subprocess.Popen[str]:
    """The job on the cluster by another process, as a user would have it; its result is on its stdout."""
    command = [sys.executable, __file__, str(folder), str(processes), address]
    # on stderr Ray tells at length of what was killed
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def wait_for_shards(folder: Path, count: int, seconds: float = 60) -> None:
    """Until so many shards are there."""
    deadline = time.monotonic() + seconds
    while len(list((folder / "data").glob("train-*.parquet"))) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {count} shards in '{folder}'")
        time.sleep(0.02)


def shards(folder: Path) -> dict[str, bytes]:
    """The bytes of each shard, by name."""
    return {path.name: path.read_bytes() for path in sorted((folder / "data").glob("train-*.parquet"))}


def main() -> None:
    """The driver that may be lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("processes", type=Path)
    parser.add_argument("address")
    arguments = parser.parse_args()
    print(draw(arguments.folder, arguments.processes, arguments.address).accounting)


if __name__ == "__main__":
    main()
