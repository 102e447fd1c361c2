"""Real sets by name (the hub replaced by a fake) and by path, and what happens when they are broken."""

import io
import json
import logging
import subprocess
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from synthset.core.errors import DataError, UnknownNameError, UsageError
from synthset.dataset.export import export_imagefolder
from synthset.encoders.templates import TEMPLATES
from synthset.images import tables
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.images.opening import load_path
from synthset.prompts.classes import check_classes
from synthset.prompts.presets import preset_for
from synthset.real import class_names_of, few_shot, find_set, known_sets, load_real, split
from synthset.real.names import imagenet_ids, read_names


def grey_png(value: int, size: int = 4) -> bytes:
    return encode(np.full((size, size, 3), value, np.uint8))


def make_folder(root, classes=("cat", "dog"), n=2):
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(n):
            (root / name / f"{i}.png").write_bytes(grey_png(50 * c + i))
    return root


def write_parquet(path, labels=(0, 1, 0), names=("cat", "dog"), images=None, extra=None, row_group_size=2):
    images = images or [grey_png(i) for i in range(len(labels))]
    columns = {
        "image": pa.array(
            [{"bytes": data, "path": None} for data in images],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        ),
        "label": pa.array(labels),
        **(extra or {}),
    }
    table = pa.table(columns)
    if names:
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list(names)}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


# By name


def test_class_names_are_known_without_network():
    assert class_names_of("CIFAR-10") == (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    assert class_names_of("EuroSat")[9] == "sea or lake"
    assert class_names_of("digits") == class_names_of("mnist")
    fine = class_names_of("cifar_100")
    assert len(fine) == 100
    assert (fine[0], fine[1], fine[26], fine[83], fine[99]) == (
        "apple",
        "aquarium fish",
        "crab",
        "sweet pepper",
        "worm",
    )
    assert list(fine) == sorted(fine)
    for name, real in known_sets().items():
        names = class_names_of(name)
        assert len(set(names)) == len(names), name
        assert all(n == " ".join(n.split()) and "_" not in n for n in names), name
        assert name == real.name
        assert real.num_classes == len(names) == len(check_classes(names)), name
        assert real.test_split in (real.splits or [""])
        assert set(real.train_split.split("+")) <= {*real.splits, ""}, name
        assert real.train_split != real.test_split or not real.hub_id, name
        assert real.templates in TEMPLATES, name
        assert real.licence, name


def test_the_17_sets_of_he_et_al_are_known():
    table_1 = [
        *("CIFAR-10", "CIFAR-100", "Caltech101", "Caltech256", "ImageNet", "SUN397", "Aircraft", "Birdsnap", "Cars"),
        *("CUB", "Flower", "Food", "Pets", "DTD", "EuroSAT", "ImageNet-Sketch", "ImageNet-R"),
    ]
    assert {find_set(name).name for name in table_1} == set(known_sets()) - {"digits", "mnist"}
    sizes = [find_set(name).num_classes for name in table_1]
    assert sizes == [10, 100, 102, 256, 1000, 397, 100, 500, 196, 200, 102, 101, 37, 47, 10, 1000, 200]
    by_class = {name for name, real in known_sets().items() if real.metric == "mean_per_class"}
    assert by_class == {"caltech101", "aircraft", "flowers", "pets"}
    for spelling in ("FGVC Aircraft", "fgvc_aircraft", "Aircraft"):
        assert find_set(spelling).name == "aircraft"
    assert find_set("Oxford-IIIT Pets").name == "pets"
    assert find_set("CUB-200-2011").name == "cub"


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("aircraft", {0: "707-320", 21: "A300B4", 72: "F-16AB", 99: "Yak-42"}),
        ("birdsnap", {0: "Acadian Flycatcher", 68: "Blue Jay", 499: "Zone tailed Hawk"}),
        ("caltech101", {4: "background", 37: "off-center face", 101: "yin and yang symbol"}),
        ("caltech256", {0: "AK-47", 144: "motorbikes", 255: "toad"}),
        (
            "cars",
            {0: "AM General Hummer SUV 2000", 184: "Tesla Model S Sedan 2012", 195: "smart fortwo Convertible 2012"},
        ),
        ("cub", {0: "Black footed Albatross", 99: "Brown Pelican", 199: "Common Yellowthroat"}),
        ("dtd", {16: "grid", 46: "zigzagged"}),
        ("flowers", {0: "pink primrose", 50: "petunia", 101: "blackberry lily"}),
        ("food", {0: "apple pie", 100: "waffles"}),
        ("pets", {0: "Abyssinian", 8: "boxer", 36: "yorkshire terrier"}),
        ("sun397", {0: "abbey", 396: "youth hostel"}),
        ("imagenet-r", {0: "goldfish", 1: "great white shark"}),
    ],
)
def test_names_stand_at_their_labels(name, at):
    names = class_names_of(name)
    assert {label: names[label] for label in at} == at


def test_presets_follow_the_paper_that_drew_the_set():
    assert preset_for("cifar-100").images_per_class == 500
    assert preset_for("Oxford Pets").images_per_class == 2000
    assert preset_for("pets").size_px is None


def test_imagenet_names_are_told_apart():
    names = class_names_of("imagenet-1k")
    assert len(names) == 1000
    assert check_classes(names) == names  # "Cardigan", the dog, and "cardigan" too
    assert names[:2] == ("tench", "goldfish")
    assert "bird" in names[134]
    assert names[134].startswith("crane (")
    assert names[517].startswith("crane (")
    assert "bird" not in names[517]
    assert names[639] == "tank suit"


def test_digits_are_dark_ink_on_light_paper():
    digits = load_real("digits")
    assert len(digits) == 1797
    assert digits.class_names[7] == "seven"
    pixels = np.asarray(digits.image(0))
    assert pixels.shape == (8, 8, 3)
    assert pixels[0, 0].tolist() == [255] * 3
    assert pixels[0, 2].tolist() == [175] * 3  # 5 of 16: 255 - 79.7
    assert pixels[1, 3].tolist() == [16] * 3  # 15 of 16: 255 - 239.06
    assert Counter(digits.labels.tolist())[3] == 183


def test_digits_split_by_class_and_seed():
    digits = load_real("digits")
    train, test = split(digits, 0.5, seed=3)
    assert len(train) + len(test) == 1797
    both = np.bincount(train.labels), np.bincount(test.labels)
    assert np.abs(both[0] - both[1]).max() <= 1
    rows = [int(part.place(0).split()[1]) for part in (train, test)]
    assert rows == [0, 0]
    names = [{part.read(i) + bytes([label]) for i, label in enumerate(part.labels)} for part in (train, test)]
    assert names[0] | names[1] == {digits.read(i) + bytes([label]) for i, label in enumerate(digits.labels)}
    again, _ = split(digits, 0.5, seed=3)
    other, _ = split(digits, 0.5, seed=4)
    first = [part.read(i) for part in (train, again, other) for i in range(20)]
    assert first[:20] == first[20:40] != first[40:]


def test_a_small_class_is_in_both_parts(tmp_path):
    images = load_real(make_folder(tmp_path, n=2))
    for fraction in (0.01, 0.99):
        first, second = split(images, fraction, seed=0)
        assert first.labels.tolist() == second.labels.tolist() == [0, 1]
    for fraction in (0, 1, -0.5, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            split(images, fraction, seed=0)


def test_unknown_names_list_the_valid_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match=r"'cifar11'.* Did you mean 'cifar10'\? Valid: digits, .*path"):
        load_real("cifar11")
    for name in ("", " ", "x" * 400, "nul\0l", "\n"):
        with pytest.raises(UnknownNameError):
            load_real(name)
    for path in ("./nothing", "some/where", "here.parquet", "~nobody_by_this_name/x", "/" + "x" * 400):
        with pytest.raises(DataError, match="found nothing"):
            load_real(path)
    with pytest.raises(UnknownNameError):
        class_names_of("some/where")
    with pytest.raises(UsageError, match="no split"):
        load_real("digits", "test")


def test_a_name_wins_over_a_folder_and_a_dot_asks_for_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "digits")
    assert len(load_real("digits")) == 1797
    assert load_real("./digits").class_names == ("cat", "dog")


def test_hub_sets_stay_encoded(monkeypatch):
    import datasets

    asked = []

    def fake_load(*args, **kwargs):
        asked.append((args, kwargs))
        features = datasets.Features(
            img=datasets.Image(), fine_label=datasets.ClassLabel(100), coarse_label=datasets.ClassLabel(20)
        )
        rows = {
            "img": [{"bytes": data, "path": None} for data in (grey_png(5), b"junk")],
            "fine_label": [99, 3],
            "coarse_label": [0, 1],
        }
        return datasets.Dataset.from_dict(rows, features)

    monkeypatch.setattr(datasets, "load_dataset", fake_load)
    images = load_real("cifar100")
    assert asked == [(("uoft-cs/cifar100", "cifar100"), {"split": "test", "revision": None})]
    assert images.labels.tolist() == [99, 3]
    assert images.class_names[99] == "worm"
    assert images.read(0) == grey_png(5)
    with pytest.raises(DataError, match=r"Image 1 of 'cifar100' \(row 1 of uoft-cs/cifar100, test\)"):
        images.image(1)
    load_real("Cifar100", "train")
    assert asked[1][1] == {"split": "train", "revision": None}
    with pytest.raises(UsageError, match=r"\(train, test\), got 'dev'"):
        load_real("cifar100", "dev")


@pytest.fixture
def hub(monkeypatch):
    """`hub(label=["cat", …])` or `hub(label=([1, …], ["cat", …]))`: what the hub answers, and what it was asked."""
    import datasets

    asked = []

    def answer(image="image", **columns):
        values = {name: column[0] if isinstance(column, tuple) else column for name, column in columns.items()}
        features = {image: datasets.Image()}
        for name, column in columns.items():
            kind = datasets.Value("string" if isinstance(column[0], str) else "int64")
            features[name] = datasets.ClassLabel(names=column[1]) if isinstance(column, tuple) else kind
        n = len(next(iter(values.values())))
        values[image] = [{"bytes": grey_png(i % 256), "path": None} for i in range(n)]
        rows = datasets.Dataset.from_dict(values, datasets.Features(features))

        def fake_load(*args, **kwargs):
            asked.append((*args, *kwargs.values()))
            return rows

        monkeypatch.setattr(datasets, "load_dataset", fake_load)
        return asked

    return answer


def test_labels_are_put_in_our_order_by_name(hub):
    theirs = [name.lower().replace(" ", "_") for name in reversed(class_names_of("pets"))]
    asked = hub(label=([0, 1, 36], theirs), label_cat_dog=([0, 0, 1], ["cat", "dog"]))
    images = load_real("Pets")
    assert asked == [("timm/oxford-iiit-pet", None, "test", None)]
    assert images.labels.tolist() == [36, 35, 0]
    assert images.class_names[0] == "Abyssinian"
    assert images.metric == images.select([0]).metric == "mean_per_class"


@pytest.mark.parametrize("name", ["eurosat", "caltech101", "imagenet", "mnist"])
def test_labels_whose_wording_differs_go_by_number(hub, name):
    ours = class_names_of(name)
    if name == "imagenet":
        from timm.data import ImageNetInfo

        theirs = list(ImageNetInfo("imagenet-1k").label_descriptions())
        theirs[517] += "2"  # the other crane: no two of a repository's names are the same
    elif name == "caltech101":
        plural = {"airplane": "airplanes", "background": "BACKGROUND_Google", "water lily": "water_lilly"}
        theirs = [plural.get(n, n.replace(" ", "_")) for n in ours]
    elif name == "eurosat":
        theirs = ["AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture"]
        theirs += ["PermanentCrop", "Residential", "River", "SeaLake"]
    else:
        theirs = [str(i) for i in range(10)]
    hub(label=(list(range(len(ours))), theirs))
    assert load_real(name).labels.tolist() == list(range(len(ours)))


def test_labels_in_another_order_go_by_name_or_are_refused(hub):
    theirs = ["AnnualCrop", "Forest", "HerbaceousVegetation", "Industrial", "Highway", "Pasture"]
    theirs += ["PermanentCrop", "Residential", "River", "SeaLake"]
    hub(label=([3, 4, 9], theirs))
    assert load_real("eurosat").labels.tolist() == [4, 3, 9]
    hub(label=([0, 1], [*theirs[:9], "lakes"]))
    with pytest.raises(
        DataError, match=r"10 classes of 'eurosat'.*usual order, got 'Industrial' as number 3\. Give the path"
    ):
        load_real("eurosat")
    hub(label=([0, 1], ["forest", "road"]))
    with pytest.raises(DataError, match="usual order, got 'forest' as number 0"):
        load_real("eurosat")
    hub(label=([0, 1], ["plough land", "road"]))
    with pytest.raises(DataError, match="usual order, got 2"):
        load_real("eurosat")
    hub(label=[0, 12])
    with pytest.raises(DataError, match=r"labels 0\.\.9 in timm/eurosat-rgb, got 0\.\.12"):
        load_real("eurosat")


def test_labels_in_words_and_a_class_that_is_none(hub):
    texts = ["toad", "257.clutter", "001.ak47", "bonsai-101", "clutter"]
    hub(label=[0, 0, 0, 0, 0], text=texts)
    images = load_real("caltech256")
    assert images.labels.tolist() == [255, 0, 14]
    assert [images.read(i) for i in range(3)] == [grey_png(0), grey_png(2), grey_png(3)]
    assert images.place(1) == "Image 1 of 'caltech256' (row 2 of ilee0022/Caltech-256, test)"
    hub(label=[0, 0], text=["toad", "a photo of a toad"])
    with pytest.raises(DataError, match=r"256 classes .* got 'a photo of a toad' too\. Give the path"):
        load_real("caltech256")


def test_imagenet_r_goes_by_wordnet_id(hub):
    ids = read_names("imagenet-r")
    assert set(ids) < set(imagenet_ids())
    assert list(ids) == sorted(ids)
    hub(wnid=[ids[199], ids[0], ids[7]], class_name=["x", "y", "z"])
    images = load_real("ImageNet-R")
    assert images.labels.tolist() == [199, 0, 7]
    thousand = class_names_of("imagenet")
    assert images.class_names[7] == thousand[imagenet_ids().index(ids[7])]


def test_a_column_of_another_name_is_found_by_its_type(hub):
    asked = hub(image="picture", target=([1, 2], list(imagenet_ids())))
    assert load_real("imagenet_sketch").labels.tolist() == [1, 2]
    assert asked == [("nateraw/imagenet-sketch", None, "train", "refs/convert/parquet")]
    hub(image="picture", target=[1, 2])
    with pytest.raises(DataError, match=r"a column 'label' in nateraw/imagenet-sketch, got .*target"):
        load_real("imagenet-sketch")


def test_two_splits_together(hub):
    asked = hub(variant=([3], list(class_names_of("aircraft"))))
    load_real("aircraft", find_set("aircraft").train_split)
    assert asked[0][2] == "train+validation"
    with pytest.raises(UsageError, match=r"\(train, validation, test\), got 'train\+dev'"):
        load_real("aircraft", "train+dev")


def test_a_repository_without_a_test_split_is_held_out(hub):
    asked = hub(label=["Blue Jay"] * 20 + ["Anna's Hummingbird"] * 10)
    train, test = load_real("birdsnap", "train"), load_real("birdsnap")
    assert {row[2] for row in asked} == {"train"}
    assert (len(train), len(test)) == (27, 3)
    assert Counter(test.class_names[label] for label in test.labels) == {"Blue Jay": 2, "Annas Hummingbird": 1}
    assert {train.read(i) for i in range(27)}.isdisjoint(test.read(i) for i in range(3))
    again = load_real("birdsnap", "test")
    assert [again.read(i) for i in range(3)] == [test.read(i) for i in range(3)]
    with pytest.raises(UsageError, match=r"got 'train\+test'"):
        load_real("birdsnap", "train+test")


def test_shots_are_nested_and_follow_their_seed():
    digits = load_real("digits")
    rows = {}
    for shots in (1, 2, 4, 8, 16):
        drawn = few_shot(digits, shots, seed=5)
        assert np.bincount(drawn.labels).tolist() == [shots] * 10
        rows[shots] = {drawn.read(i) for i in range(len(drawn))}
    assert rows[1] < rows[2] < rows[4] < rows[8] < rows[16]
    for seed, same in ((5, True), (6, False)):
        drawn = few_shot(digits, 4, seed)
        assert ({drawn.read(i) for i in range(40)} == rows[4]) is same


def test_classes_with_too_few_images_are_named(tmp_path):
    images = load_real(make_folder(tmp_path, n=3))
    few = images.select([0, 3, 4, 5])
    with pytest.raises(
        UsageError, match=r"at least 2 images of every class of '.*', got 1 of 'cat'\. Take fewer"
    ) as error:
        few_shot(few, 2, seed=0)
    assert "dog" not in str(error.value).replace(str(tmp_path), "")
    with pytest.raises(UsageError, match=r"at least 16 images .* got 3 of 'cat', 3 of 'dog'"):
        few_shot(images, 16, seed=0)
    many = ImageSet("many", tuple("abcdefgh"), np.zeros(1, np.int64), lambda i: b"")
    with pytest.raises(UsageError, match=r"at least 1 image of .* 0 of 'f' and 2 more classes"):
        few_shot(many, 1, seed=0)
    for shots in (0, -1):
        with pytest.raises(UsageError, match="at least 1 shot"):
            few_shot(images, shots, seed=0)


def test_a_repository_with_a_script_is_said(monkeypatch):
    import datasets

    def script(*args, **kwargs):
        raise RuntimeError("Dataset scripts are no longer supported, but found x.py")

    monkeypatch.setattr(datasets, "load_dataset", script)
    with pytest.raises(DataError, match=r"no longer supported, but found x\.py\. Go online once"):
        load_real("sun397")


def test_offline_says_what_to_do(monkeypatch):
    import datasets

    def offline(*args, **kwargs):
        raise ConnectionError("Couldn't reach the Hub\n(OfflineModeIsEnabled)")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(DataError, match=r"Couldn't reach the Hub\. Go online once .*, or give the path") as caught:
        load_real("eurosat")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="gated: accept its terms"):
        load_real("imagenet")


# Image folders


def test_an_image_folder_is_read_as_torchvision_reads_it(tmp_path):
    from torchvision.datasets import ImageFolder

    make_folder(tmp_path, ("b", "A", "a10", "a9"), n=3)
    (tmp_path / "b" / "deep").mkdir()
    (tmp_path / "b" / "deep" / "x.PNG").write_bytes(grey_png(7))
    images = load_real(tmp_path)
    theirs = ImageFolder(tmp_path)
    assert list(images.class_names) == theirs.classes
    assert Counter(images.labels.tolist()) == Counter(theirs.targets)
    assert images.tensor(2)[:, 0, 0, 0].sum() == sum(50 * c + i for c in range(4) for i in range(3)) + 7
    assert images.place(0).endswith("(A/0.png)")


def test_other_files_are_ignored_with_a_count(tmp_path, caplog):
    make_folder(tmp_path)
    for name in (".DS_Store", ".hidden.png", "notes.txt", "clip.gif"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / ".git").mkdir()
    with caplog.at_level(logging.WARNING):
        assert len(load_real(tmp_path)) == 4
    (record,) = caplog.records
    assert record.message.startswith(f"{tmp_path}: left out 4 files that are hidden or not called .png, ")
    assert record.message.endswith(": hidden (2), .gif (1), .txt (1)")


def test_an_unreadable_image_is_found_when_it_is_decoded(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "dog" / "0.png").write_bytes(b"")
    (tmp_path / "dog" / "1.png").unlink()
    (tmp_path / "dog" / "1.png").symlink_to("gone.png")
    images = load_real(tmp_path)
    assert len(images) == 4
    with pytest.raises(DataError, match=r"Image 2 of .* \(dog/0\.png\): Expected a whole PNG"):
        images.image(2)
    with pytest.raises(DataError, match=r"2 of the 4 images .* dog/0\.png: an empty file; dog/1\.png: No such file"):
        images.tensor(4)
    with pytest.raises(DataError, match=r"Image 3 of .* \(dog/1\.png\): Expected a readable file .*No such file"):
        images.image(3)


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(DataError, match="one folder a class"):
        load_real(tmp_path)
    (tmp_path / "loose.png").write_bytes(grey_png(1))
    with pytest.raises(DataError, match="one folder a class"):
        load_real(tmp_path)
    make_folder(tmp_path)
    with pytest.raises(DataError, match=r"Expected a folder or a \.parquet file"):
        load_real(tmp_path / "loose.png")


@pytest.mark.parametrize("kind", ["file", "folder", "class"])
def test_links_out_of_the_folder_are_refused(tmp_path, kind):
    outside = make_folder(tmp_path / "outside")
    inside = make_folder(tmp_path / "inside")
    if kind == "file":
        (inside / "cat" / "2.png").symlink_to(outside / "cat" / "0.png")
    elif kind == "folder":
        (inside / "cat" / "more").symlink_to(outside)
    else:
        (inside / "emu").symlink_to(outside / "cat")
    with pytest.raises(DataError, match="a link"):
        load_real(inside)


def test_links_within_the_folder_and_to_the_folder_are_fine(tmp_path):
    inside = make_folder(tmp_path / "inside")
    (inside / "cat" / "2.png").symlink_to(inside / "dog" / "0.png")
    (tmp_path / "link").symlink_to(inside)
    assert len(load_real(tmp_path / "link")) == 5


def test_splits_of_an_image_folder(tmp_path):
    for name in ("train", "test"):
        make_folder(tmp_path / name, n=1 if name == "test" else 3)
    with pytest.raises(
        UsageError, match=r"holds splits \(test, train\), .* got none of them\. Say which, e\.g\. split=test"
    ):
        load_path(tmp_path)
    assert len(load_real(tmp_path, "train")) == 6
    assert (len(load_real(tmp_path)), load_real(tmp_path).split) == (2, "test")
    with pytest.raises(UsageError, match="got 'val'"):
        load_real(tmp_path, "val")


def test_an_export_with_a_missing_class_is_refused(tmp_path):
    out = export_imagefolder(load_real(make_folder(tmp_path / "in")), tmp_path / "out")
    for file in (out / "001_dog").iterdir():
        file.unlink()
    (out / "001_dog").rmdir()
    with pytest.raises(DataError, match=r"not those that its classes\.json lists"):
        load_real(out)


# Parquet


@pytest.mark.parametrize("names", [("cat", "dog", "unseen"), None])
def test_a_parquet_file_with_and_without_names(tmp_path, names):
    images = load_real(write_parquet(tmp_path / "a.parquet", names=names))
    assert images.class_names == (names or ("0", "1"))
    assert images.labels.tolist() == [0, 1, 0]
    assert images.tensor(4)[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert images.place(2).endswith("(row 2 of a.parquet)")


def test_other_columns_and_types(tmp_path):
    table = pa.table({"img": [grey_png(3), grey_png(4)], "fine_label": ["wolf", "bear"], "coarse_label": [0, 0]})
    pq.write_table(table, tmp_path / "a.parquet")
    images = load_real(tmp_path / "a.parquet")
    assert images.class_names == ("bear", "wolf")
    assert images.labels.tolist() == [1, 0]
    assert images.image(1).getpixel((0, 0)) == (4, 4, 4)


def test_a_synthset_dataset_is_read_from_its_data_folder(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    for name in ("plan.parquet", "failures.parquet"):
        pq.write_table(pa.table({"label": [0]}), tmp_path / name)
    for shard in range(3):
        strategy = {"strategy": ["base", "multi_domain", "base"]}
        images = [grey_png(10 * shard + i) for i in range(3)]
        write_parquet(tmp_path / "data" / f"train-{shard:05d}.parquet", images=images, extra=strategy)
    (tmp_path / "data" / ".train-00003.parquet").write_bytes(b"unfinished")
    images = load_real(tmp_path)
    assert len(images) == 9
    assert images.groups == ("base", "multi_domain", "base") * 3
    assert images.tensor(4)[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert images.place(7).endswith("(row 1 of data/train-00002.parquet)")


def test_row_groups_beyond_the_budget_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(tables._ParquetImages, "budget_bytes", 1)
    images = load_real(write_parquet(tmp_path / "a.parquet", labels=[0, 1] * 5))
    for order in (range(10), range(9, -1, -1)):
        assert [images.image(i).getpixel((0, 0))[0] for i in order] == list(order)


def test_parquet_splits_are_told_apart_by_file_name(tmp_path):
    write_parquet(tmp_path / "cifar10-test.parquet")
    assert len(load_real(tmp_path)) == 3
    write_parquet(tmp_path / "cifar10-train.parquet", labels=[0, 1] * 4)
    with pytest.raises(UsageError, match=r"\(test, train\), .* got none of them"):
        load_path(tmp_path)
    assert len(load_real(tmp_path)) == 3
    assert len(load_real(tmp_path, "train")) == 8
    with pytest.raises(UsageError, match="got 'validation'"):
        load_real(tmp_path, "validation")


def test_an_unreadable_row_is_named(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", images=[grey_png(1), b"junk", None])
    images = load_real(path)
    with pytest.raises(DataError, match=r"Image 1 of .*\(row 1 of a\.parquet\): Expected a whole PNG.*4 bytes of text"):
        images.image(1)
    with pytest.raises(DataError, match=r"row 1 of a\.parquet: 4 bytes of text; row 2 of a\.parquet: none\. Mend"):
        images.tensor(4)
    with pytest.raises(DataError, match=r"Image 2 of .*Expected an image at row 2 of a\.parquet, got none"):
        images.image(2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 1, 2]}, r"labels 0\.\.1 .* got 0\.\.2"),
        ({"labels": [0, -2, 1]}, r"got -2\.\.1"),
        ({"labels": [-1, -1, None]}, r"3 of the 3 images .* have no label \(-1 or nothing\): hubs publish"),
        ({"labels": [0.5, 1.0, 1.0]}, "all integers or all text"),
        ({"labels": [0, 10**9, 1], "names": None}, "class indices"),
        ({"labels": pa.array([], pa.int64()), "images": []}, "found no rows"),
    ],
)
def test_unusable_labels(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        load_real(write_parquet(tmp_path / "a.parquet", **changes))


def test_unusable_tables(tmp_path):
    path = tmp_path / "a.parquet"
    for data in (b"", b"PAR1", np.random.default_rng(0).bytes(500)):
        path.write_bytes(data)
        with pytest.raises(DataError, match="Expected a whole Parquet file"):
            load_real(path)
    pq.write_table(pa.table({"label": [0]}), path)
    with pytest.raises(DataError, match="column with the image"):
        load_real(path)
    pq.write_table(pa.table({"image": [b"x"], "kind": [0]}), path)
    with pytest.raises(DataError, match=r"column with the label .* got image, kind"):
        load_real(path)
    pq.write_table(pa.table({"image": [1.5], "label": [0]}), path)
    with pytest.raises(DataError, match="encoded images"):
        load_real(path)


def test_shards_that_differ_or_break_are_named(tmp_path):
    write_parquet(tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "train-1.parquet")
    with pytest.raises(DataError, match=r"'.*train-1\.parquet', missing: label"):
        load_real(tmp_path)
    whole = write_parquet(tmp_path / "train-1.parquet").read_bytes()
    (tmp_path / "train-1.parquet").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"whole Parquet file at '.*train-1"):
        load_real(tmp_path)


def test_a_file_that_changes_under_us_gives_a_clear_error(tmp_path):
    images = load_real(write_parquet(tmp_path / "a.parquet"))
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(DataError, match=r"Image 0 of .*row group 0"):
        images.image(0)


def test_what_datasets_writes_is_read(tmp_path):
    import datasets

    buffer = io.BytesIO()
    Image.new("L", (3, 3), 9).save(buffer, "PNG")
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["no", "yes"]))
    rows = {"image": [{"bytes": buffer.getvalue(), "path": None}], "label": [1]}
    datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "a.parquet")
    images = load_real(tmp_path)
    assert images.class_names == ("no", "yes")
    assert images.labels.tolist() == [1]
    assert images.image(0).getpixel((1, 1)) == (9, 9, 9)


def test_importing_loads_nothing_heavy():
    heavy = {"torch", "datasets", "pyarrow", "sklearn", "timm"}
    modules = "synthset.real, synthset.images.pictures"
    code = f"import sys, {modules}; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
