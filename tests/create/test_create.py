"""`create` from class names to a finished folder: each image recorded, interrupted runs finished, failures counted."""

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

import synthset
from small_datasets import Crash, crashing, hashes, make
from synthset.core.errors import ConfigChangedError, DataError, FailureThresholdError, UnknownNameError, UsageError
from synthset.dataset.reader import open_dataset
from synthset.testing import FakeGenerator, ShuffledExecutor


@pytest.mark.parametrize("first", ["synthset", "synthset.create", "synthset.create.stage"])
def test_create_is_the_function_though_its_package_has_the_same_name(first):
    code = f"""
import {first}, synthset
from synthset.create import stage
assert synthset.create is stage.create and callable(synthset.create)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_row_records_what_its_image_depends_on(tmp_path):
    result = make(tmp_path / "pets")
    assert (result.accounting.requested, result.accounting.ok, result.drawn) == (20, 20, 20)
    (row,) = open_dataset(tmp_path / "pets").rows.slice(1, 1).to_pylist()
    request = next(r for batch in generator_of_a_run(tmp_path).batches for r in batch if r.id == 1)
    for name in ("class_name", "strategy", "prompt", "negative_prompt", "guidance_scale", "seed", "index"):
        assert row[name] == getattr(request, name)
    assert row["class_name"] == "sea_lake"
    assert row["prompt"] == "an image of a sea lake"
    assert row["attempts"] == 1


def generator_of_a_run(tmp_path):
    generator = FakeGenerator()
    make(tmp_path / "again", generator=generator)
    return generator


def test_pixels_are_stored_as_drawn(tmp_path):
    generator = FakeGenerator()
    make(tmp_path / "pets", generator=generator)
    images = open_dataset(tmp_path / "pets").images()
    first = next(r for batch in generator.batches for r in batch if r.id == 0)
    np.testing.assert_array_equal(np.asarray(images.image(0)), generator._draw(first).pixels)


def test_nothing_depends_on_batches_or_the_order_of_work(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b", generator=FakeGenerator(preferred_batch_size=3))
    make(tmp_path / "c", executor=ShuffledExecutor(3))
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b") == hashes(tmp_path / "c")


def test_a_second_run_draws_nothing_and_changes_nothing(tmp_path):
    make(tmp_path / "pets")
    before = {path: path.read_bytes() for path in (tmp_path / "pets").rglob("*") if path.is_file()}
    generator = FakeGenerator()
    assert make(tmp_path / "pets", generator=generator).drawn == 0
    assert generator.batches == []
    after = {path: path.read_bytes() for path in (tmp_path / "pets").rglob("*") if path.is_file()}
    changed = {path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed <= {"manifest.json"}  # the seconds of the run that looked


@pytest.mark.parametrize("batches", [0, 1, 2, 3])
def test_an_interrupted_run_is_finished_to_the_same_images(tmp_path, batches):
    make(tmp_path / "whole", generator=FakeGenerator(preferred_batch_size=4))
    with pytest.raises(Crash):
        make(tmp_path / "cut", generator=crashing(FakeGenerator(preferred_batch_size=4), batches))
    with pytest.raises(DataError, match="not finished"):
        open_dataset(tmp_path / "cut")
    result = make(tmp_path / "cut", generator=FakeGenerator(preferred_batch_size=16))
    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole")
    assert result.drawn == 20 - 8 * (batches // 2)
    manifest = json.loads((tmp_path / "cut" / "manifest.json").read_text())
    assert manifest["batch_size"] == 4  # a resumed run draws the batches of the run that began


def test_accounting_holds_and_the_threshold_speaks(tmp_path):
    generator = FakeGenerator(status=lambda r: {"cat": "flagged", "dog": "failed"}.get(r.class_name, "ok"))
    with pytest.raises(FailureThresholdError, match=r"failures\.parquet") as error:
        make(tmp_path / "pets", ("cat", "dog", "owl"), generator, images_per_class=2)
    assert error.value.exit_code == 3
    accounting = open_dataset(tmp_path / "pets").accounting
    assert (accounting.requested, accounting.ok, accounting.flagged, accounting.failed) == (12, 4, 4, 4)
    assert accounting.retries == 8 * 5
    failures = pq.read_table(tmp_path / "pets" / "failures.parquet").to_pylist()
    assert {(f["class_name"], f["status"], f["attempts"]) for f in failures} == {
        ("cat", "flagged", 6),
        ("dog", "failed", 6),
    }
    assert make(tmp_path / "fine", ("owl", "emu"), generator).accounting.failed == 0


def test_a_dataset_without_one_good_image_is_reported_not_half_written(tmp_path):
    with pytest.raises(FailureThresholdError):
        make(tmp_path / "pets", generator=FakeGenerator(status=lambda r: "blank"))
    with pytest.raises(DataError, match="found none"):
        open_dataset(tmp_path / "pets").images()


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"resize_px": 2},
        {"quality": 0},
        {"batch_size": 0},
        {"seed": -1},
        {"max_failures": 2},
        {"image_format": "gif"},
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_written(tmp_path, options):
    with pytest.raises(UsageError):
        make(tmp_path / "pets", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'images_per_class'"):
        make(tmp_path / "pets", image_per_class=3)


def test_the_miniature_refuses_what_it_cannot_draw(tmp_path):
    with pytest.raises(UsageError, match=r"'cat'.*zero, one.*generator="):
        synthset.create(["cat"], tmp_path / "pets")
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_may_lie_in_an_object_store(tmp_path):
    url = f"memory://bucket/{tmp_path.name}"
    with pytest.raises(Crash):
        make(url, generator=crashing(FakeGenerator(preferred_batch_size=4), 3))
    result = make(url, generator=FakeGenerator(preferred_batch_size=4))
    make(tmp_path / "here", generator=FakeGenerator(preferred_batch_size=4))
    assert 0 < result.drawn < 20
    assert hashes(url) == hashes(tmp_path / "here")
    assert open_dataset(url).images().image(0).size == (8, 8)
    with pytest.raises(ConfigChangedError, match="seed: 64 there, 65 here"):
        make(url, seed=65)
    assert make(url, seed=65, overwrite=True).drawn == 20


def test_a_url_of_an_unknown_kind_is_refused_in_one_line():
    with pytest.raises(UsageError, match="nowhere://bucket/pets"):
        make("nowhere://bucket/pets")
