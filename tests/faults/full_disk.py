"""A disk that is full at so many points of a run of each stage, and a folder that may not be written: exit 1, old files
intact, no part left, and with room enough the same command finishes.

The disk is full as the files of the run see it: what they write is counted. Where a tmpfs may be mounted, one that is
too small is tried as well. A run begins with half of its shards there; afterwards it is finished with room enough.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from commands import warm
from disks import Disk
from fault_report import FAKE_MODEL, FaultReport, Ran, contents, hashes, report, run_command
from signals import STAGES, Stage, copy_of, leftovers, make_ready, outcome, run_stage

from synthset.dataset.manifest import Accounting
from synthset.dataset.reader import open_dataset
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.testing import FakeGenerator

HALF = 3  # of six shards
NOBODY = 65534


class Crashing(FakeGenerator):
    """Stops after half of the shards."""

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        if len(self.batches) == HALF:
            raise KeyboardInterrupt
        return super().generate(requests)


def run(sizes: int, mounts: int, stages: int, each: int) -> list[FaultReport]:
    """Create on so many disks, counted and mounted; the first so many stages on so many each."""
    return [*run_create(sizes, mounts), *run_stages(stages, each)]


def run_create(sizes: int, mounts: int) -> list[FaultReport]:
    """So many sizes of a counted disk, so many of one that is mounted where that is allowed, and a read-only folder."""
    total, lost, note = Accounting(), [], "counted"
    faults = sizes + 1
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        half, whole = scratch / "half", scratch / "whole"
        run_command(*command(half), generator=Crashing())
        shutil.copytree(half, whole)
        disk = Disk()
        with disk.mounted():
            run_command(*command(whole), generator=FakeGenerator())
        expected = hashes(whole)

        def attempt(what: str, folder: Path, trouble: contextlib.AbstractContextManager[Any]) -> None:
            nonlocal total
            before = contents(folder)
            with trouble:
                ran = run_command(*command(folder), generator=FakeGenerator())
            lost.extend(f"{what}: {fault}" for fault in damage(ran, folder, before))
            # with room, as if it had never happened
            shutil.copytree(folder, scratch / "again")
            run_command(*command(scratch / "again"), generator=FakeGenerator())
            if hashes(scratch / "again") != expected:
                lost.append(f"{what}: finished with room enough, the images are others")
            total += open_dataset(scratch / "again").accounting
            shutil.rmtree(scratch / "again")

        for number in range(sizes):
            room = disk.written_bytes * number // sizes
            folder = shutil.copytree(half, scratch / f"counted-{number}")
            attempt(f"full after {room:,} bytes", folder, Disk(room).mounted())
        need = sum(path.stat().st_blocks * 512 for path in whole.rglob("*"))
        taken = sum(path.stat().st_blocks * 512 for path in half.rglob("*"))
        for number in range(mounts):
            room = taken + 8192 + (need - taken - 8192) * number // (mounts + 1)
            with small_tmpfs(scratch / "mounted", room) as mounted:
                if not mounted:
                    break
                folder = shutil.copytree(half, scratch / "mounted" / "pets")
                attempt(f"tmpfs of {room:,} bytes", folder, contextlib.nullcontext())
                faults, note = faults + 1, "counted, and on a tmpfs"
        attempt("read-only folder", shutil.copytree(half, scratch / "locked"), read_only(scratch / "locked"))
    return [report("full disk, read-only folder", faults, total, lost, note)]


def run_stages(stages: int, sizes: int) -> list[FaultReport]:
    """The first so many stages of signals.py, each on disks that are full after so many parts of what it writes."""
    reports, commands = [], warm()
    chosen = dict(list(STAGES.items())[:stages])
    with tempfile.TemporaryDirectory() as name:
        scratch, counted = Path(name), Path(name) / "written"
        make_ready(commands, scratch, [stage.line for stage in chosen.values()])
        for kind, stage in chosen.items():
            folder = copy_of(scratch)
            commands.run(stage.line, folder, SYNTHSET_CACHE=folder / "cache", DISK_COUNT=counted)
            whole, written_bytes = outcome(folder / stage.output), int(counted.read_text())
            rooms = [written_bytes * (2 * number + 1) // (2 * sizes) for number in range(sizes)]
            lost = [
                f"room for {room:,} bytes: {fault}" for room in rooms for fault in _fill(stage, room, scratch, whole)
            ]
            reports.append(FaultReport(f"full disk: {kind}", sizes, sizes, sizes, lost=tuple(lost)))
    return reports


def _fill(stage: Stage, room_bytes: int, scratch: Path, whole: dict[str, Any]) -> list[str]:
    """What a stage did wrong that had so little room, and then enough."""
    commands, folder = warm(), copy_of(scratch)
    ended = commands.run(stage.line, folder, SYNTHSET_CACHE=folder / "cache", DISK_ROOM=room_bytes)
    faults = [f"'{path}' was left" for path in leftovers(folder)]
    is_told = len(ended.errors) == 1 and re.search("No space left.*(Make room|[Cc]heck space)", ended.stderr)
    if ended.code == 0 and outcome(folder / stage.output) != whole:  # without a cache a stage goes on
        faults.append("done, but not whole")
    elif ended.code != 0 and not (ended.code == 1 and is_told):
        faults.append(f"exit code {ended.code}, {ended.stderr[-300:]!r}")
    try:
        run_stage(commands, folder, stage)
    except AssertionError as error:
        return [*faults, f"the next run failed: {error}"]
    return faults + ([] if outcome(folder / stage.output) == whole else ["the next run left something else"])


def command(folder: Path) -> list[object]:
    """96 images in six shards."""
    return [
        "create",
        "--classes",
        "cat",
        "dog",
        *FAKE_MODEL,
        "--images-per-class",
        48,
        "--shard-size",
        16,
        "--outdir",
        folder,
    ]


def damage(ran: Ran, folder: Path, before: dict[Path, bytes | None]) -> list[str]:
    """What a run that found no room did wrong."""
    kept = {path: data for path, data in before.items() if path.suffix == ".parquet"}
    faults = [ran.fault(1)] if ran.fault(1) else []
    faults += [f"'{path.name}' was changed" for path, data in kept.items() if path.read_bytes() != data]
    faults += [f"'{path.name}' was left" for path in folder.rglob("*.part")]
    return faults


@contextlib.contextmanager
def small_tmpfs(folder: Path, size_bytes: int) -> Iterator[bool]:
    """A file system of that size at `folder`, False where none may be mounted."""
    folder.mkdir(exist_ok=True)
    size = f"size={-(-size_bytes // 4096) * 4096}"
    mount = shutil.which("mount")
    words = [mount or "mount", "-t", "tmpfs", "-o", size, "synthset-faults", str(folder)]
    mounted = mount is not None and subprocess.run(words, stderr=subprocess.DEVNULL).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that this process may read alone; root, who may write everywhere, becomes nobody for a while."""
    is_root = os.geteuid() == 0
    for path in (folder, folder / "data"):
        path.chmod(0o555)
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path in (folder, folder / "data"):
            path.chmod(0o755)
