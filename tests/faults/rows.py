"""The rows of the table of `make faults`: a promise each, with how many faults are injected to break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import accounting
import bad_files
import bad_images
import bad_names
import black_images
import clocks
import cluster
import concurrency
import copies
import edited_files
import flipped_files
import full_disk
import kills
import leaks
import memory
import other_jobs
import reproduction_kills
import review_kills
import seeds
import signals
from fault_report import FaultReport


@dataclass(frozen=True)
class Row:
    """Faults of one kind.

    Attributes:
        inject: does so, and says what became of it.
        full: its arguments, how many faults of each kind there are.
        short: those of a form for every day.
    """

    inject: Callable[..., list[FaultReport]]
    full: tuple[int, ...]
    short: tuple[int, ...]


ROWS = {
    "kills": Row(kills.run, (10,), (1,)),
    "signals": Row(signals.run, (len(signals.STAGES), 12), (3, 1)),
    "concurrency": Row(concurrency.run, (len(concurrency.PAIRS), 6), (1, 1)),
    "other_jobs": Row(other_jobs.run, (14,), (14,)),
    "full_disk": Row(full_disk.run, (10, 10, len(signals.STAGES), 6), (2, 0, 3, 1)),
    "clocks": Row(clocks.run, (len(signals.STAGES),), (2,)),
    "accounting": Row(accounting.run, (20, 5), (3, 1)),
    "cluster": Row(cluster.run, (10, 5, 5), (1, 1, 1)),
    "memory": Row(memory.run, (6,), (6,)),
    "reproduction": Row(reproduction_kills.run, (5, 2), (1, 1)),
    "review_kills": Row(review_kills.run, (20,), (3,)),
    "seeds": Row(seeds.run, (3,), (1,)),
    "black_images": Row(black_images.run, (100,), (100,)),
    "leaks": Row(leaks.run, (5,), (1,)),
    "copies": Row(copies.run, (20,), (5,)),
    "bad_images": Row(bad_images.run, (40,), (40,)),
    "bad_names": Row(bad_names.run, (32,), (32,)),
    "edited_files": Row(edited_files.run, (0,), (4,)),
    "flipped_files": Row(flipped_files.run, (300, 30), (2, 1)),
    "bad_files": Row(bad_files.run, (10_000,), (200,)),
}
