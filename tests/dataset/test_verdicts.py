"""Verdicts lie beside the images they are about, one file a filter; those of other images are refused."""

import numpy as np
import pyarrow as pa
import pytest

from small_datasets import VERDICTS_DAMAGE, damage_verdicts
from synthset.core.errors import DataError
from synthset.dataset.verdicts import (
    SCHEMA,
    Verdicts,
    delete_verdicts,
    kept_rows,
    read_one,
    read_verdicts,
    verdicts_path,
    write_verdicts,
)


def verdicts(keep, ids=None, method="clip", rows_hash="h"):
    ids = list(range(len(keep))) if ids is None else ids
    rows = {"request_id": ids, "keep": keep, "reason": ["so"] * len(keep), "score": [float(k) for k in keep]}
    return Verdicts(method, {"threshold": 0.5}, pa.table(rows, SCHEMA), rows_hash)


def test_they_are_read_as_they_were_written(tmp_path):
    assert read_verdicts(tmp_path) == {}
    written = verdicts([True, False])
    assert write_verdicts(tmp_path, written) == verdicts_path(tmp_path, "clip")
    write_verdicts(tmp_path, verdicts([True, True], method="a"))
    (tmp_path / "filters" / ".hidden.parquet").write_bytes(b"")
    assert list(read_verdicts(tmp_path)) == ["a", "clip"]
    read = read_one(tmp_path, "clip")
    assert (read.config, read.rows_hash, read.keep.tolist()) == (written.config, "h", [True, False])
    assert read.table.equals(written.table)
    assert read_one(tmp_path, "other") is None


def test_an_image_is_kept_where_every_filter_keeps_it_whatever_their_order():
    ids = np.array([5, 3, 9])
    both = {"a": verdicts([True, False, True], [3, 5, 9]), "b": verdicts([True, True, False], [5, 9, 3])}
    assert kept_rows(both, ids, "h", "d").tolist() == [False, False, True]
    assert kept_rows({}, ids, "", "d").tolist() == [True] * 3


@pytest.mark.parametrize(
    ("ids", "rows_hash", "words"),
    [
        ([5, 3], "h", "1 images have none, 0 have no image"),
        ([5, 3, 9, 1], "h", "0 images have none, 1 have no image"),
        ([5, 3, 9], "other", "0 images have none, 0 have no image"),
        ([], "h", "3 images have none, 0 have no image"),
    ],
)
def test_those_of_other_images_are_refused(ids, rows_hash, words):
    stale = {"clip": verdicts([True] * len(ids), ids, rows_hash=rows_hash)}
    with pytest.raises(DataError) as error:
        kept_rows(stale, np.array([5, 3, 9]), "h", "d")
    assert words in str(error.value)
    assert str(error.value).endswith("Run the filter again: 'synthset filter d' with method=clip.")


def test_a_file_of_another_tool_needs_no_hash():
    own = {"mine": verdicts([True, False], rows_hash="")}
    assert kept_rows(own, np.array([0, 1]), "h", "d").tolist() == [True, False]


@pytest.mark.parametrize("damage", VERDICTS_DAMAGE)
def test_damaged_files_are_refused_in_one_line(tmp_path, damage):
    path = write_verdicts(tmp_path, verdicts([True] * 4))
    damage_verdicts(path, damage)
    with pytest.raises(DataError, match=r"clip\.parquet.* Run the filter again, or delete the file") as error:
        read_verdicts(tmp_path)
    assert "\n" not in str(error.value)


def test_deleting_takes_those_of_the_named_filters_and_the_empty_folder(tmp_path):
    for method in "abc":
        write_verdicts(tmp_path, verdicts([True], method=method))
    verdicts_path(tmp_path, "a").write_bytes(b"damaged")
    assert delete_verdicts(tmp_path, ["a", "z"]) == ["a"]
    assert list(read_verdicts(tmp_path)) == ["b", "c"]
    assert delete_verdicts(tmp_path) == ["b", "c"]
    assert not (tmp_path / "filters").exists()
    assert delete_verdicts(tmp_path) == []
