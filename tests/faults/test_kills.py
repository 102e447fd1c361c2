"""The short form of `make faults kills`: a kill of each kind, two at random."""

from kills import KINDS
from rows import ROWS


def test_a_killed_run_is_finished_without_loss():
    reports = ROWS["kills"].inject(*ROWS["kills"].short)
    assert [report.what for report in reports] == [f"killed, {kind}" for kind in KINDS]
    for report in reports:
        assert report.lost == ()
        assert report.held
        assert report.requested == 192 * report.faults
        assert report.flagged == report.failed == 7 * report.faults
