"""The short form of `make faults`: fewer faults of each row.

Kills and the cluster have files of their own; a reproduction takes minutes, and tests/findings stops one anywhere.
"""

import logging

import pytest
from fault_report import FaultReport
from rows import ROWS


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    logging.disable(logging.WARNING)  # what libraries warn of is what was injected
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("kills", "cluster", "reproduction")])
def test_nothing_is_lost(name):
    reports = ROWS[name].inject(*ROWS[name].short)
    assert [report.lost for report in reports] == [()] * len(reports)
    assert all(report.held and report.faults and report.requested for report in reports)


def test_a_loss_shows():
    assert FaultReport("kept", 1, 2, 1, failed=1).held
    assert not FaultReport("lost", 1, 2, 1, failed=1, lost=("an image",)).held
    assert not FaultReport("miscounted", 1, 2, 1).held
