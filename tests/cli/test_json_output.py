"""--json: every command prints one object in place of its tables, and nothing where it fails."""

from __future__ import annotations

import importlib
import json
import pkgutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bars import make_set
from synthset import cli
from synthset.cli import json_output
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
    names = [module.name for module in pkgutil.iter_modules(cli.__path__)]
    tables = [importlib.import_module(f"synthset.cli.{name}") for name in names if name.endswith("_tables")]
    printers = {name: value for module in tables for name, value in vars(module).items() if name.startswith("print_")}
    assert len(tables) > 5
    assert len(printers) > 20
    assert [name for name, value in printers.items() if not hasattr(value, "__wrapped__")] == ["print_table"]


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
