"""A disk that is full at so many points of a run, and a folder that may not be written: exit 1, old files intact.

The disk is full as the files of the run see it: what they write is counted. Where a tmpfs may be mounted, one that is
too small is tried as well. A run begins with half of its shards there; afterwards it is finished with room enough.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from fault_report import FAKE_MODEL, FaultReport, Ran, contents, hashes, report, run_command

from synthset.dataset.manifest import Accounting
from synthset.dataset.reader import open_dataset
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.testing import FakeGenerator

HALF = 3  # of six shards
NOBODY = 65534
_open = Path.open


class Disk:
    """Counts what files write, and has room for so many bytes."""

    def __init__(self, room_bytes: float = float("inf")) -> None:
        self.room_bytes, self.written_bytes = room_bytes, 0

    def open(self, path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        """As Path.open; files that are written count."""
        if mode != "wb":
            return _open(path, mode, *args, **options)
        disk = self

        class CountedFile(io.FileIO):
            def write(self, data: Any) -> int:
                size = memoryview(data).nbytes
                if disk.written_bytes + size > disk.room_bytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                disk.written_bytes += size
                return super().write(data)

        return io.BufferedWriter(CountedFile(path, "wb"))


class Crashing(FakeGenerator):
    """Stops after half of the shards."""

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        if len(self.batches) == HALF:
            raise KeyboardInterrupt
        return super().generate(requests)


def run(sizes: int, mounts: int) -> list[FaultReport]:
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
        with mock.patch.object(Path, "open", _counted(disk)):
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
            attempt(f"full after {room:,} bytes", folder, mock.patch.object(Path, "open", _counted(Disk(room))))
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


def _counted(disk: Disk) -> Callable[..., Any]:
    return lambda path, *args, **options: disk.open(path, *args, **options)


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
