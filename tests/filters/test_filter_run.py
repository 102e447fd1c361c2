import logging
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filtered_pets import CLASSES, inputs, make, run, verdicts

import synthset
from parity_encoder import ParityEncoder
from small_datasets import VERDICTS_DAMAGE, damage_verdicts
from synthset.core.errors import DataError, UnknownNameError, UsageError
from synthset.dataset.by_hand import write_by_hand
from synthset.dataset.opening import open_images
from synthset.dataset.reader import open_dataset
from synthset.dataset.relabels import write_relabels
from synthset.dataset.verdicts import verdicts_path
from synthset.filters import FILTERS, Filter, Judgement, clear_filters, filter_dataset


def test_an_image_is_kept_when_every_filter_keeps_it(pets):
    run(pets, ["clip", "duplicates"])
    dataset = open_dataset(pets)
    clip = dataset.verdicts()["clip"].keep
    assert dataset.verdicts()["duplicates"].keep.all()
    ids = dataset.rows.column("request_id")
    mine = pa.table({"request_id": ids, "keep": [i >= 10 for i in range(40)], "reason": [""] * 40, "score": [0.0] * 40})
    pq.write_table(mine.slice(0, 40).sort_by([("request_id", "descending")]), pets / "filters" / "mine.parquet")
    expected = [bool(keep) and i >= 10 for i, keep in enumerate(clip)]
    assert dataset.kept().tolist() == expected
    assert len(dataset.images()) == sum(expected)
    assert len(dataset.images(kept=False)) == 40
    assert dataset.images().labels.tolist() == [i % 2 for i, keep in enumerate(expected) if keep]
    assert len(dataset.images("base")) == sum(expected[:20])
    first = int(np.flatnonzero(expected)[0])
    assert dataset.images().read(0) == dataset.images(kept=False).read(first)


def test_equal_parts_count_what_is_kept(tmp_path):
    folder = make(tmp_path / "pets", strategies=("all_combined",), images_per_class=12)
    run(folder)
    dataset = open_dataset(folder)
    rows = dataset.rows.take(dataset.select("all_combined_equal"))
    cells = rows.group_by(["strategy", "class_name"]).aggregate([([], "count_all")]).column("count_all").to_pylist()
    kept = dataset.rows.filter(pa.array(dataset.kept()))
    most = kept.group_by(["strategy", "class_name"]).aggregate([([], "count_all")]).column("count_all").to_pylist()
    assert max(cells) == -(-max(most) // 4)
    assert len(cells) == 8


def test_running_a_method_again_replaces_its_file_alone(pets):
    run(pets, ["clip", "duplicates"])
    before = verdicts_path(pets, "duplicates").stat().st_mtime_ns
    run(pets, threshold=0.9)
    assert open_dataset(pets).verdicts()["clip"].config["threshold"] == 0.9
    assert verdicts_path(pets, "duplicates").stat().st_mtime_ns == before
    assert not list(pets.rglob("*.part"))


def test_clearing_takes_only_our_verdicts_away(pets):
    run(pets)
    (pets / "filters" / "mine.parquet").write_bytes(verdicts_path(pets, "clip").read_bytes())
    assert clear_filters(pets) == ["clip"]
    assert [path.name for path in (pets / "filters").iterdir()] == ["mine.parquet"]
    (pets / "filters" / "mine.parquet").unlink()
    run(pets)
    assert clear_filters(pets) == ["clip"]
    assert not (pets / "filters").exists()
    assert clear_filters(pets) == []


@pytest.mark.parametrize("damage", VERDICTS_DAMAGE)
def test_damaged_verdicts_are_refused_and_can_be_replaced(pets, damage):
    run(pets)
    damage_verdicts(verdicts_path(pets, "clip"), damage)
    with pytest.raises(DataError, match="Run the filter again"):
        open_dataset(pets).images()
    assert len(open_dataset(pets).images(kept=False)) == 40
    run(pets)
    assert 0 < len(open_dataset(pets).images()) < 40


def test_verdicts_about_other_images_are_refused(pets, tmp_path):
    run(pets)
    other = make(tmp_path / "others", seed=65)  # the same ids, other pixels
    (other / "filters").mkdir()
    verdicts_path(other, "clip").write_bytes(verdicts_path(pets, "clip").read_bytes())
    with pytest.raises(DataError, match=r"of the filter 'clip'.*Run the filter again: 'synthset filter"):
        open_dataset(other).images()
    short = verdicts(pets).slice(0, 39)
    pq.write_table(short, verdicts_path(pets, "clip"))
    with pytest.raises(DataError, match="1 images have none, 0 have no image"):
        open_dataset(pets).images()


def test_stale_verdicts_of_another_filter_do_not_stand_in_the_way(pets, caplog):
    run(pets, ["duplicates"])
    pq.write_table(verdicts(pets, "duplicates").slice(0, 5), verdicts_path(pets, "duplicates"))
    result = run(pets)
    assert "synthset filter" in caplog.text
    assert result.keep.tolist() == verdicts(pets).column("keep").to_pylist()


def test_overwriting_a_dataset_deletes_its_verdicts(pets):
    run(pets)
    make(pets, seed=65, overwrite=True)
    assert not (pets / "filters").exists()
    assert len(open_dataset(pets).images()) == 40


def test_a_dataset_of_which_nothing_is_kept_says_so(pets):
    run(pets, threshold=0.999999999)
    with pytest.raises(DataError, match=r"all 40 are rejected by filters \(clip\)\."):
        open_dataset(pets).images()


def test_hugging_face_datasets_reads_the_images_that_are_kept_and_no_verdicts(pets, tmp_path):
    import datasets

    run(pets, ["clip", "duplicates"])
    loaded = datasets.load_dataset(str(pets), split="train", cache_dir=str(tmp_path / "hf"))
    assert loaded.num_rows == len(open_dataset(pets).images()) < 40
    assert datasets.load_dataset(str(pets), "all", split="train", cache_dir=str(tmp_path / "hf")).num_rows == 40
    assert "keep" not in loaded.column_names


def test_training_images_leave_out_what_is_rejected_and_say_so(pets, caplog):
    assert len(open_images(pets)) == 40
    assert caplog.text == ""
    kept = int(run(pets).keep.sum())
    caplog.clear()
    assert len(open_images(pets)) == kept
    told = f"{40 - kept} of 40 images are left out: {40 - kept} by filters (clip)."
    assert caplog.messages[-1] == told  # whose caller has no choice, and is told of none
    assert len(open_images(pets, all_images=False)) == kept
    assert caplog.messages[-1] == f"{told} Give all_images=True for all."
    caplog.clear()
    assert len(open_images(pets, all_images=True)) == 40
    assert len(open_images(pets, all_images=False, tell=False)) == kept
    assert not caplog.messages


def test_what_a_person_rejected_is_not_counted_as_a_filters(pets, caplog):
    kept = run(pets).keep
    names = open_dataset(pets).rows.column("sha256").to_pylist()
    one, other, rescued = names[np.flatnonzero(kept)[0]], *(names[row] for row in np.flatnonzero(~kept)[:2])
    write_by_hand(pets, {one: False, other: False, rescued: True})
    assert len(open_images(pets)) == kept.sum() - 1 + 1
    by_filters = int((~kept).sum()) - 2
    assert (
        caplog.messages[-1] == f"{by_filters + 2} of 40 images are left out: {by_filters} by filters (clip), 2 by hand."
    )


def test_a_verdict_on_an_image_of_another_class_does_not_count_until_it_has_its_class_again(pets, caplog):
    rejected = np.flatnonzero(~run(pets, ["clip", "duplicates"], similarity=-1, hash_distance=0).verdicts["clip"].keep)
    dataset, row = open_dataset(pets), int(rejected[0])
    drawn, name = (dataset.rows.column(column)[row].as_py() for column in ("class_name", "sha256"))
    before = open_dataset(pets).kept()
    write_relabels(pets, {name: next(one for one in CLASSES if one != drawn)})
    told = open_dataset(pets).verdicts()
    assert not before[row]
    assert open_dataset(pets).kept().tolist() == [True if i == row else kept for i, kept in enumerate(before)]
    assert (told["clip"].outdated, told["duplicates"].outdated, np.isnan(told["clip"].scores[row])) == (1, 0, True)
    assert told["clip"].table.column("reason")[row].as_py() == (
        f"judged as {drawn}, and it is {CLASSES[drawn == CLASSES[0]]} now: this does not count"
    )
    open_images(pets)
    assert caplog.messages[-1] == (
        f"The filter clip judged 1 of 40 images of '{pets}' as of other classes than they have now: what it said of "
        f"these does not count. Run it again: 'synthset filter {pets}' with method=clip."
    )
    run(pets)  # which judges it as what it is now
    assert open_dataset(pets).verdicts()["clip"].outdated == 0
    write_relabels(pets, {})
    assert open_dataset(pets).verdicts()["clip"].outdated == 1  # and no longer is
    write_relabels(pets, {name: next(one for one in CLASSES if one != drawn)})
    assert open_dataset(pets).verdicts()["clip"].outdated == 0


def test_exports_leave_out_what_is_rejected(pets, tmp_path):
    kept = int(run(pets).keep.sum())
    synthset.export(pets, tmp_path / "kept")
    synthset.export(pets, tmp_path / "all", all_images=True)
    assert len(list((tmp_path / "kept").rglob("*.png"))) == kept
    assert len(list((tmp_path / "all").rglob("*.png"))) == 40


def test_a_filter_of_your_own(pets):
    def judge(images, inputs):
        keep = np.arange(len(images)) % 2 == 0
        return Judgement(keep, keep * 1.0, ["even" if even else "odd" for even in keep])

    odd = Filter(lambda class_names, inputs: {"threshold": 0.5}, judge)
    assert filter_dataset(pets, {"even": odd}, encoder=ParityEncoder()).keep.sum() == 20
    assert set(open_dataset(pets).verdicts()) == {"even"}
    with pytest.raises(UsageError, match="name of a filter"):
        filter_dataset(pets, {"../even": odd}, encoder=ParityEncoder())


def test_odd_class_names_are_words_in_reasons_and_never_paths(tmp_path):
    names = ("cat..*", "<b>dog & co<i>")
    folder = make(tmp_path / "pets", classes=names)
    result = run(folder, classes=names)
    assert 0 < result.keep.sum() < 40
    assert sorted(path.name for path in (folder / "filters").iterdir()) == ["clip.parquet"]
    assert any("p(<b>dog & co<i>)" in reason for reason in verdicts(folder).column("reason").to_pylist())


@pytest.mark.parametrize(
    ("methods", "options", "match"),
    [
        ([], {}, "at least one filter"),
        (["clap"], {}, "Did you mean 'clip'"),
        (["clip"], {"threshold": 1.5}, "threshold of at least 0 and below 1"),
        (["clip"], {"threshold": 0.5, "keep_share": 0.5}, "got both"),
        (["clip"], {"keep_share": 0.0}, "above 0"),
        (["duplicates"], {"threshold": 0.5}, "the filter clip with threshold, got duplicates"),
        (["duplicates"], {"templates": ("a {}",)}, "the filter clip with templates"),
        (["clip"], {"real": "digits"}, "the filter real or duplicates with real, got clip"),
        (["duplicates"], {"hash_distance": 65}, "0..64"),
        (["duplicates"], {"similarity": 2.0}, r"similarity in -1\.\.1"),
        (["clip"], {"nonsense": 1}, "option"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(pets, methods, options, match):
    with pytest.raises(UsageError, match=match):
        run(pets, methods, **options)
    assert not (pets / "filters").exists()


def test_an_unreadable_image_leaves_no_verdicts(pets):
    images = open_dataset(pets).images()
    broken = replace(images, read=lambda index: b"no image" if index == 3 else images.read(index))
    with pytest.raises(DataError, match="Image 3 of 'pets'"):
        FILTERS["duplicates"].judge(broken, inputs())
    with pytest.raises(DataError, match="Synthset dataset"):
        run(pets.parent / "nothing")


def test_an_unknown_filter_lists_the_valid_ones(pets):
    with pytest.raises(UnknownNameError, match="clip, real, duplicates"):
        run(pets, "nonsense")


def test_verdicts_are_quiet_where_nothing_is_wrong(pets, caplog):
    with caplog.at_level(logging.WARNING):
        run(pets)
    assert not caplog.records
