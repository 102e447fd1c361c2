"""A dataset opened for reading: its images, views of them, and the requests that they were drawn from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import synthset
from small_datasets import CLASSES, make
from synthset.core.errors import DataError, UnknownNameError
from synthset.core.files import write_json
from synthset.create.inputs import plan_run
from synthset.create.stage import CreateConfig
from synthset.dataset.reader import open_dataset


def test_views_of_one_drawing(tmp_path):
    dataset = make(tmp_path / "pets", strategies=("all_combined",), images_per_class=4).dataset
    assert len(dataset.images()) == len(dataset.images("all_combined")) == 32
    assert len(dataset.images("all_combined_equal")) == 8
    assert set(dataset.images("base").groups) == {"base"}
    assert np.bincount(dataset.images("all_combined_equal").labels).tolist() == [4, 4]
    with pytest.raises(UnknownNameError):
        dataset.images("nothing")


def test_hugging_face_datasets_opens_the_folder(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    made = make(tmp_path / "pets")
    loaded = datasets.load_dataset(str(tmp_path / "pets"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    train = loaded["train"]
    assert train.features["label"].names == list(CLASSES)
    assert set(train.column_names) >= {"image", "label", "class_name", "strategy", "prompt", "guidance_scale", "seed"}
    np.testing.assert_array_equal(np.asarray(train[3]["image"]), np.asarray(made.dataset.images().image(3)))
    assert len(train) == 20


def test_rows_give_back_the_requests_that_images_were_drawn_from(tmp_path):
    options = {"steps": "2:9", "negative_prompt": ("blur", "text"), "images_per_class": 5}
    dataset = make(tmp_path / "pets", **options).dataset
    config = CreateConfig(strategies=("base", "random_guidance"), **options)
    planned = list(plan_run(CLASSES, config, None).requests())
    assert dataset.requests() == planned
    assert dataset.requests([7, 2]) == dataset.requests(np.array([7, 2])) == [planned[7], planned[2]]
    assert len({request.num_inference_steps for request in planned}) > 4


def test_columns_are_those_of_the_manifest(tmp_path):
    dataset = make(tmp_path / "pets", steps="2:9").dataset
    assert dataset.manifest["columns"] == list(dataset.columns)
    assert ["image", *dataset.rows.column_names] == list(dataset.columns)
    assert "num_inference_steps" in dataset.columns
    assert "num_inference_steps" not in make(tmp_path / "plain", steps=3).dataset.columns
    manifest = json.loads((tmp_path / "pets" / "manifest.json").read_text())
    del manifest["columns"]
    write_json(tmp_path / "pets" / "manifest.json", manifest)
    assert open_dataset(tmp_path / "pets").columns == make(tmp_path / "plain", steps=3).dataset.columns


def rewrite(path, change, **options):
    """A shard with another table, written as by versions without checksums."""
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path, **options)


def with_column(name, value):
    """A change: another value in the second row of a column."""

    def change(table):
        values = table.column(name).to_pylist()
        values[1] = value(values[1])
        return table.set_column(table.column_names.index(name), table.schema.field(name), [values])

    return change


def flipped(image):
    data = bytearray(image["bytes"])
    data[-20] ^= 1  # within the pixels, or the checksum of the PNG
    return image | {"bytes": bytes(data)}


@pytest.mark.parametrize("change", [flipped, lambda image: image | {"bytes": None}])
def test_an_image_that_was_changed_is_noticed_and_the_others_are_read(tmp_path, change):
    dataset = make(tmp_path / "pets").dataset
    rewrite(dataset.shards[1], with_column("image", change))
    images = open_dataset(tmp_path / "pets").images()
    with pytest.raises(DataError, match=r"Expected row 1 of '.*train-00001\.parquet' as it was drawn, it was changed"):
        images.image(9)
    assert len({images.read(row) for row in range(20) if row != 9}) == 19
    for use in (lambda: images.tensor(8), lambda: synthset.export(tmp_path / "pets", tmp_path / "files")):
        with pytest.raises(DataError, match=r"train-00001\.parquet.* Delete it, and run the same"):
            use()
    dataset.shards[1].unlink()
    again = make(tmp_path / "pets").dataset
    assert [again.images().read(row) for row in range(20)] == [
        make(tmp_path / "new").dataset.images().read(row) for row in range(20)
    ]


def test_a_flip_in_a_page_of_a_shard_is_noticed(tmp_path):
    (path, *_) = make(tmp_path / "pets").dataset.shards
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"train-00000\.parquet' does not read .*checksum"):
        open_dataset(tmp_path / "pets").images().read(0)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("label", 2, r"Expected labels 0\.\.1 in '.*train-00000\.parquet', got 0\.\.2"),
        ("label", -1, r"got -1\.\.\d"),
        ("label", None, "rows without 'label'"),
        ("sha256", None, "rows without 'sha256'"),
        ("strategy", None, "rows without 'strategy'"),
        ("seed", None, "rows without 'seed'"),
    ],
)
def test_a_row_that_no_run_writes_is_refused(tmp_path, name, value, reason):
    (path, *_) = make(tmp_path / "pets").dataset.shards
    rewrite(path, with_column(name, lambda _: value))
    with pytest.raises(DataError, match=reason) as caught:
        open_dataset(tmp_path / "pets").images()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lost", [1, 3])
def test_lost_shards_are_noticed(tmp_path, lost):
    dataset = make(tmp_path / "pets").dataset
    for path in dataset.shards[:lost]:
        path.unlink()
    with pytest.raises(DataError, match=r"Expected 20 images in '.*pets', as its manifest counts, found "):
        open_dataset(tmp_path / "pets").images()
    assert len(make(tmp_path / "pets").dataset.images()) == 20


def test_a_shard_that_is_there_twice_is_noticed(tmp_path):
    (path, *_) = make(tmp_path / "pets").dataset.shards
    shutil.copy(path, path.with_name("train-copy.parquet"))
    with pytest.raises(DataError, match=r"counts, found 28\. Take away what is there twice"):
        open_dataset(tmp_path / "pets").images()


@pytest.mark.parametrize("lost", ["data", "shards", "one shard"])
def test_every_stage_refuses_a_dataset_that_was_copied_in_part(own_folder, refuse, finished, lost):
    make("whole")
    make("part")
    shards = sorted(Path("part/data").iterdir())
    for shard in shards[:1] if lost == "one shard" else shards:
        shard.unlink()
    if lost == "data":
        Path("part/data").rmdir()
    for line in (
        ("train", "part", "--model", "small_cnn"),
        ("export", "part", "--output-dir", "files"),
        ("filter", "part", "--method", "duplicates", "--encoder", "miniature"),
        ("diagnose", "part", "--encoder", "miniature"),
        ("tune", "part", "--clip", "miniature"),
        ("eval", finished.folder, "--real", "part"),
        ("tune", "whole", "--real", "part", "--clip", "miniature"),
        ("filter", "whole", "--method", "real", "--real", "part", "--encoder", "miniature"),
        ("diagnose", "whole", "--real", "part", "--encoder", "miniature"),
        ("create", "--classes", *CLASSES, "--generator", "owner/name", "--initial-images", "part", "--shots", 1),
    ):
        assert "Copy it whole" in refuse(*line, code=1), line
