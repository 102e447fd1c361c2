"""Folders that lead elsewhere: nothing is written, deleted or overwritten outside of the folder that was named."""

import csv
import io
import json

import pyarrow as pa
import pytest

import synthset
from outcomes import contents
from synthset.cli import main
from synthset.core.errors import UsageError
from synthset.diagnosis.saving import to_csv
from synthset.filters import filter_dataset
from synthset.testing import FakeEncoder, FakeGenerator

CLASSES = ("cat", "dog")


def draw(folder, **options):
    return synthset.create(CLASSES, folder, generator=FakeGenerator(), images_per_class=4, **options)


@pytest.mark.parametrize("part", ["data", "filters"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_dataset_whose_folders_are_links_is_refused(tmp_path, part, overwrite):
    """As one from a stranger could be: overwriting would delete the shards of another dataset."""
    draw(tmp_path / "mine")
    filter_dataset(tmp_path / "mine", encoder=FakeEncoder())
    draw(tmp_path / "theirs")
    if (tmp_path / "theirs" / part).exists():
        (tmp_path / "theirs" / part).rename(tmp_path / "away")
    (tmp_path / "theirs" / part).symlink_to(tmp_path / "mine" / part)
    before = contents(tmp_path / "mine")
    with pytest.raises(UsageError, match="a link"):
        draw(tmp_path / "theirs", overwrite=overwrite, seed=65 * overwrite)
    with pytest.raises(UsageError, match="a link"):
        filter_dataset(tmp_path / "theirs", encoder=FakeEncoder())
    assert main(["filter", str(tmp_path / "theirs"), "--method", "none"]) == 2
    assert contents(tmp_path / "mine") == before


def test_a_dataset_behind_a_link_is_one_like_any(tmp_path):
    (tmp_path / "large-disk").mkdir()
    (tmp_path / "pets").symlink_to(tmp_path / "large-disk")
    assert draw(tmp_path / "pets").accounting.ok == 8
    assert (tmp_path / "large-disk" / "data").is_dir()


@pytest.mark.parametrize("name", ["README.md", "plan.parquet", "failures.parquet", "preview.png", "manifest.json"])
def test_a_file_that_is_a_link_is_replaced_and_what_it_led_to_left(tmp_path, name):
    draw(tmp_path / "theirs")
    (tmp_path / "precious").write_bytes((tmp_path / "theirs" / name).read_bytes())
    (tmp_path / "theirs" / name).unlink()
    (tmp_path / "theirs" / name).symlink_to(tmp_path / "precious")
    before = (tmp_path / "precious").read_bytes()
    draw(tmp_path / "theirs", overwrite=True, seed=65)
    assert (tmp_path / "precious").read_bytes() == before
    assert not (tmp_path / "theirs" / name).is_symlink()


def test_a_diagnosis_whose_evaluations_are_a_link_is_refused(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "000.json").write_text("precious")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "diagnosis.json").write_text(json.dumps({"format_version": 1}))
    (tmp_path / "theirs" / "evaluations").symlink_to(tmp_path / "mine")
    draw(tmp_path / "data")
    assert main(["diagnose", str(tmp_path / "data"), "--output-dir", str(tmp_path / "theirs")]) == 2
    assert "got a link" in capsys.readouterr().err
    assert (tmp_path / "mine" / "000.json").read_text() == "precious"


def test_a_foreign_manifest_opens_no_folder_to_overwriting(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"name": "a web page", "icons": []}))
    (tmp_path / "plan.parquet").write_bytes(b"precious")
    before = contents(tmp_path)
    with pytest.raises(synthset.SynthsetError, match=r"Expected 'format_version' in '.*manifest\.json', found none"):
        draw(tmp_path, overwrite=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "plain", "a=b"])
def test_no_cell_of_a_csv_begins_a_formula(name):
    table = pa.table({"class": [name], "accuracy": [-0.5]})
    (_, (cell, number)) = csv.reader(io.StringIO(to_csv(table), newline=""))
    assert cell[0] not in "=+-@\t\r"
    assert cell.lstrip("'") == name
    assert number == "-0.5"  # a number is one still
