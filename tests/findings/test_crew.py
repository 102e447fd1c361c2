"""Work by several processes: the same as by one, whatever fails, and none that outlives its parent."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from synthset.core.crew import default_workers
from synthset.core.errors import DataError
from synthset.findings.crew import do_all
from synthset.findings.work import Cost, Lab, Work

log = logging.getLogger("synthset")


@dataclass(frozen=True)
class Sum(Work):
    """One more than all that it is of."""

    kind = "sum"
    name: str
    of: tuple[Work, ...] = ()

    @property
    def title(self):
        return self.name

    @property
    def cost(self):
        return Cost(encoded_images=1)

    def run(self, home, lab):
        if self.name == "broken":
            raise DataError("It is broken.")
        if self.name == "wrong":
            raise RuntimeError("a bug")
        if self.name == "loud":
            log.warning("It is %s.", "loud")
        if self.name == "slow":
            time.sleep(600)
        return {"value": 1 + sum(lab.values(need)["value"] for need in self.of), "process": os.getpid()}


@dataclass(frozen=True)
class Mark(Sum):
    """Writes into what it needs, as a filter does."""

    kind = "mark"
    changes_what_it_needs = True


def attempt(work, folder, workers=2):
    """What each piece comes to: its figure, or why there is none."""
    lab = Lab(folder)
    ended = list(do_all(work, lab, workers, lambda one: None))
    assert len({one.work for one in ended}) == len(ended) == len(work)
    return {one.work: one.error or lab.values(one.work)["value"] for one in ended}, ended


def tree():
    """Work of three depths, in order of its needs."""
    low = [Sum(f"low {number}") for number in range(4)]
    middle = [Sum(f"middle {number}", (low[number], low[number + 1])) for number in range(3)]
    return [*low, *middle, Sum("top", tuple(middle))]


def test_several_processes_come_to_what_one_does(tmp_path):
    alone, _ = attempt(tree(), tmp_path / "alone", 1)
    together, _ = attempt(tree(), tmp_path / "together", 2)
    assert together == alone
    assert together[tree()[-1]] == 10
    lab = Lab(tmp_path / "together")
    processes = {lab.values(one)["process"] for one in tree()[:7]}
    assert os.getpid() not in processes


def test_what_needs_failed_work_fails_with_it_and_the_rest_is_done(tmp_path):
    broken, fine = Sum("broken"), Sum("fine")
    above, top = Sum("above", (broken, fine)), Sum("top", (fine,))
    last = Sum("last", (above,))
    results, _ = attempt([broken, fine, above, top, last], tmp_path)
    assert results[broken] == "It is broken."
    assert results[above] == "needs sum broken: It is broken."
    assert results[last] == "needs sum above: needs sum broken: It is broken."
    assert (results[fine], results[top]) == (1, 2)


def test_a_bug_is_raised_here(tmp_path):
    with pytest.raises(RuntimeError, match="a bug"):
        attempt([Sum("wrong"), Sum("fine")], tmp_path)


def test_warnings_come_back_with_the_work(tmp_path, caplog):
    _, ended = attempt([Sum("loud"), Sum("fine")], tmp_path)
    assert {one.work.title: one.warnings for one in ended} == {"loud": ("It is loud.",), "fine": ()}


def test_what_changes_what_it_needs_is_alone_with_its_kind(tmp_path):
    drawn = Sum("drawn")
    marked, read = Mark("marked", (drawn,)), Sum("read", (drawn,))
    begun = []
    list(do_all([drawn, read, marked], Lab(tmp_path), 2, begun.append))
    assert begun == [drawn, marked, read]  # each the first of those that run at a time


def test_a_crew_is_as_large_as_the_cores_or_one_on_a_gpu():
    import torch

    assert default_workers("cuda") == 1
    assert 1 <= default_workers("cpu") <= max(1, torch.get_num_threads())


def test_no_process_outlives_its_parent(tmp_path):
    script = (
        "from pathlib import Path; from test_crew import Lab, Sum, do_all; "
        f"list(do_all([Sum('slow'), Sum('fine')], Lab(Path({str(tmp_path)!r})), 2, print))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    parent = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": paths})
    begun = tmp_path / Sum("slow").folder
    try:
        wait_until(begun.exists, 120)
        crew = psutil.Process(parent.pid).children(recursive=True)
        assert len(crew) >= 2
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in crew), 30)


def wait_until(holds, seconds):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)
