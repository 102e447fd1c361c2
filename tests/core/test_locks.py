"""Who writes into a folder is alone with it, who reads it keeps writers away, and a lock ends with its holder."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest

from synthset.core import files
from synthset.core.errors import UsageError
from synthset.core.files import PART, atomic_write, delete_parts, to_path
from synthset.core.locks import reading, writing

HOLDER = """
import sys
from pathlib import Path
from synthset.core.locks import reading, writing
with (writing if sys.argv[1] == "writing" else reading)(Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(kind, folder):
    """A process that holds the folder until its stdin is closed, or it is killed."""
    words = [sys.executable, "-c", HOLDER, kind, str(folder)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize(
    ("first", "second", "is_free"),
    [(writing, writing, False), (writing, reading, False), (reading, writing, False), (reading, reading, True)],
)
def test_a_writer_is_alone_and_readers_are_not(tmp_path, first, second, is_free):
    with first(tmp_path):
        if is_free:
            with second(tmp_path):
                pass
        else:
            message = f"Another command is at work in '{tmp_path}'. Wait until it is done"
            with pytest.raises(UsageError, match=message), second(tmp_path):
                pass
    with second(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["writing", "reading"])
def test_a_lock_is_seen_by_other_processes_and_ends_when_its_holder_is_killed(tmp_path, kind):
    holder = hold(kind, tmp_path)
    with pytest.raises(UsageError, match="Another command"), writing(tmp_path):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with writing(tmp_path):
        pass


def test_a_reader_may_let_go_early(tmp_path):
    with reading(tmp_path, tmp_path) as held:
        held.close()
        with writing(tmp_path):
            pass


def test_who_reads_waits_for_a_verdict_to_be_written(tmp_path):
    holder = hold("writing", tmp_path)
    threading.Timer(0.2, holder.kill).start()
    with reading(tmp_path):
        pass
    holder.communicate()


def test_who_has_patience_waits(tmp_path):
    holder = hold("writing", tmp_path)
    threading.Timer(0.2, holder.kill).start()
    with writing(tmp_path, 30):
        pass
    holder.communicate()


def test_a_folder_is_made_and_goes_again_if_nothing_came_to_be_in_it(tmp_path):
    with writing(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a").exists()
    with writing(tmp_path / "kept"):
        (tmp_path / "kept" / "file").touch()
    assert (tmp_path / "kept" / "file").exists()


def test_what_is_no_folder_here_is_not_locked(tmp_path):
    (tmp_path / "file").touch()
    none = (tmp_path / "file", tmp_path / "missing", "memory://locks/a", None, object(), "\0")
    with writing(tmp_path / "file"), writing(to_path("memory://locks/a")), reading(*none):
        pass


def test_a_folder_that_is_replaced_while_it_is_locked_is_locked_anew(tmp_path, monkeypatch):
    folder, once = tmp_path / "a", []

    def replace_first(handle, **options):
        if not once:
            once.append(folder.rename(tmp_path / "old"))
            folder.mkdir()
        return lock(handle, **options)

    folder.mkdir()
    lock = files.lock
    monkeypatch.setattr("synthset.core.locks.lock", replace_first)
    with writing(folder):
        with writing(tmp_path / "old"):  # that one is free
            pass
        with pytest.raises(UsageError), writing(folder):
            pass


def test_where_folders_cannot_be_locked_writers_are_kept_apart_by_a_file(tmp_path, monkeypatch):
    flock = fcntl.flock

    def of_files_alone(handle, how):
        if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112
            raise OSError(errno.EBADF, "as NFS says it")
        return flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", of_files_alone)
    refused = pytest.raises(UsageError, match="Another command")
    with writing(tmp_path), reading(tmp_path), refused, writing(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_being_written_is_no_leftover(tmp_path):
    with atomic_write(tmp_path / "a") as file:
        (tmp_path / f".b.1{PART}").touch()
        delete_parts(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [f".a.{os.getpid()}{PART}"]
        file.write(b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_files_of_others_that_end_alike_are_no_leftovers(tmp_path):
    for name in (f".film.mkv{PART}", f"a.1{PART}"):
        (tmp_path / name).touch()
    delete_parts(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_part_that_is_deleted_as_it_is_opened_is_opened_anew(tmp_path, monkeypatch):
    lock, once = files.lock, []

    def delete_first(handle, **options):
        if not once:
            once.append(next(tmp_path.iterdir()).unlink())
        return lock(handle, **options)

    monkeypatch.setattr(files, "lock", delete_first)
    with atomic_write(tmp_path / "a") as file:
        file.write(b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_names_that_are_not_utf_8_are_refused_before_any_work(tmp_path):
    folder = tmp_path / "caf\udce9"
    with pytest.raises(UsageError, match=r"a name in UTF-8, got '.*caf\\udce9'\. Rename it"), writing(folder):
        pass
    assert not folder.exists()
    folder.mkdir()
    with pytest.raises(UsageError, match="a name in UTF-8"), reading(folder):
        pass
