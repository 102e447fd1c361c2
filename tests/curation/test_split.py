"""Parts of a dataset: whole datasets in the wanted shares, with nothing on two sides."""

from collections import Counter

import numpy as np
import pytest
from test_merge import judge

from outcomes import contents
from small_datasets import hashes, make, photos
from synthset.core.errors import ConfigChangedError, DataError, UsageError
from synthset.core.files import read_json, write_json
from synthset.curation.split import split
from synthset.dataset.by_hand import write_by_hand
from synthset.dataset.export import export, export_images
from synthset.dataset.opening import open_images
from synthset.dataset.parts import PART_NAMES
from synthset.dataset.reader import open_dataset
from synthset.dataset.relabels import write_relabels
from synthset.filters import filter_dataset
from synthset.images.opening import ImagePath, Opening
from synthset.testing import FakeGenerator


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Eighty images: two classes, two strategies, twenty each."""
    return make(tmp_path_factory.mktemp("whole") / "pets", images_per_class=20).dataset.folder


@pytest.fixture(scope="module")
def parts(pets, tmp_path_factory):
    """The same, split."""
    return split(pets, tmp_path_factory.mktemp("split") / "parts")


def test_each_class_and_strategy_has_its_share_in_each_part(parts):
    for name, count in {"train": 16, "validation": 2, "test": 2}.items():
        part = open_dataset(parts.folder / name)
        images = part.images()
        cells = Counter(zip(images.labels.tolist(), images.groups, strict=True))
        assert set(cells.values()) == {count}
        assert len(cells) == 4
        assert parts.parts[name].images == part.accounting.ok == part.accounting.requested == 4 * count


def test_every_image_is_in_one_part_as_it_was(pets, parts):
    whole = {row["request_id"]: row for row in open_dataset(pets).rows.to_pylist()}
    found = {}
    for name in parts.parts:
        part = open_dataset(parts.folder / name)
        for row in part.rows.to_pylist():
            assert row["request_id"] not in found
            found[row["request_id"]] = row
        assert part.images().image(0).size == (8, 8)
    assert found == whole


def test_datasets_reads_the_parts_as_splits_and_the_cards_say_what_they_are(parts, tmp_path):
    from datasets import load_dataset

    loaded = load_dataset(str(parts.folder), cache_dir=str(tmp_path))
    assert {name: part.num_rows for name, part in loaded.items()} == {"train": 64, "validation": 8, "test": 8}
    card = (parts.folder / "test" / "README.md").read_text()
    assert "**Part:** `test` of `pets`, which was split train 0.8, validation 0.1, test 0.1 by seed 0" in card
    assert card.partition("---\n\n")[2].startswith("# pets: test")


def test_training_exporting_and_filtering_take_a_part_as_any_dataset(pets, tmp_path):
    split(pets, tmp_path / "parts")
    from synthset import export, train

    trained = train(tmp_path / "parts" / "train", tmp_path / "model", architecture="small_cnn", epochs=1, device="cpu")
    assert trained.num_training + trained.num_held_back == 64
    export(tmp_path / "parts" / "test", tmp_path / "files")
    assert len(list((tmp_path / "files").rglob("*.png"))) == 8


def test_an_export_of_all_parts_has_them_as_its_splits_and_leaves_out_what_is_rejected(pets, tmp_path):
    folder = split(pets, tmp_path / "parts").folder
    ids = {name: open_dataset(folder / name).rows.column("request_id").to_pylist() for name in PART_NAMES}
    judge(folder / "train", "clip", rejected=set(ids["train"][:3]))
    result = export_images(folder, tmp_path / "out", "yolo")
    assert result.images == {"train": 61, "validation": 8, "test": 8}
    for name, place in (("train", "train"), ("validation", "val"), ("test", "test")):
        found = sorted(int(path.stem) for path in (result.folder / place).rglob("*.png"))
        assert found == ids[name][3 * (name == "train") :]
    with pytest.raises(
        UsageError, match=r"Expected no train and test with '.*parts', which is split already\. Leave it"
    ):
        export(folder, tmp_path / "other", train=0.5, test=0.5)
    one = export(ImagePath(str(folder), Opening(split="test")), tmp_path / "one", format="csv")
    assert sorted(int(path.stem) for path in (one / "images").rglob("*.png")) == ids["test"]
    halves = split(pets, tmp_path / "halves", train=0.5, validation=0, test=0.5).folder
    with pytest.raises(
        UsageError, match=r"Expected a part validation in '.*halves' for format 'yolo', got train, test\."
    ):
        export(halves, tmp_path / "other", format="yolo")
    assert not (tmp_path / "other").exists()


def test_one_part_is_named_where_one_dataset_is_read_and_its_verdicts_count(pets, tmp_path):
    folder = split(pets, tmp_path / "parts").folder
    judge(
        folder / "train", "clip", rejected=set(open_dataset(folder / "train").rows.column("request_id").to_pylist()[:3])
    )
    for read in (open_images, open_dataset):
        with pytest.raises(
            UsageError, match=r"the parts train, validation, test of one\. Name a part, e\.g\. '.*/train'"
        ):
            read(folder)
    assert len(open_images(ImagePath(str(folder), Opening(split="train")))) == 61
    with pytest.raises(UsageError, match=r"Unknown part of '.*parts' 'val'\."):
        open_images(ImagePath(str(folder), Opening(split="val")))
    write_json(folder / "split.json", {**read_json(folder / "split.json"), "images": {"../train": 61}})
    with pytest.raises(
        DataError, match=r"Expected the parts train, validation, test in '.*split\.json', got '\.\./train'"
    ):
        open_images(folder)


def test_a_filter_that_is_run_on_a_part_is_obeyed_by_the_card_of_all(pets, tmp_path):
    from datasets import load_dataset

    from synthset.filters import Filter, Judgement

    def odd(images, inputs):
        keep = np.arange(len(images)) > 0
        return Judgement(keep, keep.astype(float), [""] * len(images))

    split(pets, tmp_path / "parts")
    filter_dataset(tmp_path / "parts" / "test", {"odd": Filter(lambda names, inputs: {}, odd)}, encoder=object())
    loaded = load_dataset(str(tmp_path / "parts"), cache_dir=str(tmp_path / "cache"))
    assert {name: part.num_rows for name, part in loaded.items()} == {"train": 64, "validation": 8, "test": 7}
    assert "| [test](test/README.md) | 8 | 7 |" in (tmp_path / "parts" / "README.md").read_text()


def test_verdicts_and_labels_go_with_their_images(tmp_path):
    folder = make(tmp_path / "pets", images_per_class=10).dataset.folder
    names = hashes(folder)
    judge(folder, "clip", range(0, 40, 4))
    write_by_hand(folder, {names[0]: True, names[1]: False})
    rows = {row["request_id"]: row for row in open_dataset(folder).rows.to_pylist()}
    other = {"cat": "sea_lake", "sea_lake": "cat"}[rows[5]["class_name"]]
    write_relabels(folder, {names[5]: other})
    result = split(folder, tmp_path / "parts", train=0.5, validation=0.0, test=0.5)
    kept = {}
    for name in result.parts:
        part = open_dataset(result.parts[name].folder)
        numbers = part.rows.column("request_id").to_pylist()
        kept |= dict(zip(numbers, part.kept().tolist(), strict=True))
        classes = dict(zip(numbers, part.drawn_rows.column("class_name").to_pylist(), strict=True))
        assert classes.get(5, other) == other
    assert [number for number, keep in kept.items() if not keep] == sorted([1, *range(4, 40, 4)], key=list(kept).index)
    assert sum(part.kept for part in result.parts.values()) == 30
    assert abs(result.parts["train"].kept - 15) <= 1  # what is kept has its shares, too


def test_images_on_one_noise_lie_on_one_side(tmp_path):
    folder = make(tmp_path / "pets", shared_noise=True, images_per_class=10).dataset.folder
    result = split(folder, tmp_path / "parts", train=0.5, validation=0.0, test=0.5)
    seeds = [set(open_dataset(part.folder).rows.column("seed").to_pylist()) for part in result.parts.values()]
    assert not seeds[0] & seeds[1]
    assert (result.tied, result.largest_group) == (40, 4)
    assert [part.images for part in result.parts.values()] == [20, 20]
    free = split(folder, tmp_path / "free", train=0.5, validation=0.0, test=0.5, ties="none")
    seeds = [set(open_dataset(part.folder).rows.column("seed").to_pylist()) for part in free.parts.values()]
    assert seeds[0] & seeds[1]


def test_images_of_one_real_image_lie_on_one_side_and_it_goes_with_them(tmp_path):
    class FromImages(FakeGenerator):
        def generate_from(self, requests, initial_images):
            return self.generate(requests)

    make(tmp_path / "pets", generator=FromImages(), initial_images=photos(), shots=4, images_per_class=8)
    result = split(tmp_path / "pets", tmp_path / "parts", train=0.5, validation=0.0, test=0.5)
    real = [open_dataset(part.folder).rows.column("initial_image").to_pylist() for part in result.parts.values()]
    assert not set(real[0]) & set(real[1])
    assert set(real[0]) <= set(open_dataset(result.parts["train"].folder).initial_images())


def test_the_seed_decides(pets, tmp_path):
    def test_ids(seed, name):
        split(pets, tmp_path / name, seed=seed)
        return open_dataset(tmp_path / name / "test").rows.column("request_id").to_pylist()

    assert test_ids(1, "a") == test_ids(1, "b") != test_ids(2, "c")


def test_too_few_groups_for_the_parts_are_refused_and_far_off_shares_are_said(tmp_path, caplog):
    folder = make(tmp_path / "pets", shared_noise=True, images_per_class=2).dataset.folder
    before = contents(tmp_path)
    with pytest.raises(DataError, match=r"8 images make 2 groups that must not be parted .*or fewer ties"):
        split(folder, tmp_path / "parts")
    assert contents(tmp_path) == before
    make(tmp_path / "three", shared_noise=True, images_per_class=3)
    split(tmp_path / "three", tmp_path / "parts", train=0.5, validation=0.0, test=0.5)
    assert "instead of 50.0 %: 12 images are tied to others, up to 4 of them in one group" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 0.5}, "add up to 1, got train 0.5, validation 0.1, test 0.1"),
        ({"ties": ("none", "noise")}, "Expected ties=none alone"),
        ({"ties": ("noises",)}, "Unknown ties 'noises'"),
    ],
)
def test_options_that_cannot_be_are_refused(pets, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        split(pets, tmp_path / "parts", **options)
    assert not (tmp_path / "parts").exists()


def test_a_part_is_not_drawn_into_and_only_a_split_is_replaced(pets, tmp_path):
    split(pets, tmp_path / "parts")
    with pytest.raises(ConfigChangedError, match='made_by: "split: train" there'):
        make(tmp_path / "parts" / "train", images_per_class=20)
    with pytest.raises(UsageError, match="overwrite"):
        split(pets, tmp_path / "parts")
    (tmp_path / "parts" / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        split(pets, tmp_path / "parts", overwrite=True)
    (tmp_path / "parts" / "mine.txt").unlink()
    split(pets, tmp_path / "parts", overwrite=True, validation=0.0, test=0.2)
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["README.md", "split.json", "test", "train"]
