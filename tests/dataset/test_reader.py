"""A dataset opened for reading: its images, views of them, and the requests that they were drawn from."""

import json

import numpy as np
import pytest

from small_datasets import CLASSES, make
from synthset.core.errors import UnknownNameError
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
    (tmp_path / "pets" / "manifest.json").write_text(json.dumps(manifest))
    assert open_dataset(tmp_path / "pets").columns == make(tmp_path / "plain", steps=3).dataset.columns
