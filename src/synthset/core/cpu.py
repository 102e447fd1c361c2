"""What makes a process compute fast on a CPU: as many threads as it may use, and memory that it keeps.

Imports torch: import this where torch is needed anyway.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

CGROUPS = Path("/sys/fs/cgroup")
KEPT_BYTES = 2**28  # freed memory at the heap's end that stays with the process
MAPPED_FROM_BYTES = 2**25  # the most that glibc takes: larger blocks go back to the system at once
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@cache
def tune_for_cpu() -> None:
    """Set threads and allocator of this process; once, for both are the process's own. No result depends on it."""
    keep_freed_memory()
    chosen = "OMP_NUM_THREADS" in os.environ or "MKL_NUM_THREADS" in os.environ
    if not chosen and (cores := granted_cores()) is not None:
        # torch counts the machine's cores, of which a container may have few: threads that wait for each other's turn
        torch.set_num_threads(min(torch.get_num_threads(), max(1, int(cores))))


def keep_freed_memory() -> bool:
    """Have malloc keep what is freed; whether it does.

    By default glibc gives memory back when a layer is done and asks for it again in the next one, and the system
    fills every page with zeros in between: up to a fifth of a small UNet's time. Elsewhere there is nothing to do.
    """
    with suppress(OSError, TypeError, AttributeError):  # no C library to ask, or another one's
        mallopt = ctypes.CDLL(None).mallopt
        # either one stops glibc from fitting both to what was freed, so both are set
        return bool(mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
    return False


def granted_cores(root: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Cores' worth of time that the process's control groups (version 2) grant it, None for no limit."""
    with suppress(OSError, ValueError, StopIteration):
        lines = own.read_text("utf-8").splitlines()
        path = Path(next(line for line in lines if line.startswith("0::")).removeprefix("0::/"))
        limits = [_limit(root / folder / "cpu.max") for folder in (path, *path.parents)]
        return min((limit for limit in limits if limit is not None), default=None)
    return None


def _limit(file: Path) -> float | None:
    """Of one group; the root has no such file."""
    if not file.is_file():
        return None
    quota, period = file.read_text("utf-8").split()
    return None if quota == "max" else int(quota) / int(period)
