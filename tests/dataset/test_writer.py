"""A folder is filled for one job: another is refused and named, an older one is filled further as it was begun."""

import json

import datasets
import pyarrow.parquet as pq
import pytest

from small_datasets import Crash, crashing, hashes, make
from synthset.core.errors import ConfigChangedError, DataError, UsageError
from synthset.core.files import write_json
from synthset.dataset.reader import open_dataset
from synthset.testing import FakeGenerator


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 65}, "seed: 64 there, 65 here"),
        ({"images_per_class": 6}, "images_per_class: 5 there, 6 here"),
        ({"strategies": ("base",)}, "strategies.random_guidance"),
        ({"resize_px": 4}, "images.resize_px: null there, 4 here"),
        ({"negative_prompt": "blur"}, "negative_prompt"),
        ({"image_format": "jpeg"}, "images.format"),
        ({"guidance_scale": "2"}, "strategies.base"),
        ({"classes": ("sea_lake", "cat")}, "classes"),
        ({"generator": FakeGenerator(size_px=16)}, "generation.height_px"),
    ],
)
def test_another_job_into_the_same_folder_is_refused_and_named(tmp_path, change, named):
    make(tmp_path / "pets")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigChangedError, match="nothing was changed") as error:
        make(tmp_path / "pets", **change)
    assert named in str(error.value)
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after


def test_overwrite_replaces_a_dataset_and_nothing_else(tmp_path):
    make(tmp_path / "pets")
    (tmp_path / "pets" / "notes.txt").write_text("mine")
    make(tmp_path / "pets", seed=65, overwrite=True, images_per_class=2)
    assert open_dataset(tmp_path / "pets").accounting.ok == 8
    assert len(list((tmp_path / "pets" / "data").iterdir())) == 1
    assert (tmp_path / "pets" / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_not_ours_is_refused_even_with_overwrite(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"precious")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="no Synthset dataset"):
            make(tmp_path / "photos", overwrite=overwrite)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["holiday.jpg"]
    with pytest.raises(UsageError, match="is a file"):
        make(tmp_path / "photos" / "holiday.jpg")


def rewrite_manifest(folder, change):
    """The manifest as another version would have written it."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    write_json(path, manifest)


@pytest.mark.parametrize(
    ("section", "key", "default", "option", "other", "named"),
    [
        ("images", "antialias", True, "antialias", False, "images.antialias: true there, false here"),
        (None, "negative_prompt", "", "negative_prompt", "blur", 'negative_prompt: "" there, "blur" here'),
        (None, "shard_size", 512, "shard_size", 8, "shard_size: 512 there, 8 here"),
    ],
)
def test_a_manifest_without_an_option_has_its_default(tmp_path, section, key, default, option, other, named):
    options = {"shard_size": 512, "resize_px": 16}
    make(tmp_path / "pets", **{**options, option: default})
    rewrite_manifest(
        tmp_path / "pets", lambda manifest: (manifest["job"][section] if section else manifest["job"]).pop(key)
    )
    before = (tmp_path / "pets" / "manifest.json").read_bytes()
    with pytest.raises(ConfigChangedError) as error:
        make(tmp_path / "pets", **{**options, option: other})
    assert named in str(error.value)
    assert (tmp_path / "pets" / "manifest.json").read_bytes() == before
    assert make(tmp_path / "pets", **{**options, option: default}).drawn == 0


def test_an_option_that_a_manifest_does_not_know_is_no_default_of_another(tmp_path):
    make(tmp_path / "pets", quality=80)
    rewrite_manifest(tmp_path / "pets", lambda manifest: manifest["job"]["images"].pop("quality"))
    with pytest.raises(ConfigChangedError, match=r"images\.quality: 95 there, 80 here"):
        make(tmp_path / "pets", quality=80)


def test_all_shards_of_a_dataset_have_the_columns_of_the_first(tmp_path):
    """A dataset that was begun before the rows had a column is finished without it."""
    folder = tmp_path / "pets"
    with pytest.raises(Crash):
        make(folder, steps="2:4", generator=crashing(FakeGenerator(preferred_batch_size=4), 3))
    (first,) = (folder / "data").glob("*.parquet")
    table = pq.read_table(first)
    assert table.column_names[-1] == "num_inference_steps"
    metadata = {**table.schema.metadata}
    features = json.loads(metadata[b"huggingface"])
    del features["info"]["features"]["num_inference_steps"]
    metadata[b"huggingface"] = json.dumps(features).encode()
    pq.write_table(table.drop_columns("num_inference_steps").replace_schema_metadata(metadata), first)
    rewrite_manifest(folder, lambda manifest: manifest.pop("columns"))

    dataset = make(folder, steps="2:4").dataset
    assert len(dataset.shards) == 3
    assert len({tuple(pq.read_schema(path).names) for path in dataset.shards}) == 1
    assert "num_inference_steps" not in dataset.rows.column_names
    assert "columns" not in dataset.manifest
    assert {request.num_inference_steps for request in dataset.requests()} == {0}
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == 20
    make(tmp_path / "new", steps="2:4")
    assert hashes(folder) == hashes(tmp_path / "new")

    make(folder, steps="2:4", overwrite=True)
    assert "num_inference_steps" in open_dataset(folder).rows.column_names


def test_a_dataset_of_a_later_version_with_other_columns_is_read_and_not_written(tmp_path):
    folder = tmp_path / "pets"
    make(folder)
    rewrite_manifest(folder, lambda manifest: manifest["columns"].append("mood"))
    for path in (folder / "data").iterdir():
        table = pq.read_table(path)
        moods = [["calm"] * table.num_rows]
        pq.write_table(table.append_column("mood", moods).replace_schema_metadata(table.schema.metadata), path)
    assert open_dataset(folder).rows.column("mood").to_pylist() == ["calm"] * 20
    assert len(open_dataset(folder).requests()) == 20
    with pytest.raises(DataError, match=r"begun by a later version, whose rows have columns .*: mood. Update synthset"):
        make(folder)
    assert make(folder, overwrite=True).drawn == 20
