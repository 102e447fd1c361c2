"""--json: every command prints one object in place of its tables, and nothing where it fails."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bars import make_set
from synthset.cli import json_output, tables
from synthset.dataset.export import export_imagefolder


@dataclass(frozen=True)
class Result:
    folder: Path
    share: float
    rows: tuple[np.int64, ...]
    _hidden: int = 3


def test_results_are_plain():
    result = Result(Path("a/b"), float("inf"), (np.int64(4),))
    assert json_output.as_plain([result, np.array([0.5, np.nan])]) == [
        {"folder": "a/b", "share": None, "rows": [4]},
        [0.5, None],
    ]


def test_every_printer_of_a_result_is_one():
    printers = [name for name in dir(tables) if name.startswith("print_") and name != "print_table"]
    assert len(printers) > 10
    assert [name for name in printers if not hasattr(getattr(tables, name), "__wrapped__")] == []


@pytest.fixture
def photos(own_folder):
    export_imagefolder(make_set(), own_folder / "photos")
    return own_folder


def test_a_training_with_its_test_is_one_object(photos, run):
    words = ["train", "photos", "--model", "small_cnn", "--epochs", "2", "--batch-size", "16", "--image-size", "8"]
    code, out, _ = run(*words, "--json", "--quiet")
    assert code == 0
    (line,) = out.splitlines()
    note = json.loads(line)
    assert note["train"]["num_held_back"] == 6
    assert note["settings"]["epochs"] == 2
    assert len(note["train"]["history"]) == 2
    code, out, _ = run("eval", "model", "--real", "photos", "--allow-training-images", "--json")
    assert code == 0
    assert json.loads(out)["evaluation"]["n"] == 60
    code, out, _ = run("predict", "model", "photos", "--json")
    assert code == 0
    assert {"file", "class", "probability"} == set(json.loads(out.splitlines()[0]))
    code, out, _ = run("export", "photos", "--output-dir", "copy", "--json")
    assert (code, json.loads(out)["path"]) == (0, "copy")


def test_nothing_is_printed_where_it_fails(own_folder, run):
    code, out, err = run("train", "nothing", "--json")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert not json_output.is_wanted()
