"""A cluster of three nodes on this machine that loses workers, nodes and drivers while it draws a dataset.

    python tests/faults/cluster.py [--workers 10] [--nodes 5] [--drivers 5]

Each time the dataset must come out as one process draws it, file by file and byte by byte. Prints a line a kind of
loss; exits 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import synthset
from synthset.errors import SynthsetError
from synthset.executors.ray import RayExecutor
from synthset.testing import FakeGenerator

JOB = {"strategies": ["base", "random_guidance"], "images_per_class": 60, "shard_size": 16}
CLASSES = ["cat", "dog"]


class SlowGenerator(FakeGenerator):
    """Takes a little while, so that there is a middle to be killed in; notes its process."""

    def generate(self, requests):
        """As the fake does it, in a twentieth of a second."""
        folder = Path(os.environ["SYNTHSET_PROCESSES"])
        (folder / str(os.getpid())).touch()
        time.sleep(0.05)
        return super().generate(requests)


@dataclass(frozen=True)
class Loss:
    """What was lost how often, and how many datasets came out otherwise than they should."""

    what: str
    times: int
    requested: int
    ok: int
    lost: int


def draw(folder: Path, address: str | None = None):
    """The job, in this process or on a cluster."""
    executor = RayExecutor(address, 3) if address else None
    return synthset.create(CLASSES, folder, generator=SlowGenerator(), executor=executor, **JOB)


def shards(folder: Path) -> dict[str, bytes]:
    """The bytes of each shard, by name."""
    return {path.name: path.read_bytes() for path in sorted((folder / "data").glob("train-*.parquet"))}


def wait_for_shards(folder: Path, count: int, seconds: float = 60) -> None:
    """Until so many shards are there."""
    deadline = time.monotonic() + seconds
    while len(list((folder / "data").glob("train-*.parquet"))) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {count} shards in '{folder}'")
        time.sleep(0.02)


def start_driver(folder: Path, address: str) -> subprocess.Popen[bytes]:
    """The job by another process, as a user would have it."""
    command = [sys.executable, __file__, "--draw", str(folder), "--address", address]
    # Ray tells at length of what was killed
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def lose(what: str, times: int, scratch: Path, expected: dict[str, bytes]) -> Loss:
    """Draw the job `times` times, each with one loss in the middle."""
    from ray.cluster_utils import Cluster

    requested = ok = lost = 0
    for number in range(times):
        folder, processes = scratch / f"{what}-{number}", scratch / f"{what}-{number}-processes"
        processes.mkdir()
        os.environ["SYNTHSET_PROCESSES"] = str(processes)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            others = [cluster.add_node(num_cpus=1) for _ in range(2)]
            driver = start_driver(folder, cluster.address)
            wait_for_shards(folder, 2 + number % 3)
            if what == "worker":
                os.kill(int(max(processes.iterdir(), key=lambda p: p.stat().st_mtime).name), signal.SIGKILL)
            elif what == "node":
                cluster.remove_node(others[number % 2], allow_graceful=False)
            else:
                driver.kill()
            driver.wait(120)
            if what == "driver":
                driver = start_driver(folder, cluster.address)  # the same command again
                driver.wait(120)
            drawn = shards(folder)
            requested += 240
            ok += synthset.create(CLASSES, folder, generator=SlowGenerator(), **JOB).accounting.ok
            lost += driver.returncode != 0 or drawn != expected
        finally:
            cluster.shutdown()
    return Loss(what, times, requested, ok, lost)


def run(workers: int, nodes: int, drivers: int) -> list[Loss]:
    """All kinds of losses."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        os.environ["SYNTHSET_PROCESSES"] = name
        draw(scratch / "whole")
        expected = shards(scratch / "whole")
        counts = {"worker": workers, "node": nodes, "driver": drivers}
        return [lose(what, times, scratch, expected) for what, times in counts.items() if times]


def main() -> int:
    """0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--drivers", type=int, default=5)
    parser.add_argument("--draw", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.draw:
        try:
            draw(arguments.draw, arguments.address)
        except SynthsetError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        return 0
    losses = run(arguments.workers, arguments.nodes, arguments.drivers)
    for loss in losses:
        print(
            f"{loss.times} × a {loss.what} killed: {loss.requested:,} requested, {loss.ok:,} ok, "
            f"{loss.lost} datasets otherwise than without"
        )
    return int(any(loss.lost for loss in losses))


if __name__ == "__main__":
    sys.exit(main())
