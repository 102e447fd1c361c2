"""Relabels give images another class, by their hashes, and leave the shards as they are."""

import pytest

from small_datasets import make
from synthset.core.errors import DataError
from synthset.dataset.opening import open_images
from synthset.dataset.reader import open_dataset
from synthset.dataset.relabels import FILE, read_relabels, relabelled, write_relabels


@pytest.fixture
def folder(tmp_path):
    make(tmp_path / "d")
    return tmp_path / "d"


def hash_of(folder, row):
    return open_dataset(folder).rows.column("sha256")[row].as_py()


def test_the_reader_applies_them_and_keeps_what_was_drawn(folder):
    before = open_dataset(folder).rows
    (row,) = [i for i, name in enumerate(before.column("class_name").to_pylist()) if name == "cat"][:1]
    write_relabels(folder, {hash_of(folder, row): "sea_lake"})
    dataset = open_dataset(folder)
    assert (dataset.rows.column("label")[row].as_py(), dataset.rows.column("class_name")[row].as_py()) == (
        1,
        "sea_lake",
    )
    assert dataset.rows.schema.equals(before.schema)
    assert dataset.drawn_rows.equals(before)
    assert open_images(folder).labels[row] == 1
    assert (open_images(folder).labels == 1).sum() == 11
    write_relabels(folder, {})
    assert not (folder / FILE).exists()
    assert open_dataset(folder).rows.equals(before)


def test_equal_parts_of_a_combination_are_counted_by_the_new_class(folder):
    labels = open_dataset(folder).rows.column("label").to_pylist()
    cats = [row for row, label in enumerate(labels) if label == 0][:2]
    write_relabels(folder, {hash_of(folder, row): "sea_lake" for row in cats})
    dataset = open_dataset(folder)
    rows = dataset.select("base")
    assert len(rows) == len(set(rows.tolist())) == 10


def test_those_of_no_image_here_are_left_alone(folder):
    write_relabels(folder, {"0" * 64: "no class of it"})
    dataset = open_dataset(folder)
    assert dataset.rows is dataset.drawn_rows
    assert read_relabels(folder) == {"0" * 64: "no class of it"}


def test_a_class_that_is_none_of_the_dataset_is_refused(folder):
    write_relabels(folder, {hash_of(folder, 0): "dog"})
    with pytest.raises(DataError, match=r"relabels to classes of '.*' in 'relabels.parquet', got 'dog'"):
        _ = open_dataset(folder).rows


def test_without_any_the_table_is_the_same(folder):
    rows = open_dataset(folder).rows
    assert relabelled(rows, ("cat", "sea_lake"), {}) is rows


def test_a_damaged_file_is_refused_in_one_line(folder):
    write_relabels(folder, {hash_of(folder, 0): "cat"})
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:-20])
    with pytest.raises(DataError, match=r"relabels\.parquet.* or delete it to have all labels as they were drawn"):
        _ = open_dataset(folder).rows
