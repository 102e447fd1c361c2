"""Classes are matched by name however it is spelled, by number where that can mean one thing, or refused."""

import logging

import numpy as np
import pytest
from timm.data import ImageNetInfo

from synthset.core.errors import UsageError
from synthset.images.imageset import ImageSet
from synthset.real import class_names_of, known_sets
from synthset.real.matching import match_names, with_classes
from synthset.real.names import imagenet_ids, read_names

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def index(expected, classes):
    return match_names(expected, classes, "there").index.tolist()


def images_of(names, labels):
    return ImageSet("there", tuple(names), np.array(labels, np.int64), lambda i: bytes([labels[i]]))


def test_names_differ_in_order_case_signs_and_accents():
    assert index(("a", "b", "c"), ("c", "a", "b")) == [2, 0, 1]
    assert index(("sea_lake", "polar bear"), ("PolarBear", "Sea Lake")) == [1, 0]
    assert index(("Speed limit (20km/h)", "Stop"), ("Stop", "Speed limit (20km_h)")) == [1, 0]
    assert index(("caf\u00e9", "th\u00e9"), ("the\u0301", "cafe\u0301")) == [1, 0]
    assert index(("cat", "dog"), ("\ufeffdog", "c\u200bat")) == [1, 0]
    assert index(("na\u00efve", "naive"), ("naive", "nai\u0308ve")) == [1, 0]  # with its dots it is another name
    assert index(("C", "C++", "C#"), ("C#", "C", "C++")) == [2, 0, 1]


def test_names_that_differ_in_case_alone_match_exactly_or_not_at_all():
    assert index(("us", "US"), ("US", "us")) == [1, 0]
    assert index(("us", "Us"), ("US", "us")) == [-1, 0]


def test_names_that_repeat_go_by_position_or_are_refused():
    assert index(("cat", "dog", "cat"), ("cat", "dog", "cat")) == [0, 1, 2]
    for expected, classes in ((("cat", "dog"), ("cat", "dog", "cat")), (("cat", "dog", "cat"), ("dog", "cat"))):
        with pytest.raises(UsageError, match="got 'cat' twice in"):
            index(expected, classes)


def test_numbers_in_front_are_left_out_where_all_names_have_them():
    assert index(("laysan albatross", "cat"), ("001.Cat", "002.Laysan_Albatross")) == [1, 0]
    assert index(DIGITS, [f"{i} - {name}" for i, name in enumerate(DIGITS)]) == list(range(10))
    assert index(("707-320", "727-200"), ("727-200", "707-320")) == [1, 0]
    with pytest.raises(UsageError, match="missing: 707-200; extra: 737-200"):
        with_classes(images_of(["727-200", "737-200"], [0, 1]), ("707-200", "727-200"), strict=True)


@pytest.mark.parametrize(
    ("expected", "numbers", "places"),
    [
        (sorted(DIGITS), [str(i) for i in range(10)], [sorted(DIGITS).index(name) for name in DIGITS]),
        (DIGITS[:3], ["2", "0", "1"], [2, 0, 1]),
        ([str(i) for i in range(12)], sorted(str(i) for i in range(12)), [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]),
        ([str(i) for i in range(12)], [f"{i:03d}" for i in range(12)], list(range(12))),
        (class_names_of("cifar10"), [str(i) for i in range(10)], list(range(10))),
        (class_names_of("flowers"), sorted(str(i + 1) for i in range(102)), None),
        (sorted(class_names_of("pets")), [f"{i:02d}" for i in range(37)], None),
    ],
)
def test_numbers_are_values(expected, numbers, places, caplog):
    first = 1 if "102" in numbers else 0
    if places is None:
        known = class_names_of("flowers" if first else "pets")
        places = [list(expected).index(known[int(number) - first]) for number in numbers]
    match = match_names(expected, numbers, "there")
    assert match.index.tolist() == places
    assert not first or list(match.ways) == ["by number, from 1, in the order of 'flowers'"]


@pytest.mark.parametrize(
    ("expected", "numbers"),
    [
        (("cat", "dog"), ("0", "1")),
        ([f"class {i}" for i in range(12)], [str(i) for i in range(12)]),
        ([str(i) for i in range(1, 13)], [str(i) for i in range(12)]),
        (class_names_of("flowers"), ("5", "7")),
        (("dog", "cat"), ("0", "2")),
    ],
)
def test_numbers_that_could_mean_several_classes_are_refused_with_both_lists(expected, numbers):
    with pytest.raises(UsageError, match=rf"classes {expected[0]}, .* got the numbers {numbers[0]}, {numbers[1]}"):
        match_names(expected, numbers, "there")


TEXTS = ImageNetInfo("imagenet-1k").label_descriptions()
PUBLISHED = {
    "eurosat": ["AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop",
                "Residential", "River", "SeaLake"],
    "cifar100": [name.replace(" ", "_") for name in class_names_of("cifar100")],
    "mnist": [str(i) for i in range(10)],
    "imagenet": [text if TEXTS.count(text) == 1 else imagenet_ids()[i] for i, text in enumerate(TEXTS)],
    "imagenet-sketch": list(imagenet_ids()),
    "imagenet-r": list(read_names("imagenet-r")),
    "cub": [f"{i + 1:03d}.{name.replace(' ', '_')}" for i, name in enumerate(class_names_of("cub"))],
    "sun397": [f"/{name[0]}/{name.replace(' ', '_')}" for name in class_names_of("sun397")],
    "aircraft": [name.replace("F-16AB", "F-16A/B").replace("FA-18", "F/A-18") for name in class_names_of("aircraft")],
    "cars": [name.replace("Ram CV", "Ram C/V") for name in class_names_of("cars")],
    "flowers": [str(i + 1) for i in range(102)],
    "food": [name.replace(" ", "_") for name in class_names_of("food")],
    "pets": [name.lower().replace(" ", "_") for name in class_names_of("pets")],
    "caltech256": [f"{i + 1:03d}.{name.lower().replace(' ', '-')}"
                   for i, name in enumerate(class_names_of("caltech256"))],
    "birdsnap": [name.replace(" ", "_") for name in class_names_of("birdsnap")],
}  # fmt: skip
PUBLISHED["caltech256"] = [
    name + "-101" if name[4:] in ("bonsai", "brain", "airplanes", "faces-easy") else name
    for name in PUBLISHED["caltech256"]
]
CALTECH101 = {
    "airplane": "airplanes", "background": "BACKGROUND_Google", "side of a car": "car_side",
    "body of a cougar cat": "cougar_body", "face of a cougar cat": "cougar_face",
    "head of a crocodile": "crocodile_head", "off-center face": "Faces", "centered face": "Faces_easy",
    "head of a flamingo": "flamingo_head",
    "leopard": "Leopards", "motorbike": "Motorbikes", "snoopy (cartoon beagle)": "snoopy",
    "water lily": "water_lilly", "yin and yang symbol": "yin_yang",
}  # fmt: skip
PUBLISHED["caltech101"] = [CALTECH101.get(name, name.replace(" ", "_")) for name in class_names_of("caltech101")]


@pytest.mark.parametrize("name", known_sets())
def test_every_known_set_is_matched_as_its_authors_publish_it(name):
    ours = class_names_of(name)
    theirs = PUBLISHED.get(name, [name.replace(" ", "_") for name in ours])
    order = np.random.default_rng(0).permutation(len(ours))
    assert index(ours, [theirs[i] for i in order]) == order.tolist()


def test_a_part_of_a_known_set_is_matched_too():
    assert index(("sea or lake", "river"), ("River", "SeaLake", "Industrial")) == [1, 0, -1]
    assert index(("goldfish", "tench"), ("n01440764", "n01443537")) == [1, 0]


def test_images_of_further_classes_are_left_out_and_missing_classes_are_said(caplog):
    images = images_of(["dog", "emu", "cat", "gnu"], [0, 1, 2, 1])  # no image of a gnu: nothing is left out of it
    with caplog.at_level(logging.WARNING):
        kept = with_classes(images, ("cat", "dog", "fox"))
    assert kept.labels.tolist() == [1, 0]
    assert kept.class_names == ("cat", "dog", "fox")
    assert [kept.read(i) for i in range(2)] == [b"\0", b"\2"]
    assert caplog.messages == ["'there' has no images of fox", "'there': left out 2 images of further classes: emu"]
    with pytest.raises(UsageError, match=r"the 3 classes cat, dog, fox in 'there', .* \(missing: fox; extra: emu\)"):
        with_classes(images, ("cat", "dog", "fox"), strict=True)
    with pytest.raises(UsageError, match="missing: a, b; extra: dog, emu, cat"):
        with_classes(images, ("a", "b"))
