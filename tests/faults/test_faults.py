"""The short form of `make faults`: fewer faults of each row (kills and the cluster have files of their own)."""

import logging

import accounting
import bad_files
import bad_images
import bad_names
import black_images
import copies
import full_disk
import leaks
import memory
import other_jobs
import pytest
import seeds
from fault_report import FaultReport


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    logger = logging.getLogger("synthset")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


def check(report: FaultReport, faults: int) -> None:
    """Nothing lost, everything accounted for, and as many faults as were meant."""
    assert report.lost == ()
    assert report.held
    assert report.faults >= faults
    assert report.requested > 0


def test_another_job_is_refused_and_nothing_changes():
    check(other_jobs.run(12), 12)


def test_a_full_disk_and_a_read_only_folder_leave_old_files_intact():
    check(full_disk.run(2, 0), 3)


def test_every_request_is_accounted_for_and_an_interruption_says_so():
    check(accounting.run(3, 1), 4)


def test_out_of_memory_halves_batches_and_fails_clearly_at_one():
    check(memory.run(6), 7)


def test_a_seed_gives_its_image_in_any_batch_and_order():
    check(seeds.run(1), 4)


def test_no_spoiled_image_is_kept():
    report = black_images.run(100)
    check(report, 5)
    assert (report.ok, report.flagged, report.failed) == (98, 1, 1)


def test_the_test_set_decides_nothing_and_its_copies_are_found():
    check(leaks.run(1), 21)


def test_copies_of_real_images_are_found():
    check(copies.run(5), 15)


def test_odd_images_are_read_and_bad_ones_refused():
    report = bad_images.run(40)
    check(report, 40)
    assert (report.ok, report.failed) == (20, 20)


def test_odd_class_names_are_kept_and_bad_ones_refused():
    check(bad_names.run(30), 30)


def test_broken_tars_manifests_and_configs_are_refused_in_one_line():
    check(bad_files.run(200), 206)


def test_a_loss_shows():
    assert FaultReport("kept", 1, 2, 1, failed=1).held
    assert not FaultReport("lost", 1, 2, 1, failed=1, lost=("an image",)).held
    assert not FaultReport("miscounted", 1, 2, 1).held
