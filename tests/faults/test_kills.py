"""The short form of `make faults`: a kill of each kind, two at random."""

from kills import KINDS, run


def test_a_killed_run_is_finished_without_loss():
    results = run(1)
    assert [result.kind for result in results] == list(KINDS)
    for result in results:
        assert result.lost == 0
        assert result.requested == result.ok + result.flagged + result.failed == 192 * result.kills
        assert result.flagged == result.failed == 7 * result.kills
