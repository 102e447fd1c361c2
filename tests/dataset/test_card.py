"""The card is a page for people and a head for Hugging Face; names in it are text, never markup."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from small_datasets import make
from synthset.dataset.card import refresh_card
from synthset.dataset.reader import open_dataset
from synthset.dataset.relabels import write_relabels
from synthset.dataset.verdicts import SCHEMA, Verdicts, verdicts_path, write_verdicts
from synthset.filters import Filter, Judgement, clear_filters, filter_dataset
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
    features = [feature["name"] for feature in yaml.safe_load(head)["dataset_info"][0]["features"]]
    explained = [line.split("`")[1] for line in body.splitlines() if line.startswith("| `")]
    assert explained == features
    assert "| `num_inference_steps` | Steps of the sampler for this image" in body


def rejecting(*rows):
    """A filter that rejects these."""

    def judge(images, inputs):
        keep = ~np.isin(np.arange(len(images)), rows)
        return Judgement(keep, keep.astype(float), [""] * len(images))

    return {"odd": Filter(lambda names, inputs: {}, judge)}


def card(folder):
    return (folder / "README.md").read_text(encoding="utf-8")


def test_datasets_loads_what_is_kept_and_all_by_name(tmp_path):
    from datasets import load_dataset

    make(tmp_path / "pets")
    for rejected in ((), (0, 3, 19), (3,)):  # one after the other: nothing stale comes from the cache
        filter_dataset(tmp_path / "pets", rejecting(*rejected), encoder=object())
        kept = load_dataset(str(tmp_path / "pets"), cache_dir=str(tmp_path / "cache"))["train"]
        assert kept["request_id"] == [number for number in range(20) if number not in rejected]
        assert kept.features["label"].names == ["cat", "sea_lake"]
        streamed = load_dataset(str(tmp_path / "pets"), split="train", streaming=True)
        assert [row["request_id"] for row in streamed] == kept["request_id"]
    everything = load_dataset(str(tmp_path / "pets"), "all", cache_dir=str(tmp_path / "cache"))["train"]
    assert everything["request_id"] == list(range(20))
    assert everything.features == kept.features


def test_the_card_follows_the_filters(tmp_path):
    make(tmp_path / "pets")
    assert "`datasets.load_dataset(…)` gives all of them." in card(tmp_path / "pets")
    filter_dataset(tmp_path / "pets", rejecting(1, 2), encoder=object())
    assert "18 of 20 images are kept; rejected by `odd` 2." in card(tmp_path / "pets")
    verdicts_path(tmp_path / "pets", "odd").rename(verdicts_path(tmp_path / "pets", "clip"))
    clear_filters(tmp_path / "pets")
    assert "rejected by" not in card(tmp_path / "pets")


def test_whoever_took_the_card_away_does_not_get_it_back(tmp_path):
    make(tmp_path / "pets")
    (tmp_path / "pets" / "README.md").unlink()
    filter_dataset(tmp_path / "pets", rejecting(1), encoder=object())
    assert not (tmp_path / "pets" / "README.md").exists()


def test_verdicts_that_do_not_fit_leave_nothing_out_and_the_card_says_so(tmp_path):
    dataset = make(tmp_path / "pets").dataset
    table = pa.table({"request_id": [99], "keep": [False], "reason": [""], "score": [0.0]}, schema=SCHEMA)
    write_verdicts(dataset.folder, Verdicts("stale", {}, table))
    filter_dataset(tmp_path / "pets", rejecting(1), encoder=object())
    text = card(tmp_path / "pets")
    assert "do not fit the images, so none is left out" in text
    assert "filters:" not in text.split("---")[1]


def test_the_card_counts_what_was_relabelled(tmp_path):
    dataset = make(tmp_path / "pets").dataset
    sha256 = dataset.rows.column("sha256").to_pylist()
    alike = sha256.count(sha256[0])
    write_relabels(dataset.folder, {sha256[0]: "sea_lake", sha256[-1]: "sea_lake"})
    refresh_card(open_dataset(dataset.folder))
    assert f"**Relabelled:** {alike} images have another class" in card(tmp_path / "pets")
