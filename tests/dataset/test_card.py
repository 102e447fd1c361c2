"""The card is a page for people and a head for Hugging Face; names in it are text, never markup."""

import pyarrow.parquet as pq
import yaml

from small_datasets import make
from synthset.images.decoding import decode


def test_the_preview_and_the_card_are_there(tmp_path):
    make(tmp_path / "pets")
    assert decode((tmp_path / "pets" / "preview.png").read_bytes()).width > 100
    card = (tmp_path / "pets" / "README.md").read_text(encoding="utf-8")
    assert "| random&#95;guidance | 1:5 | 10 |" in card
    assert "20 requested = 20 ok" in card


def test_hostile_class_names_stay_names(tmp_path):
    names = ("<img src=x onerror=alert(1)>", "=cmd", "CON", "猫", "a|b`c")
    dataset = make(tmp_path / "out" / "pets", names).dataset
    assert dataset.class_names == names
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"pets"}
    card = (tmp_path / "out" / "pets" / "README.md").read_text(encoding="utf-8")
    assert "<img" not in card.split("---", 2)[2]
    paths = pq.read_table(dataset.shards[0], columns=["image"]).column("image").to_pylist()
    assert all(set(row["path"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-.") for row in paths)


def test_the_card_explains_the_columns_that_rows_have(tmp_path):
    make(tmp_path / "pets", steps="2:4")
    _, head, body = (tmp_path / "pets" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    features = [feature["name"] for feature in yaml.safe_load(head)["dataset_info"]["features"]]
    explained = [line.split("`")[1] for line in body.splitlines() if line.startswith("| `")]
    assert explained == features
    assert "| `num_inference_steps` | Steps of the sampler for this image" in body
