"""The short form of `make faults`: a kill of each kind, two at random."""

from kills import KINDS, run


def test_a_killed_run_is_finished_without_loss():
    results = run(1)
    assert [result.what for result in results] == [f"killed, {kind}" for kind in KINDS]
    for result in results:
        assert result.lost == ()
        assert result.held
        assert result.requested == 192 * result.faults
        assert result.flagged == result.failed == 7 * result.faults
