"""Parquet files of ours: a flipped bit is noticed, wherever in data or notes it is; another column is refused."""

import json
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthset.core.errors import DataError
from synthset.core.parquet_files import count_rows, read_notes, read_table, write_table

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])
TABLE = pa.table({"id": list(range(50)), "text": [f"text {n}" for n in range(50)]}, SCHEMA)


@dataclass(frozen=True)
class Notes:
    threshold: float


@pytest.fixture
def path(tmp_path):
    write_table(tmp_path / "a.parquet", TABLE, {"threshold": 0.95})
    return tmp_path / "a.parquet"


def test_what_was_written_is_read(path):
    assert read_table(path, SCHEMA, "").equals(TABLE)
    assert read_notes(Notes, path, "") == Notes(0.95)
    assert count_rows(path, "") == 50
    part = pa.schema([SCHEMA.field("text")])
    assert read_table(path, part, "", others=["id"]).column_names == ["text", "id"]
    write_table(path, TABLE)
    with pytest.raises(DataError, match=r"Expected 'threshold' in the notes of '.*a\.parquet', found none\."):
        read_notes(Notes, path, "")


def test_some_rows_are_read_in_the_order_of_their_indices(tmp_path):
    path = tmp_path / "groups.parquet"
    write_table(path, TABLE, row_group_size=8)
    wanted = np.array([49, 8, 7, 8, 0, 23], np.int32)
    assert read_table(path, SCHEMA, "", rows=wanted).equals(TABLE.take(pa.array(wanted)))
    assert read_table(path, SCHEMA, "", rows=wanted[:0]).num_rows == 0
    whole = bytearray(path.read_bytes())
    whole[30] ^= 1  # in the first group
    path.write_bytes(whole)
    assert read_table(path, SCHEMA, "", rows=np.array([8, 49])).column("id").to_pylist() == [8, 49]
    with pytest.raises(DataError, match=r"does not read .* Mend it\."):
        read_table(path, SCHEMA, "Mend it.", rows=np.array([0]))
    with pytest.raises(DataError, match=r"does not read \(no row 50\)\. Mend it\."):
        read_table(path, SCHEMA, "Mend it.", rows=np.array([50]))


def read_or_refuse(read, *arguments):
    try:
        return read(*arguments, "Mend it.")
    except DataError as error:
        is_clear = str(error).endswith("Mend it.") and "a.parquet'" in str(error) and "\n" not in str(error)
        return None if is_clear else error


def test_a_flipped_bit_is_noticed_or_changes_nothing(path):
    whole = path.read_bytes()
    outcomes = {"table": 0, "notes": 0}
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        table = read_or_refuse(partial(read_table, nullable=["text"], may_lack=["text"]), path, SCHEMA)
        assert table is None or (table.equals(TABLE) and count_rows(path, "") == 50)
        notes = read_or_refuse(read_notes, Notes, path)
        assert notes is None or notes == Notes(0.95)
        outcomes["table"] += table is None
        outcomes["notes"] += notes is None
    assert outcomes["table"] > len(whole) / 3
    assert outcomes["notes"] > len(whole) / 10


def test_files_of_earlier_versions_and_other_tools_are_read(path):
    pq.write_table(TABLE, path)
    assert read_table(path, SCHEMA, "").equals(TABLE)
    write_table(path, TABLE)
    assert pq.read_table(path).equals(TABLE)


def test_a_column_that_another_version_did_not_write_is_nulls(path):
    columns = {"nullable": ["mood"], "may_lack": ["mood"]}
    assert read_table(path, SCHEMA.append(pa.field("mood", pa.string())), "", **columns)["mood"].null_count == 50


def test_notes_are_read_by_their_types(path):
    pq.write_table(TABLE.replace_schema_metadata({"synthset": json.dumps({"threshold": "x"})}), path)
    with pytest.raises(DataError, match=r"Expected 'threshold' in the notes of '.*' as a finite number, got \"x\"\."):
        read_notes(Notes, path, "")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (TABLE.drop_columns(["text"]), "text"),
        (TABLE.set_column(0, "id", [["x"] * 50]), "Failed to parse"),
        (TABLE.set_column(0, "id", [[None, *range(49)]]), "rows without 'id'"),
    ],
)
def test_other_columns_are_refused(path, table, reason):
    pq.write_table(table, path)
    with pytest.raises(DataError, match=reason):
        read_table(path, SCHEMA, "")
    if "rows without" in reason:
        assert read_table(path, SCHEMA, "", nullable=["id"]).num_rows == 50


@pytest.mark.parametrize("length", [0, 3, 100, -1])
def test_a_cut_file_is_refused(path, length):
    path.write_bytes(path.read_bytes()[:length])
    for read in (count_rows, lambda path, remedy: read_table(path, SCHEMA, remedy), lambda *a: read_notes(Notes, *a)):
        with pytest.raises(DataError, match=r"a\.parquet' does not read") as caught:
            read(path, "Mend it.")
        assert "\n" not in str(caught.value)
