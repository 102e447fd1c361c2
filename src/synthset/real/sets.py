"""The real sets that are known by name: where they lie, how they are split, and how the field scores them.

All of He et al. 2023, Table 1, and two sets of digits. What stands here was read on the dataset cards of the hub;
what a card leaves open, or was not to be seen, is said in a comment. The table names no repository with a loading
script, for `datasets` runs none; `refs/convert/parquet` is the hub's own conversion of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from synthset.core.errors import UnknownNameError
from synthset.real.names import imagenet_ids, imagenet_names, imagenet_r_names, read_names

Metric = Literal["accuracy", "mean_per_class"]


@dataclass(frozen=True, kw_only=True)
class RealSet:
    """A real dataset that is known by name.

    Attributes:
        name: the name to ask for it by.
        hub_id: its repository on the Hugging Face hub; empty for a set that needs none.
        config: the configuration within the repository.
        revision: the branch of the repository; None for the main one.
        splits: the labelled splits, of which `test_split` is for testing.
        train_split: where the images of few-shot training are drawn from, in the form "train+validation" where the
            field takes both; empty for a set that is only tested on.
        held_out: the share of each class that is the test split of a repository that has only one; 0 elsewhere.
        image_column, label_column: where images and labels stand in its table.
        class_names: the names in label order, as words for prompts; empty where timm keeps them
            (see `class_names_of`).
        num_classes: how many there are.
        left_out: classes of the repository that are none of the set's, by their name there.
        templates: the key in `templates.TEMPLATES` of the sentences in which a CLIP reads the class names.
        metric: what the field reports, accuracy over images or its mean over classes.
        size_px: the side of an image, or None where images differ.
        licence: the terms as its publisher states them, and what else to know.
    """

    name: str
    licence: str
    num_classes: int
    class_names: tuple[str, ...] = ()
    hub_id: str = ""
    config: str | None = None
    revision: str | None = None
    splits: tuple[str, ...] = ("train", "test")
    test_split: str = "test"
    train_split: str = "train"
    held_out: float = 0.0
    image_column: str = "image"
    label_column: str = "label"
    left_out: tuple[str, ...] = ()
    templates: str = "default"
    metric: Metric = "accuracy"
    size_px: int | None = None


DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

CIFAR100 = read_names("cifar100")

EUROSAT = (
    "annual crop",
    "forest",
    "herbaceous vegetation",
    "highway",
    "industrial buildings",
    "pasture",
    "permanent crop",
    "residential buildings",
    "river",
    "sea or lake",
)

_SETS = (
    RealSet(
        name="digits",
        splits=(),
        test_split="",
        train_split="",
        image_column="",
        label_column="",
        class_names=DIGITS,
        num_classes=10,
        templates="digits",
        size_px=8,
        licence="CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits); ships with scikit-learn",
    ),
    RealSet(
        name="cifar10",
        hub_id="uoft-cs/cifar10",
        config="plain_text",
        image_column="img",
        class_names=CIFAR10,
        num_classes=10,
        templates="cifar",
        size_px=32,
        licence="none stated; cite Krizhevsky 2009",
    ),
    RealSet(
        name="cifar100",
        hub_id="uoft-cs/cifar100",
        config="cifar100",
        image_column="img",
        label_column="fine_label",
        class_names=CIFAR100,
        num_classes=100,
        templates="cifar",
        size_px=32,
        licence="none stated; cite Krizhevsky 2009",
    ),
    RealSet(
        name="eurosat",
        hub_id="timm/eurosat-rgb",
        splits=("train", "validation", "test"),
        class_names=EUROSAT,
        num_classes=10,
        templates="eurosat",
        size_px=64,
        licence="MIT; cite Helber et al. 2019. It has no official split: this one is widely used",
    ),
    RealSet(
        name="mnist",
        hub_id="ylecun/mnist",
        config="mnist",
        class_names=DIGITS,
        num_classes=10,
        templates="digits",
        size_px=28,
        licence="MIT on the hub, CC BY-SA 3.0 elsewhere. Light ink on black, unlike `digits`",
    ),
    RealSet(
        name="imagenet",
        hub_id="ILSVRC/imagenet-1k",
        splits=("train", "validation"),
        test_split="validation",
        num_classes=1000,
        templates="imagenet",
        licence="non-commercial research; gated: accept its terms on the hub and run 'hf auth login'",
    ),
    RealSet(
        name="caltech101",
        hub_id="dpdl-benchmark/caltech101",  # TensorFlow's split, 30 images of a class to train on
        class_names=read_names("caltech101"),
        num_classes=102,  # with the background, as CLIP counts them
        templates="caltech101",
        metric="mean_per_class",
        licence="CC BY 4.0; cite Li et al. 2004",
    ),
    RealSet(
        name="caltech256",
        hub_id="ilee0022/Caltech-256",
        splits=("train", "validation", "test"),
        # the card says that `label` is a number and `text` a string, not what they hold. Names can be checked, and
        # a number in an unknown order cannot: a text that names no class is refused, never guessed at
        label_column="text",
        class_names=read_names("caltech256"),
        num_classes=256,
        left_out=("clutter",),  # the 257th folder, for the rejection of backgrounds
        licence="CC BY 4.0; cite Griffin et al. 2007. It has no official split: this one is its uploader's",
    ),
    RealSet(
        name="sun397",
        hub_id="tanganke/sun397",  # 50 images of a class to train on and 50 to test
        class_names=read_names("sun397"),
        num_classes=397,
        templates="sun397",
        licence="none stated; cite Xiao et al. 2010",
    ),
    RealSet(
        name="aircraft",
        hub_id="HuggingFaceM4/FGVC-Aircraft",
        splits=("train", "validation", "test"),
        train_split="train+validation",
        label_column="variant",
        class_names=read_names("aircraft"),
        num_classes=100,
        templates="aircraft",
        metric="mean_per_class",
        licence="non-commercial research; cite Maji et al. 2013",
    ),
    RealSet(
        name="birdsnap",
        hub_id="sasha/birdsnap",
        held_out=0.1,
        class_names=read_names("birdsnap"),
        num_classes=500,
        templates="birds",
        licence="none stated; cite Berg et al. 2014. A part of the set, the 39,860 images that were still online, "
        "without the official split: a tenth of each class is held out for testing",
    ),
    RealSet(
        name="cars",
        hub_id="tanganke/stanford_cars",  # it has further splits, of damaged test images
        class_names=read_names("cars"),
        num_classes=196,
        templates="cars",
        licence="none stated; cite Krause et al. 2013",
    ),
    RealSet(
        name="cub",
        hub_id="bentrevett/caltech-ucsd-birds-200-2011",
        class_names=read_names("cub"),
        num_classes=200,
        templates="birds",
        licence="non-commercial research and education; cite Wah et al. 2011",
    ),
    RealSet(
        name="flowers",
        hub_id="dpdl-benchmark/oxford_flowers102",
        splits=("train", "validation", "test"),
        train_split="train+validation",  # ten images of a class each
        class_names=read_names("flowers"),
        num_classes=102,
        templates="flowers",
        metric="mean_per_class",
        licence="none stated; cite Nilsback and Zisserman 2008",
    ),
    RealSet(
        name="food",
        hub_id="ethz/food101",
        splits=("train", "validation"),
        test_split="validation",  # the official test images
        class_names=read_names("food"),
        num_classes=101,
        templates="food",
        licence="unknown, images of foodspotting.com; cite Bossard et al. 2014",
    ),
    RealSet(
        name="pets",
        hub_id="timm/oxford-iiit-pet",
        class_names=read_names("pets"),
        num_classes=37,
        templates="pets",
        metric="mean_per_class",
        licence="CC BY-SA 4.0; cite Parkhi et al. 2012",
    ),
    RealSet(
        name="dtd",
        hub_id="tanganke/dtd",  # `train` is the official train and validation parts together
        class_names=read_names("dtd"),
        num_classes=47,
        templates="dtd",
        licence="for research; cite Cimpoi et al. 2014",
    ),
    RealSet(
        name="imagenet-sketch",
        hub_id="nateraw/imagenet-sketch",
        revision="refs/convert/parquet",  # its columns were not to be seen: hub.py finds others by their type
        splits=("train",),  # so called there: all of it is for testing
        test_split="train",
        train_split="",
        num_classes=1000,
        templates="imagenet",
        licence="MIT on the hub; cite Wang et al. 2019",
    ),
    RealSet(
        name="imagenet-r",
        hub_id="axiong/imagenet-r",
        splits=("test",),
        train_split="",
        label_column="wnid",
        num_classes=200,
        templates="imagenet",
        licence="MIT on the hub; cite Hendrycks et al. 2021",
    ),
)

REAL_SETS: dict[str, RealSet] = {real.name: real for real in _SETS}

ALIASES = {
    "sklearndigits": "digits",
    "caltech": "caltech101",
    "cub200": "cub",
    "cub2002011": "cub",
    "cars196": "cars",
    "describabletextures": "dtd",
    "eurosatrgb": "eurosat",
    "fgvcaircraft": "aircraft",
    "flower": "flowers",
    "flowers102": "flowers",
    "food101": "food",
    "imagenet1k": "imagenet",
    "oxfordflowers": "flowers",
    "oxfordflowers102": "flowers",
    "oxfordiiitpet": "pets",
    "oxfordiiitpets": "pets",
    "oxfordpets": "pets",
    "stanfordcars": "cars",
    "sun": "sun397",
}

_NAMES_OF_TIMM: dict[str, Callable[[], tuple[str, ...]]] = {
    "imagenet": imagenet_names,
    "imagenet-sketch": imagenet_names,
    "imagenet-r": imagenet_r_names,
}
_IDS_OF_WORDNET: dict[str, Callable[[], tuple[str, ...]]] = {
    "imagenet": imagenet_ids,
    "imagenet-sketch": imagenet_ids,
    "imagenet-r": lambda: read_names("imagenet-r"),
}


def known_sets() -> dict[str, RealSet]:
    """The real sets that have a name, by name."""
    return dict(REAL_SETS)


def find_set(name: str) -> RealSet:
    """The known set of that name, however it is spelled. Raises UnknownNameError."""
    real = match_set(name)
    if real is None:
        raise unknown_set(name)
    return real


def match_set(name: str) -> RealSet | None:
    """The known set of that name, however it is spelled; None if it is none."""
    key = _key(name)
    return _BY_KEY.get(ALIASES.get(key, key))


def unknown_set(name: str) -> UnknownNameError:
    """The error that lists the known sets."""
    return UnknownNameError(
        "real set",
        name,
        REAL_SETS,
        hint="Or give the path of a folder with one folder a class, or of a Parquet file.",
    )


def class_names_of(name: str) -> tuple[str, ...]:
    """The class names of a known set in label order, all different, as words for prompts. No network.

    Raises:
        UnknownNameError: not a name of `known_sets()`.
    """
    real = find_set(name)
    return real.class_names or _NAMES_OF_TIMM[real.name]()


def wordnet_ids_of(name: str) -> tuple[str, ...]:
    """The WordNet ids of the classes of a known set in label order; empty for a set without any."""
    ids = _IDS_OF_WORDNET.get(find_set(name).name)
    return ids() if ids else ()


def _key(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


_BY_KEY = {_key(name): real for name, real in REAL_SETS.items()}
