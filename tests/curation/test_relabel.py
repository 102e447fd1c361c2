import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from outcomes import contents
from small_datasets import hashes, make
from synthset.core.errors import DataError, UsageError
from synthset.curation.relabel import relabel
from synthset.dataset.opening import open_images
from synthset.dataset.reader import open_dataset


@pytest.fixture
def pets(tmp_path):
    return make(tmp_path / "pets").dataset.folder


def classes(folder):
    """The class of each image, by id."""
    rows = open_dataset(folder).rows
    return dict(zip(rows.column("request_id").to_pylist(), rows.column("class_name").to_pylist(), strict=True))


def other(name):
    return {"cat": "sea_lake", "sea_lake": "cat"}[name]


def write(path, rows):
    """The rows, as the ending says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        mark = "\t" if path.suffix == ".tsv" else ";"
        lines = [rows[0], *(list(row.values()) for row in rows)]
        path.write_text("\ufeff" + "".join(mark.join(map(str, line)) + "\r\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("key", ["id", "sha256"])
def test_a_table_of_any_form_is_obeyed_and_taken_back(pets, tmp_path, ending, key):
    before, names = classes(pets), hashes(pets)
    shards = contents(pets / "data")
    keys = {"id": lambda number: number, "sha256": lambda number: names[number]}
    rows = [{key: keys[key](number), "class_name": other(before[number])} for number in (2, 7)]
    rows.append({key: keys[key](3), "class_name": before[3]})
    table = write(tmp_path / f"t.{ending}", rows)
    result = relabel(pets, table)
    assert (result.changed, result.unchanged, result.relabelled) == (2, 1, 2)
    after = classes(pets)
    assert {number for number in before if after[number] != before[number]} == {2, 7}
    images = open_images(pets)
    assert images.class_names[images.labels[2]] == other(before[2])
    assert contents(pets / "data") == shards
    assert relabel(pets, table, undo=True).changed == 2
    assert classes(pets) == before
    assert not (pets / "relabels.parquet").exists()


def test_tables_add_up_and_all_is_taken_back_at_once(pets, tmp_path):
    before = classes(pets)
    for number in (1, 2):
        relabel(pets, write(tmp_path / "t.csv", [{"id": number, "label": other(before[number])}]))
    assert sum(classes(pets)[number] != before[number] for number in before) == 2
    assert "2 images have another class" in (pets / "README.md").read_text()
    result = relabel(pets, undo=True)
    assert (result.changed, result.relabelled) == (2, 0)
    assert classes(pets) == before
    assert "Relabelled" not in (pets / "README.md").read_text()


def test_an_object_of_ids_or_hashes_will_do(pets, tmp_path):
    before, names = classes(pets), hashes(pets)
    for keys in ({"4": other(before[4])}, {names[5]: other(before[5])}):
        (tmp_path / "t.json").write_text(json.dumps(keys))
        assert relabel(pets, tmp_path / "t.json").changed == 1
    assert sum(classes(pets)[number] != before[number] for number in before) == 2


def test_rows_of_predict_are_taken_where_they_are_of_these_shards(pets, tmp_path):
    before = classes(pets)
    shard = open_dataset(pets).shards[1]  # which begins at row 8
    number = list(before)[8 + 2]
    row = {"file": f"{shard}#2", "class": other(before[number]), "probability": 0.9}
    assert relabel(pets, write(tmp_path / "p.parquet", [row])).changed == 1
    assert classes(pets)[number] == other(before[number])
    with pytest.raises(DataError, match=r"line 2: 'photo\.png' is no row of the dataset's shards"):
        relabel(pets, write(tmp_path / "p.csv", [{"file": "photo.png", "class": "cat"}]))


BAD = {
    "unknown class": (
        [{"id": 1, "class": "Sea"}],
        "line 2: there is no class 'Sea', the nearest is 'sea_lake'",
    ),
    "unknown id": ([{"id": 1, "class": "cat"}, {"id": 99, "class": "cat"}], "line 3: no image has the id '99'"),
    "no id": ([{"id": "1.5", "class": "cat"}], "no image has the id '1.5'"),
    "unknown hash": ([{"sha256": "ab" * 32, "class": "cat"}], "line 2: no image has the SHA-256 'abababababab…'"),
    "number": ([{"id": 1, "label": 1}], "no class '1', a number: give its name"),
    "empty": ([{"id": 1, "class": " "}], "line 2: no class"),
    "two classes": ([{"id": 1, "class": "cat"}, {"id": 1, "class": "sea_lake"}], "line 3: 'sea_lake' for the image"),
    "two columns": ([{"id": 1, "class": "cat", "label": "sea_lake"}], "class says 'cat' and label says 'sea_lake'"),
    "no key": ([{"name": "x", "class": "cat"}], "Expected a column id or sha256"),
    "no class": ([{"id": 1, "verdict": "cat"}], "Expected a column class_name, class or label"),
}


@pytest.mark.parametrize(("rows", "message"), BAD.values(), ids=BAD)
def test_what_does_not_fit_is_refused_by_its_line(pets, tmp_path, rows, message):
    table = write(tmp_path / "t.csv", [{"id": 0, "class": "cat"} | dict.fromkeys(rows[0]), *rows][1:])
    before = contents(pets)
    with pytest.raises(DataError, match=message.replace(".", r"\.")):
        relabel(pets, table)
    assert contents(pets) == before


def test_the_id_and_the_hash_of_one_row_must_be_of_one_image(pets, tmp_path):
    names, before = hashes(pets), classes(pets)
    rows = [{"id": 1, "sha256": names[1], "label": 0, "class_name": "cat"}]
    relabel(pets, write(tmp_path / "t.csv", rows))
    with pytest.raises(DataError, match="'id' and 'sha256' are of two images"):
        relabel(pets, write(tmp_path / "t.csv", [rows[0] | {"sha256": names[2]}]))
    with pytest.raises(DataError, match="class_name says 'cat' and label says 'sea_lake'"):
        relabel(pets, write(tmp_path / "t.csv", [rows[0] | {"label": 1}]))
    changed = {number for number, name in classes(pets).items() if name != before[number]}
    assert changed == {number for number in (1,) if before[number] != "cat"}


def test_a_number_that_may_be_a_name_is_refused_under_label(tmp_path):
    folder = make(tmp_path / "digits", ("1", "0")).dataset.folder
    with pytest.raises(DataError, match="'1' may be the name or the number of a class: call the column class_name"):
        relabel(folder, write(tmp_path / "t.csv", [{"id": 0, "label": "1"}]))
    relabel(folder, write(tmp_path / "t.csv", [{"id": 0, "class_name": "1"}, {"id": 1, "class_name": "1"}]))
    assert classes(folder)[0] == classes(folder)[1] == "1"


@pytest.mark.parametrize(
    "content", [b"id,class\n1\n", b"id,id\n1,2\n", b"\xff\xfei\x00d\x00", b'id,class\n1,"cat\n', b""]
)
def test_a_damaged_table_is_refused_in_one_line(pets, tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        relabel(pets, tmp_path / "t.csv")
    assert "\n" not in str(caught.value)


def test_a_file_of_another_kind_or_none_is_refused(pets, tmp_path):
    with pytest.raises(UsageError, match=r"Expected a file called \.csv"):
        relabel(pets, tmp_path / "t.xlsx")
    with pytest.raises(DataError, match="No such file"):
        relabel(pets, tmp_path / "t.csv")
    with pytest.raises(UsageError, match="undo"):
        relabel(pets)


def test_the_command_says_what_went_where(pets, tmp_path, own_folder, run):
    before = classes(pets)
    table = write(tmp_path / "t.csv", [{"id": 6, "class": other(before[6])}])
    code, out, _ = run("relabel", pets, table)
    assert code == 0
    assert out.splitlines()[1].split() == [before[6], other(before[6]), "1"]
    code, out, _ = run("relabel", pets, "--undo", "--json")
    moves = json.loads(out)["relabel"]["moves"]
    assert moves == [{"from": other(before[6]), "to": before[6], "images": 1}]
