"""A column of a request is declared once; what files hold of it stays as the first datasets have it."""

import os
import shutil
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import pyarrow as pa
import pytest

import synthset
from synthset.dataset.records import (
    FAILURE_SCHEMA,
    OUTCOMES,
    REQUIRED_COLUMNS,
    Request,
    column_texts,
    columns_of,
    failure_row,
    features,
    plan_schema,
    request_of,
    shard_columns,
    shard_schema,
    stored_row,
    unknown_columns,
)
from synthset.testing import FakeGenerator

FIELDS = [field.name for field in fields(Request)]
ALWAYS = [field.name for field in fields(Request) if field.default is MISSING]
WORDS = "dictionary<values=string, indices=int32, ordered=0>"
FIRST = (
    *("image", "label", "class_name", "strategy", "prompt", "negative_prompt"),
    *("guidance_scale", "seed", "index", "request_id", "attempts", "sha256"),
)
REQUEST = Request(
    *(3, "cat", 1, "base@1:5", 2, "a cat", "blur", 1.5, 2**62),
    initial_image="ab",
    strength=0.5,
    num_inference_steps=7,
    condition_images=("cd", "ef"),
    condition_weights=(0.25, 0.75),
)


def test_plans_are_stored_as_ever():
    assert [(field.name, str(field.type)) for field in plan_schema(ALWAYS)] == [
        ("id", "int64"),
        ("class_name", WORDS),
        ("class_index", "int32"),
        ("strategy", WORDS),
        ("index", "int32"),
        ("prompt", WORDS),
        ("negative_prompt", WORDS),
        ("guidance_scale", "double"),
        ("seed", "int64"),
    ]
    assert [(field.name, str(field.type)) for field in plan_schema(FIELDS)][9:14] == [
        ("initial_image", "string"),
        ("strength", "double"),
        ("num_inference_steps", "int32"),
        ("condition_images", f"list<item: {WORDS}>"),
        ("condition_weights", "list<item: float>"),
    ]


def test_shards_begin_as_ever_and_end_with_what_came_later():
    assert shard_columns(ALWAYS) == FIRST
    assert shard_columns([*ALWAYS, "num_inference_steps"]) == (*FIRST, "num_inference_steps")
    assert shard_columns([*ALWAYS, "initial_image", "strength"]) == (*FIRST, "initial_image", "strength")
    types = {field.name: str(field.type) for field in shard_schema(shard_columns(FIELDS), ["cat"])}
    assert types | {"label": "int64", "index": "int32", "attempts": "int32", "prompt": "string"} == types
    assert types["image"] == "struct<bytes: binary, path: string>"
    assert types["condition_images"] == "list<item: string>"
    assert types["num_inference_steps"] == "int32"


def test_failures_are_stored_as_ever():
    assert [(field.name, str(field.type)) for field in FAILURE_SCHEMA] == [
        ("request_id", "int64"),
        ("class_name", "string"),
        ("strategy", "string"),
        ("prompt", "string"),
        ("guidance_scale", "double"),
        ("seed", "int64"),
        ("attempts", "int32"),
        ("status", "string"),
        ("reason", "string"),
    ]
    assert {*failure_row(REQUEST), "attempts", "status", "reason"} == set(FAILURE_SCHEMA.names)


def test_a_row_says_all_that_the_image_depended_on():
    columns = shard_columns(FIELDS)
    row = stored_row(REQUEST) | {"image": {"bytes": b"", "path": ""}, "attempts": 1, "sha256": ""}
    assert set(columns) == set(row)
    (back,) = pa.Table.from_pylist([row], schema=shard_schema(columns, ["cat", "dog"])).to_pylist()
    assert (back["label"], back["request_id"]) == (1, 3)
    assert request_of(back) == REQUEST


def test_a_row_that_lacks_columns_has_their_defaults():
    row = {name: value for name, value in stored_row(REQUEST).items() if name in REQUIRED_COLUMNS}
    request = request_of(row)
    assert {name: getattr(request, name) for name in ALWAYS} == {name: getattr(REQUEST, name) for name in ALWAYS}
    assert (request.initial_image, request.strength, request.num_inference_steps) == ("", 1.0, 0)
    assert (request.condition_images, request.condition_weights) == ((), ())


@pytest.mark.parametrize(
    ("real_images", "further"),
    [
        (None, ()),
        ({"strength": 0.5}, ("initial_image", "strength")),
        ({"mixed": {"interpolate_all": "all"}}, ("condition_images", "condition_weights")),
        ({"mixed": {}, "strength": 1}, ("initial_image", "strength", "condition_images", "condition_weights")),
    ],
)
def test_the_columns_of_datasets_whose_manifest_lists_none(real_images, further):
    job = {"steps": "20:40"} | ({"initial_images": real_images} if real_images else {})
    assert columns_of({"job": job}) == (*FIRST, *further)
    assert columns_of({"job": job, "columns": [*FIRST, "strength"]}) == (*FIRST, "strength")


def test_every_column_is_explained_and_required_where_it_has_no_default():
    texts = column_texts(shard_columns(FIELDS))
    assert all(text.endswith(".") and text[0].isupper() for text in texts.values())
    assert texts["label"] == "Index of the class, 0..k-1."
    assert set(FIRST) == REQUIRED_COLUMNS
    assert {*stored_row(REQUEST), *OUTCOMES} >= REQUIRED_COLUMNS
    assert unknown_columns([*shard_columns(FIELDS), "mood"]) == ["mood"]


def test_hugging_face_features():
    described = features(shard_columns(FIELDS), ["cat", "dog"])
    assert described["image"] == {"_type": "Image"}
    assert described["label"] == {"names": ["cat", "dog"], "_type": "ClassLabel"}
    assert described["seed"] == {"dtype": "int64", "_type": "Value"}
    assert described["condition_weights"] == [{"dtype": "float", "_type": "Value"}]


A_NEW_COLUMN = {
    "dataset/records.py": (
        "    def retried(",
        '    mood: Annotated[str, Column(WORDS, in_failures=True)] = "calm"\n    """Mood of the image."""\n\n'
        "    def retried(",
    ),
    "create/plan.py": (
        '        "seed": seeds,\n',
        '        "seed": seeds,\n        "mood": ["glad" if index % 2 else "sad" for _, _, index in cells],\n',
    ),
}
USE_OF_IT = """
import sys, synthset, pyarrow.parquet as pq, datasets
from synthset.dataset.records import Request
from synthset.testing import FakeGenerator
old, new = sys.argv[1:]
draw = lambda folder, **options: synthset.create(
    ["cat"], folder, generator=FakeGenerator(status=lambda r: "flagged" if r.mood == "sad" and r.index else "ok"),
    images_per_class=4, max_failures=1, **options)
made = draw(new)
assert "mood" in pq.read_table(f"{new}/plan.parquet").column_names
assert made.dataset.rows.column_names[-1] == "mood"
assert made.dataset.rows.column("mood").to_pylist() == ["sad", "glad", "glad"]
assert pq.read_table(f"{new}/failures.parquet").column("mood").to_pylist() == ["sad"]
assert [request.mood for request in made.dataset.requests()] == ["sad", "glad", "glad"]
assert "| `mood` | Mood of the image. |" in open(f"{new}/README.md").read()
assert datasets.load_dataset(new, split="train", cache_dir=f"{new}-cache")["mood"][:] == ["sad", "glad", "glad"]
assert {request.mood for request in synthset.open_dataset(old).requests()} == {"calm"}
"""


def test_who_adds_a_column_writes_the_field_and_what_computes_it(tmp_path):
    old = tmp_path / "old"
    synthset.create(["cat"], old, generator=FakeGenerator(), images_per_class=2)
    home = Path(synthset.__file__).parent
    shutil.copytree(home, tmp_path / "src" / "synthset", ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    for name, (before, after) in A_NEW_COLUMN.items():
        file = tmp_path / "src" / "synthset" / name
        text = file.read_text(encoding="utf-8")
        assert text.count(before) == 1
        file.write_text(text.replace(before, after), encoding="utf-8")
    command = [sys.executable, "-c", USE_OF_IT, str(old), str(tmp_path / "new")]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(tmp_path / "src")})
