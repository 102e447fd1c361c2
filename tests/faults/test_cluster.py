"""The short form of `make faults cluster`, in a process of its own: Ray leaves traces in the one that it ran in."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_a_cluster_that_loses_a_worker_a_node_and_a_driver_draws_the_same_dataset():
    pytest.importorskip("ray")
    words = [sys.executable, str(Path(__file__).parent), "--short", "cluster"]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    lines = [line for line in ran.stdout.splitlines() if "cluster: a lost" in line]
    assert len(lines) == 3
    assert all("nothing" in line for line in lines)
