"""kill -9 in the middle of `create`, and the same command again, in real processes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from small_datasets import hashes

JOB = """
import sys, time
import synthset
from synthset.testing import FakeGenerator

class Slow(FakeGenerator):
    def generate(self, requests):
        time.sleep(float(sys.argv[2]))
        return super().generate(requests)

synthset.create(
    ["cat", "dog"], sys.argv[1], generator=Slow(preferred_batch_size=64),
    strategies=["base", "random_guidance"], images_per_class=512,
)
"""


def start(folder: Path, seconds_a_batch: float) -> subprocess.Popen:
    return subprocess.Popen(command(folder, seconds_a_batch), stderr=subprocess.DEVNULL)


def finish(folder: Path) -> str:
    """Run the job to its end; what it wrote to stderr."""
    return subprocess.run(command(folder, 0), capture_output=True, text=True, check=False).stderr


def command(folder: Path, seconds_a_batch: float) -> list[str]:
    return [sys.executable, "-c", JOB, str(folder), str(seconds_a_batch)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> dict[int, str]:
    folder = tmp_path_factory.mktemp("whole") / "pets"
    assert finish(folder) == ""
    return hashes(folder)


@pytest.mark.parametrize("shards_before_the_kill", [0, 1, 3])
def test_kill_9_loses_at_most_a_shard_and_changes_no_image(tmp_path, uninterrupted, shards_before_the_kill):
    folder = tmp_path / "pets"
    job = start(folder, 0.05)
    deadline = time.monotonic() + 120
    while not (folder / "plan.parquet").exists() or len(list(folder.glob("data/train-*"))) < shards_before_the_kill:
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    job.send_signal(signal.SIGKILL)
    job.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("data/train-*")}
    assert len(kept) < 4

    assert finish(folder) == ""
    assert hashes(folder) == uninterrupted
    assert all((folder / "data" / name).stat().st_mtime_ns == time_ns for name, time_ns in kept.items())
    assert not list(folder.rglob("*.part"))


def test_two_runs_do_not_fill_one_folder_at_once(tmp_path):
    folder = tmp_path / "pets"
    first = start(folder, 0.3)
    while not (folder / "plan.parquet").exists():
        assert first.poll() is None
        time.sleep(0.01)
    assert "Another command is at work in" in finish(folder)
    first.kill()
    first.wait()
    assert finish(folder) == ""  # the lock of a dead run is free
