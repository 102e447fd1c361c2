"""The short form of `make faults`: one of each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_cluster_that_loses_a_worker_a_node_and_a_driver_draws_the_same_dataset():
    pytest.importorskip("ray")
    script = Path(__file__).with_name("cluster.py")
    words = [sys.executable, str(script), "--workers", "1", "--nodes", "1", "--drivers", "1"]
    ran = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.count("killed: 240 requested, 240 ok, 0 datasets otherwise") == 3
