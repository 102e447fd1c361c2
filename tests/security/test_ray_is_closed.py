"""Ray that Synthset starts on this machine: nobody else may use it, it shows no dashboard, and it tells nobody."""

import contextlib
import json
import os
import socket
import subprocess
import sys

import pytest

START = """
import json, os, sys
from synthset.executors.ray import RayExecutor

executor = RayExecutor(num_workers=1)
assert list(executor.map(str, [1])) == ["1"]
import ray
context = ray.get_runtime_context()
print(json.dumps([context.gcs_address, os.environ["RAY_AUTH_TOKEN"], os.environ["RAY_USAGE_STATS_ENABLED"],
                  ray._private.worker.get_dashboard_url()]), flush=True)
sys.stdin.read()
"""
ENTER = """
import sys, ray
ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
print(ray.get(ray.remote(lambda: "I was here").remote()), flush=True)
"""


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    words = [sys.executable, "-c", START]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield clean, json.loads(process.stdout.readline())
        process.stdin.close()  # for which it waits, to end


def test_work_is_done_with_the_token_alone(cluster):
    environment, (address, token, *_) = cluster
    guest = [sys.executable, "-c", ENTER, address]
    said = {}
    with contextlib.ExitStack() as stack:  # at once, for Ray takes its time to refuse
        guests = {
            key: stack.enter_context(
                subprocess.Popen(
                    guest, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment | variables
                )
            )
            for key, variables in {
                "none": {},
                "wrong": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64},
                "right": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token},
            }.items()
        }
        for key, process in guests.items():
            said[key] = process.communicate(timeout=120)[0], process.returncode == 0
    assert said == {"none": ("", False), "wrong": ("", False), "right": ("I was here\n", True)}


def test_a_cluster_that_is_there_already_is_not_joined(cluster):
    environment, (address, *_) = cluster
    words = [sys.executable, "-c", START]
    ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert json.loads(ran.stdout)[0] != address


def test_there_is_no_dashboard_and_no_report_of_usage(cluster):
    _, (address, token, reports_usage, dashboard) = cluster
    assert len(token) == 64
    assert reports_usage == "0"
    assert not dashboard
    with socket.socket() as probe:
        probe.settimeout(5)
        assert probe.connect_ex((address.rpartition(":")[0], 8265)) != 0
