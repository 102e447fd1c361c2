"""Threads within what a container grants, and memory that malloc keeps."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

from synthset.core import cpu

LARGE_TENSORS = """
import resource, sys, torch
from synthset.core.cpu import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
for turn in range(30):
    if turn == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(2**21) for _ in range(6)]  # 8 MiB each
    del tensors
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20)
"""


@pytest.fixture
def groups(tmp_path):
    """Writes limits of nested control groups; gives the arguments of granted_cores for a process in a/b."""

    def write(limits, own="0::/a/b\n"):
        for folder, limit in limits.items():
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / "cpu.max").write_text(f"{limit}\n")
        (tmp_path / "self").write_text(own)
        return tmp_path, tmp_path / "self"

    return write


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({}, None),
        ({"a/b": "max 100000"}, None),
        ({"a/b": "250000 100000"}, 2.5),
        ({"a/b": "800000 100000", "a": "100000 50000"}, 2.0),  # a group has no more than those that it is in
        ({"a/b": "max 100000", ".": "50000 100000"}, 0.5),
        ({"a/b": "gibberish"}, None),
    ],
)
def test_the_least_limit_of_all_groups_counts(groups, limits, cores):
    assert cpu.granted_cores(*groups(limits)) == cores


def test_groups_of_version_1_and_systems_without_any_say_nothing(groups, tmp_path):
    assert cpu.granted_cores(*groups({"a/b": "100000 100000"}, own="4:memory:/a/b\n")) is None
    assert cpu.granted_cores(tmp_path / "no", tmp_path / "file") is None


@pytest.mark.parametrize(
    ("granted", "chosen", "threads"), [(1.9, None, 1), (0.5, None, 1), (64.0, None, 4), (None, None, 4), (1.0, "3", 4)]
)
def test_threads_are_as_many_as_are_granted_unless_chosen(monkeypatch, granted, chosen, threads):
    now = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: now[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: now.__setitem__(0, count))
    monkeypatch.setattr(cpu, "granted_cores", lambda: granted)
    monkeypatch.setattr(cpu, "keep_freed_memory", lambda: True)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if chosen:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    cpu.tune_for_cpu.__wrapped__()
    assert now == [threads]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_not_asked_for_again():
    giving_back = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # by itself it depends on what else is allocated
    pages = {}
    for how in ("given back", "kept"):
        line = [sys.executable, "-c", LARGE_TENSORS, how]
        pages[how] = float(subprocess.run(line, env=giving_back, capture_output=True, check=True).stdout)
    assert pages["given back"] > 6000  # 6 × 8 MiB are 12,288 pages of 4 KiB
    assert pages["kept"] < 100
