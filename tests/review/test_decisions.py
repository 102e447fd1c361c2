"""What a person says is on disk before it is answered, and nobody's words are lost."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from small_datasets import make
from synthset.core.errors import DataError, UsageError
from synthset.core.locks import reading
from synthset.dataset.by_hand import read_by_hand, write_by_hand
from synthset.dataset.reader import open_dataset
from synthset.dataset.relabels import read_relabels, write_relabels
from synthset.review import decisions as module
from synthset.review.decisions import Change, Decisions


@pytest.fixture
def folder(tmp_path):
    make(tmp_path / "d")
    return tmp_path / "d"


def decisions_of(folder):
    dataset = open_dataset(folder)
    rows = dataset.drawn_rows
    labels = rows.column("label").to_numpy().astype(np.int32)
    return Decisions(folder, rows.column("sha256").to_pylist(), labels, dataset.class_names)


def test_a_verdict_is_obeyed_at_once_and_taken_back(folder):
    decisions = decisions_of(folder)
    decisions.apply([Change((2, 3), hand=-1), Change((4,), hand=1)])
    assert np.flatnonzero(~open_dataset(folder).kept()).tolist() == [2, 3]
    assert decisions.hand[:6].tolist() == [0, 0, -1, -1, 1, 0]
    assert decisions.counts() == (1, 2, 0)
    decisions.apply([Change((2, 3, 4), hand=0)])
    assert read_by_hand(folder) == {}
    assert open_dataset(folder).kept().all()


def test_a_relabel_is_obeyed_at_once_and_taken_back(folder):
    decisions = decisions_of(folder)
    drawn = int(decisions.labels[5])
    decisions.apply([Change((5,), hand=1, label=1 - drawn)])
    assert open_dataset(folder).rows.column("label")[5].as_py() == 1 - drawn
    assert decisions.counts() == (1, 0, 1)
    decisions.apply([Change((5,), label=drawn)])
    assert read_relabels(folder) == {}
    assert decisions.counts() == (1, 0, 0)


def test_two_servers_lose_nothing_of_each_other(folder):
    one, other = decisions_of(folder), decisions_of(folder)
    one.apply([Change((0,), hand=-1)])
    other.apply([Change((1,), hand=-1)])
    one.apply([Change((2,), hand=1)])
    assert sorted(read_by_hand(folder).values()) == [False, False, True]
    version = other.version
    other.refresh()
    assert other.changed_since(version).tolist() == [2]
    assert other.hand[:4].tolist() == [-1, -1, 1, 0]
    write_by_hand(folder, {})  # somebody deletes all
    one.refresh()
    assert not one.hand.any()


def test_a_page_is_told_what_it_does_not_know(folder):
    decisions = decisions_of(folder)
    first = decisions.version
    decisions.apply([Change((7,), hand=1)])
    decisions.apply([Change((3, 7), hand=-1)])
    assert decisions.changed_since(first).tolist() == [3, 7]
    assert decisions.changed_since(first + 2).tolist() == []
    assert len(decisions.changed_since(first + 3)) == 20


def test_a_page_of_an_earlier_server_is_told_all(folder):
    earlier = decisions_of(folder)
    earlier.apply([Change((1,), hand=1)])
    later = decisions_of(folder)
    for row in range(2, 6):  # as many changes as the page knows of, and more
        later.apply([Change((row,), hand=1)])
    assert len(later.changed_since(earlier.version)) == 20


def test_many_threads_lose_nothing(folder):
    several = [decisions_of(folder) for _ in range(2)]
    threads = [
        threading.Thread(target=several[row % 2].apply, args=[[Change((row,), hand=-1)]], daemon=True)
        for row in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(read_by_hand(folder)) == 10


def test_images_of_one_hash_share_what_is_said(folder):
    dataset = open_dataset(folder)
    hashes = dataset.drawn_rows.column("sha256").to_pylist()
    hashes[9] = hashes[8]
    decisions = Decisions(folder, hashes, dataset.drawn_rows.column("label").to_numpy().astype(np.int32), ("a", "b"))
    decisions.apply([Change((8,), hand=-1)])
    assert np.flatnonzero(decisions.hand).tolist() == [8, 9]


def test_while_a_command_reads_nothing_is_written_and_it_is_said(folder, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    decisions = decisions_of(folder)
    with reading(folder), pytest.raises(UsageError, match="Another command is at work"):
        decisions.apply([Change((0,), hand=-1)])
    assert read_by_hand(folder) == {}
    assert not decisions.hand.any()
    decisions.apply([Change((0,), hand=-1)])
    assert len(read_by_hand(folder)) == 1


@pytest.mark.parametrize("change", [Change((20,), hand=1), Change((-1,), hand=1), Change((0,), label=2)], ids=str)
def test_what_cannot_be_changes_nothing(folder, change):
    decisions = decisions_of(folder)
    with pytest.raises(DataError, match="Load the page anew"):
        decisions.apply([Change((1,), hand=-1), change])
    assert read_by_hand(folder) == {}


def test_relabels_of_a_class_that_there_is_not_are_refused(folder):
    write_relabels(folder, {open_dataset(folder).drawn_rows.column("sha256")[0].as_py(): "dog"})
    with pytest.raises(DataError, match="'dog', which it does not have"):
        decisions_of(folder)


@pytest.mark.parametrize(
    ("said", "then"),
    [
        (Change((0,), hand=1, label=1), Change((0,), hand=0, label=0)),
        (Change((0,), hand=1, label=1), Change((0,), hand=-1, label=0)),
        (Change((0,), hand=1), Change((0,), hand=1, label=1)),
        (Change((0,), hand=-1), Change((0,), hand=1, label=1)),
        (Change((0,), hand=0), Change((0,), hand=1, label=1)),
    ],
)
def test_a_kill_between_the_two_files_keeps_no_image_in_a_class_that_nobody_said(folder, monkeypatch, said, then):
    decisions = decisions_of(folder)
    assert decisions.labels[0] == 0
    decisions.apply([said])
    expected = [(decisions.hand[0], decisions.labels[0]), (then.hand, then.label)]
    seen = []

    def look(write):
        def written(*arguments):
            write(*arguments)
            now = decisions_of(folder)
            seen.append((now.hand[0], now.labels[0]))

        return written

    for name in ("write_by_hand", "write_relabels"):
        monkeypatch.setattr(module, name, look(getattr(module, name)))
    decisions.apply([then])
    assert seen[-1] == expected[1]
    assert [state for state in seen if state[0] == 1 and state not in expected] == []


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from review.test_decisions import decisions_of
from synthset.review.decisions import Change
decisions = decisions_of(Path({folder!r}))
print("ready", flush=True)
for row in range(20):
    decisions.apply([Change((row,), hand=-1 if row % 2 else 1, label=row % 2)])
    print(row, flush=True)
"""


@pytest.mark.parametrize("kill_after", [1, 6, 13])
def test_a_kill_costs_no_verdict_that_was_answered(folder, kill_after):
    script = KILLED.format(tests=os.path.dirname(os.path.dirname(__file__)), folder=str(folder))  # noqa: PTH120
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    answered = [int(process.stdout.readline()) for _ in range(kill_after)]
    process.send_signal(signal.SIGKILL)
    answered += [int(line) for line in process.communicate()[0].split()]
    hand = decisions_of(folder).hand
    assert [int(hand[row]) for row in answered] == [-1 if row % 2 else 1 for row in answered]
    open_dataset(folder).kept()
