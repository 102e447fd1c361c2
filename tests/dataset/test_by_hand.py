"""Verdicts by hand are about images by their hashes, and stand above every filter."""

import numpy as np
import pytest

import synthset
from small_datasets import make, reject_first
from synthset.core.errors import DataError, UsageError
from synthset.dataset.by_hand import read_by_hand, write_by_hand
from synthset.dataset.opening import open_images
from synthset.dataset.reader import open_dataset
from synthset.dataset.verdicts import verdicts_path
from synthset.filters import audit, filter_dataset


@pytest.fixture
def dataset(tmp_path):
    make(tmp_path / "d")
    return open_dataset(tmp_path / "d")


def hash_of(dataset, row):
    return dataset.rows.column("sha256")[row].as_py()


def test_what_is_rejected_is_left_out_and_what_is_not_judged_is_kept(dataset):
    write_by_hand(dataset.folder, {hash_of(dataset, 3): False, hash_of(dataset, 4): True})
    assert np.flatnonzero(~dataset.kept()).tolist() == [3]
    assert len(open_images(dataset.folder)) == 19
    review = dataset.verdicts()["review"]
    assert review.table.column("reason").to_pylist()[2:5] == ["", "rejected by hand", "kept by hand"]
    assert audit(dataset).num_rows == 20


def test_a_person_stands_above_every_filter(dataset):
    reject_first(dataset.folder)
    assert not dataset.kept()[0]
    write_by_hand(dataset.folder, {hash_of(dataset, 0): True})
    assert dataset.kept().all()


def test_none_leave_no_file(dataset):
    write_by_hand(dataset.folder, {hash_of(dataset, 0): False})
    write_by_hand(dataset.folder, {})
    assert read_by_hand(dataset.folder) == {}
    assert not verdicts_path(dataset.folder, "review").exists()
    write_by_hand(dataset.folder, {})  # nothing to delete


def test_those_of_no_image_here_are_left_alone(dataset):
    write_by_hand(dataset.folder, {"0" * 64: False})
    assert dataset.verdicts() == {}
    assert dataset.kept().all()


def test_an_image_that_is_drawn_anew_has_its_verdict_again(dataset):
    name = hash_of(dataset, 7)
    write_by_hand(dataset.folder, {name: False})
    make(dataset.folder, overwrite=True, shard_size=4)
    assert np.flatnonzero(~open_dataset(dataset.folder).kept()).tolist() == [7]


def test_taking_verdicts_of_filters_away_leaves_those_by_hand(dataset):
    reject_first(dataset.folder)
    write_by_hand(dataset.folder, {hash_of(dataset, 5): False})
    assert synthset.filters.clear_filters(dataset.folder) == ["clip"]
    assert np.flatnonzero(~dataset.kept()).tolist() == [5]


def test_no_filter_may_have_its_name(dataset):
    with pytest.raises(UsageError, match="another name of a filter than 'review'"):
        filter_dataset(dataset.folder, {"review": synthset.filters.FILTERS["clip"]})


def test_a_damaged_file_is_refused_in_one_line(dataset):
    write_by_hand(dataset.folder, {hash_of(dataset, 0): False})
    path = verdicts_path(dataset.folder, "review")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"review\.parquet.* or delete it to have no verdicts by hand"):
        dataset.kept()
