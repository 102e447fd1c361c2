"""Real sets by name, the hub replaced by a fake; images by path are in tests/images."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from image_files import grey_png, make_folder
from synthset.core.errors import DataError, UnknownNameError, UsageError
from synthset.encoders.templates import TEMPLATES
from synthset.images.imageset import ImageSet
from synthset.prompts.classes import check_classes
from synthset.real import class_names_of, few_shot, find_set, known_sets, load_real, split
from synthset.real.names import imagenet_ids, read_names

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


def test_a_name_that_is_a_folder_too_is_refused_and_either_can_be_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "digits")
    with pytest.raises(UsageError, match=r"set:digits for the real set, or \./digits"):
        load_real("digits")
    assert len(load_real("set:digits")) == 1797
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


def test_importing_loads_nothing_heavy():
    heavy = {"torch", "datasets", "pyarrow", "sklearn", "timm"}
    modules = "synthset.real, synthset.images.pictures"
    code = f"import sys, {modules}; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
