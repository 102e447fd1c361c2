"""Merged datasets: whole, counted, and each image still knows where it is from."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from outcomes import contents
from small_datasets import Crash, hashes, make, photos
from synthset.core.errors import ConfigChangedError, DataError, UsageError
from synthset.curation.merge import NOT_JUDGED, merge
from synthset.dataset.by_hand import write_by_hand
from synthset.dataset.reader import open_dataset
from synthset.dataset.relabels import write_relabels
from synthset.dataset.verdicts import JUDGED_AS, SCHEMA, Verdicts, write_verdicts
from synthset.testing import FakeGenerator


class FromImages(FakeGenerator):
    def generate_from(self, requests, initial_images):
        return self.generate(requests)


def judge(folder, method, rejected, config=None):
    """Verdicts of a filter that rejects the images with these ids."""
    dataset = open_dataset(folder)
    ids = dataset.rows.column("request_id").to_pylist()
    rows = [{"request_id": i, "keep": i not in rejected, "reason": f"{method} {i}", "score": 0.5} for i in ids]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    write_verdicts(dataset.folder, Verdicts(method, config or {"threshold": 0.5}, table, dataset.rows_hash))


@pytest.fixture
def two(tmp_path):
    """Two datasets of the same classes in another order; the first five images of `b` are those of `a`."""
    make(tmp_path / "a", images_per_class=5)
    make(tmp_path / "b", ("sea_lake", "cat"), seed=65, images_per_class=4, guidance_scale=2.0, strategies=("base",))
    return tmp_path / "a", tmp_path / "b"


def test_every_image_is_there_under_its_name_and_knows_where_it_is_from(two, tmp_path):
    result = merge(two, tmp_path / "m")
    assert (result.images, result.kept, result.duplicates, result.sources) == (28, 28, 0, {"a": 20, "b": 8})
    merged = open_dataset(tmp_path / "m")
    rows = merged.rows.to_pylist()
    for name, folder in zip("ab", two, strict=True):
        before = {row["request_id"]: row for row in open_dataset(folder).rows.to_pylist()}
        after = [row for row in rows if row["source"] == name]
        assert {row["source_id"] for row in after} == set(before)
        for row in after:
            old = before[row["source_id"]]
            assert all(row[key] == old[key] for key in ("class_name", "prompt", "seed", "guidance_scale", "sha256"))
            assert merged.class_names[row["label"]] == row["class_name"]
    assert len({row["request_id"] for row in rows}) == 28
    images = merged.images()
    assert Counter(images.labels.tolist()) == {0: 14, 1: 14}
    assert [images.image(i).size for i in (0, 27)] == [(8, 8)] * 2  # bytes are read and their hashes looked at


def test_accounting_jobs_and_card_follow(two, tmp_path):
    merge(two, tmp_path / "m")
    merged = open_dataset(tmp_path / "m")
    total = open_dataset(two[0]).accounting + open_dataset(two[1]).accounting
    assert merged.accounting == total
    assert merged.merged is not None
    jobs = {source.name: source.job for source in merged.merged.sources}
    assert jobs["b"] == open_dataset(two[1]).manifest["job"]
    job = merged.manifest["job"]
    assert (job["seed"], job["strategies"]["base"]) == ([64, 65], "7.5; 2")
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert "**Merged from:** `a`, 20 images; `b`, 8 images." in card
    assert "run seed 64" in card
    assert "run seed 65" in card


def test_failures_are_kept_with_ids_that_nothing_else_has(tmp_path):
    make(tmp_path / "a")
    broken = FakeGenerator(status=lambda request: "failed" if "cat" in request.prompt else "ok")
    with pytest.raises(Exception, match="more failed"):
        make(tmp_path / "b", seed=5, generator=broken)
    merge([tmp_path / "b", tmp_path / "a"], tmp_path / "m")
    merged = open_dataset(tmp_path / "m")
    assert str(merged.accounting) == "40 requested = 30 ok + 0 flagged + 10 failed"
    failed = pq.read_table(tmp_path / "m" / "failures.parquet").column("request_id").to_pylist()
    assert len(failed) == 10
    assert not set(failed) & set(merged.rows.column("request_id").to_pylist())


def test_one_file_is_there_once_and_a_rejection_of_any_copy_stands(tmp_path):
    make(tmp_path / "a", seed=3)
    make(tmp_path / "b", seed=3, images_per_class=7)  # the same images, and more
    shared = set(hashes(tmp_path / "a").values())
    twin = next(i for i, name in hashes(tmp_path / "b").items() if name in shared)
    judge(tmp_path / "a", "clip", [])
    judge(tmp_path / "b", "clip", [twin])
    result = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "m")
    assert (result.images, result.duplicates, result.other_class, result.kept) == (28, 20, 0, 27)
    merged = open_dataset(tmp_path / "m")
    assert merged.accounting.ok == merged.accounting.requested == 28
    rejected = merged.rows.column("sha256").to_numpy(zero_copy_only=False)[~merged.kept()]
    assert rejected.tolist() == [hashes(tmp_path / "b")[twin]]


def test_verdicts_of_filters_and_people_are_carried(two, tmp_path):
    a, b = two
    judge(a, "clip", [0, 1])
    judge(b, "real", [2], {"threshold": 0.1})
    write_by_hand(b, {hashes(b)[3]: False, "0" * 64: False})
    write_by_hand(a, {hashes(a)[1]: True})
    result = merge(two, tmp_path / "m")
    assert result.kept == 28 - 3  # ids 0 of a, and 2 and 3 of b; 1 of a is kept by hand
    merged = open_dataset(tmp_path / "m")
    verdicts = merged.verdicts()
    assert sorted(verdicts) == ["clip", "real", "review"]
    clip = verdicts["clip"].table.to_pylist()
    assert [row["reason"] for row in clip][:2] == ["clip 0", "clip 1"]
    assert [(row["keep"], row["reason"], row["score"]) for row in clip][20:] == [(True, NOT_JUDGED, None)] * 8
    assert verdicts["clip"].config == {"merged": {"a": {"threshold": 0.5}, "b": None}}


def test_a_verdict_on_another_class_than_the_merged_image_has_does_not_count(two, tmp_path):
    for folder in two:
        judge(folder, "clip", rejected={0, 1})
        verdicts = open_dataset(folder).verdicts()["clip"]
        names = open_dataset(folder).rows.column("class_name")
        write_verdicts(folder, replace(verdicts, table=verdicts.table.append_column(JUDGED_AS, names)))
    row = open_dataset(two[0]).rows.slice(0, 1).to_pylist()[0]
    write_relabels(two[0], {row["sha256"]: {"cat": "sea_lake", "sea_lake": "cat"}[row["class_name"]]})
    assert merge(two, tmp_path / "m").kept == 28 - 3  # of four that are rejected one has another class now
    told = open_dataset(tmp_path / "m").verdicts()["clip"]
    assert (told.outdated, told.table.column("judged_as")[0].as_py()) == (1, row["class_name"])


def test_filters_of_folders_of_one_name_keep_the_settings_of_each(tmp_path):
    make(tmp_path / "here" / "pets")
    make(tmp_path / "there" / "pets", seed=65)
    folders = [tmp_path / "here" / "pets", tmp_path / "there" / "pets"]
    for folder, threshold in zip(folders, (0.5, 0.1), strict=True):
        judge(folder, "clip", [0], {"threshold": threshold})
    merge(folders, tmp_path / "m")
    config = open_dataset(tmp_path / "m").verdicts()["clip"].config
    assert config == {"merged": {"pets": {"threshold": 0.5}, "pets (2)": {"threshold": 0.1}}}


def test_relabels_are_obeyed_and_one_file_under_two_classes_is_said(tmp_path, caplog):
    make(tmp_path / "a", seed=3)
    make(tmp_path / "b", seed=3)
    number, name = next(iter(hashes(tmp_path / "a").items()))
    other = "sea_lake" if open_dataset(tmp_path / "a").rows.column("class_name")[0].as_py() == "cat" else "cat"
    write_relabels(tmp_path / "a", {name: other})
    result = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "m")
    assert (result.images, result.duplicates, result.other_class) == (20, 20, 1)
    assert "1 images are one file under two classes" in caplog.text
    rows = {row["source_id"]: row for row in open_dataset(tmp_path / "m").drawn_rows.to_pylist()}
    assert rows[number]["class_name"] == other


def test_other_classes_are_refused_unless_their_union_is_asked_for(two, tmp_path):
    make(tmp_path / "c", ("cat", "dog"), seed=9)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"'.*c' lacks sea_lake; '.*a' lacks dog\. Give union=True"):
        merge([two[0], tmp_path / "c"], tmp_path / "m")
    assert contents(tmp_path) == before
    result = merge([two[0], tmp_path / "c"], tmp_path / "m", union=True)
    assert result.class_names == ("cat", "sea_lake", "dog")
    assert np.bincount(open_dataset(tmp_path / "m").images().labels).tolist() == [20, 10, 10]


def test_classes_that_differ_by_spelling_alone_are_no_two_classes(two, tmp_path):
    make(tmp_path / "c", ("Cat", "sea lake"), seed=9)
    with pytest.raises(UsageError, match="Expected each class once, got 'cat' and 'Cat'"):
        merge([two[0], tmp_path / "c"], tmp_path / "m", union=True)


@pytest.mark.parametrize("bad", ["one", "twice", "folder", "missing"])
def test_what_cannot_be_merged_is_refused(two, tmp_path, bad):
    (tmp_path / "real").mkdir()
    folders = {"one": two[:1], "twice": (two[0], two[0]), "folder": (two[0], tmp_path / "real")}
    with pytest.raises((UsageError, DataError), match=r"two or more|Real images|found none"):
        merge(folders.get(bad, (two[0], tmp_path / "nothing")), tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_real_images_are_not_mixed_in_silence(two, tmp_path):
    make(tmp_path / "c", generator=FromImages(), initial_images=photos(), shots=2, seed=8)
    with pytest.raises(UsageError, match=r"got both: .*c began at real images\. Give with_real=True"):
        merge([two[0], tmp_path / "c"], tmp_path / "m")
    merge([two[0], tmp_path / "c"], tmp_path / "m", with_real=True)
    merged = open_dataset(tmp_path / "m")
    assert set(merged.initial_images()) == set(open_dataset(tmp_path / "c").initial_images())
    assert {row["initial_image"] != "" for row in merged.rows.to_pylist() if row["source"] == "c"} == {True}
    assert {row["strength"] for row in merged.rows.to_pylist() if row["source"] == "a"} == {1.0}
    assert "images helped to draw some of them" in (tmp_path / "m" / "README.md").read_text()


def test_a_merge_of_merges_and_parts_names_the_datasets_that_were_drawn(two, tmp_path):
    from synthset.curation.split import split

    split(two[0], tmp_path / "s", train=0.5, validation=0.0, test=0.5)
    make(tmp_path / "other" / "a", seed=99)  # of the same name
    merge([two[1], tmp_path / "other" / "a"], tmp_path / "m")
    result = merge([tmp_path / "s" / "train", tmp_path / "m", tmp_path / "s" / "test"], tmp_path / "all")
    assert result.sources == {"a": 20, "b": 8, "a (2)": 20}
    rows = open_dataset(tmp_path / "all").rows.to_pylist()
    drawn = {row["request_id"]: row["seed"] for row in open_dataset(tmp_path / "other" / "a").rows.to_pylist()}
    assert {row["source_id"]: row["seed"] for row in rows if row["source"] == "a (2)"} == drawn


def test_nothing_is_drawn_into_a_merged_dataset_and_nothing_else_is_replaced(two, tmp_path):
    merge(two, tmp_path / "m")
    with pytest.raises(ConfigChangedError, match="holds another job"):
        make(tmp_path / "m")
    with pytest.raises(UsageError, match="overwrite"):
        merge(two, tmp_path / "m")
    before = contents(tmp_path / "a")
    with pytest.raises(UsageError, match="apart from"):
        merge([tmp_path / "m", two[1]], tmp_path / "m", overwrite=True)
    with pytest.raises(UsageError, match="other things"):
        merge([tmp_path / "m", two[1]], two[0], overwrite=True)
    merge(two[::-1], tmp_path / "m", overwrite=True)
    assert open_dataset(tmp_path / "m").class_names == ("sea_lake", "cat")
    assert contents(tmp_path / "a") == before


def test_a_merge_that_is_stopped_leaves_nothing(two, tmp_path, monkeypatch):
    def crash(*args, **options):
        raise Crash

    monkeypatch.setattr("synthset.curation.writing.write_card", crash)
    before = contents(tmp_path)
    with pytest.raises(Crash):
        merge(two, tmp_path / "m")
    assert contents(tmp_path) == before


def test_a_merge_that_is_killed_is_begun_anew_and_leaves_nothing_behind(two, tmp_path):
    code = "; ".join(
        [
            "import os, sys, synthset.curation.writing as writing",
            "from synthset.curation.merge import merge",
            "writing.write_card = lambda *_: os.kill(os.getpid(), 9)",
            "merge(sys.argv[1:3], sys.argv[3])",
        ]
    )
    before = contents(tmp_path)
    arguments = [sys.executable, "-c", code, *map(str, two), str(tmp_path / "m")]
    assert subprocess.run(arguments, check=False).returncode == -9
    assert not (tmp_path / "m").exists()
    merge(two, tmp_path / "m")
    assert set(contents(tmp_path)) - set(before) == {f"m/{name}" for name in contents(tmp_path / "m")} | {"m"}


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(two, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("synthset.curation.writing.write_table", full)
    before = contents(tmp_path)
    with pytest.raises(DataError, match=r"No space left on device.*check space"):
        merge(two, tmp_path / "m")
    assert contents(tmp_path) == before


def test_an_image_that_was_changed_is_no_part_of_another_dataset(two, tmp_path):
    shard = open_dataset(two[0]).shards[0]
    table = pq.read_table(shard)
    images = table.column("image").to_pylist()
    images[0] = {**images[0], "bytes": images[1]["bytes"]}
    pq.write_table(table.set_column(0, "image", pa.array(images, table.schema.field("image").type)), shard)
    with pytest.raises(DataError, match="as it was drawn, it was changed"):
        merge(two, tmp_path / "m")
    assert not (tmp_path / "m").exists()
