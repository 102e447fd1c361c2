"""Real images to test on: by name, or from a path that holds an image folder or Parquet files.

`digits` comes with scikit-learn and needs no network; the other names are loaded from the Hugging Face hub
or its cache (HF_HOME and HF_HUB_OFFLINE are respected). The class names of all of them are known here, so
that a synthetic dataset can be made for a real set that is not at hand.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from synthset.errors import DataError, UnknownNameError, UsageError
from synthset.folders import load_path, read_file
from synthset.images import encode
from synthset.imageset import ImageSet

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class RealSet:
    """A real dataset that is known by name.

    Attributes:
        name: the name to ask for it by.
        hub_id: its repository on the Hugging Face hub; empty for a set that needs none.
        config: the configuration within the repository.
        splits: the labelled splits, of which `test_split` is for testing.
        image_column, label_column: where images and labels stand in its table.
        class_names: the names in label order, as words for prompts; empty where timm keeps them
            (see `class_names_of`).
        size_px: the side of an image, or None where images differ.
        licence: the terms as its publisher states them, and what else to know.
    """

    name: str
    hub_id: str
    config: str | None
    splits: tuple[str, ...]
    test_split: str
    image_column: str
    label_column: str
    class_names: tuple[str, ...]
    size_px: int | None
    licence: str


DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

CIFAR100 = tuple(
    """apple, aquarium fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus,
    butterfly, camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch,
    crab, crocodile, cup, dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo,
    keyboard, lamp, lawn mower, leopard, lion, lizard, lobster, man, maple tree, motorcycle, mountain, mouse,
    mushroom, oak tree, orange, orchid, otter, palm tree, pear, pickup truck, pine tree, plain, plate, poppy,
    porcupine, possum, rabbit, raccoon, ray, road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper,
    snail, snake, spider, squirrel, streetcar, sunflower, sweet pepper, table, tank, telephone, television,
    tiger, tractor, train, trout, tulip, turtle, wardrobe, whale, willow tree, wolf, woman, worm""".replace(
        "\n    ", " "
    ).split(", ")
)

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

REAL_SETS: dict[str, RealSet] = {
    "digits": RealSet(
        name="digits",
        hub_id="",
        config=None,
        splits=(),
        test_split="",
        image_column="",
        label_column="",
        class_names=DIGITS,
        size_px=8,
        licence="CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits); ships with scikit-learn",
    ),
    "cifar10": RealSet(
        name="cifar10",
        hub_id="uoft-cs/cifar10",
        config="plain_text",
        splits=("train", "test"),
        test_split="test",
        image_column="img",
        label_column="label",
        class_names=CIFAR10,
        size_px=32,
        licence="none stated; cite Krizhevsky 2009",
    ),
    "cifar100": RealSet(
        name="cifar100",
        hub_id="uoft-cs/cifar100",
        config="cifar100",
        splits=("train", "test"),
        test_split="test",
        image_column="img",
        label_column="fine_label",
        class_names=CIFAR100,
        size_px=32,
        licence="none stated; cite Krizhevsky 2009",
    ),
    "eurosat": RealSet(
        name="eurosat",
        hub_id="timm/eurosat-rgb",
        config=None,
        splits=("train", "validation", "test"),
        test_split="test",
        image_column="image",
        label_column="label",
        class_names=EUROSAT,
        size_px=64,
        licence="MIT; cite Helber et al. 2019. It has no official split: this one is widely used",
    ),
    "mnist": RealSet(
        name="mnist",
        hub_id="ylecun/mnist",
        config="mnist",
        splits=("train", "test"),
        test_split="test",
        image_column="image",
        label_column="label",
        class_names=DIGITS,
        size_px=28,
        licence="MIT on the hub, CC BY-SA 3.0 elsewhere. Light ink on black, unlike `digits`",
    ),
    "imagenet": RealSet(
        name="imagenet",
        hub_id="ILSVRC/imagenet-1k",
        config=None,
        splits=("train", "validation"),
        test_split="validation",
        image_column="image",
        label_column="label",
        class_names=(),
        size_px=None,
        licence="non-commercial research; gated: accept its terms on the hub and run 'hf auth login'",
    ),
}

ALIASES = {"imagenet1k": "imagenet", "eurosatrgb": "eurosat", "sklearndigits": "digits"}


def load_real(name_or_path: str | Path, split: str | None = None) -> ImageSet:
    """Labelled real images, by a name of `known_sets()` or from a path.

    A path may be a folder with one folder of PNG, JPEG or WebP images a class; a Parquet file, or a folder
    of them, with an image and a label column; or a dataset that Synthset made. A name wins over a folder
    called the same: write `./digits` for the folder.

    Args:
        name_or_path: `cifar10`, `CIFAR-10`, … or a path.
        split: `train`, `test`, …; the set's test split by default.
    Raises:
        UnknownNameError: neither a name nor a path.
        UsageError: a split that the set has not, or none given where the path holds several.
        DataError: nothing to read there, an empty class, or a hub that cannot be reached.
    """
    name = str(name_or_path)
    real = REAL_SETS.get(_key(name))
    if real:
        return _load_digits(split) if real.name == "digits" else _load_hub(real, split)
    path = _existing_path(name)
    if path:
        return load_path(path, split)
    if re.search(r"[/\\]|^[.~]|\.parquet$", name):
        raise DataError(
            f"Expected a folder or a Parquet file at '{name}', found nothing. "
            f"Sets known by name: {', '.join(REAL_SETS)}."
        )
    raise _unknown(name)


def known_sets() -> dict[str, RealSet]:
    """The real sets that have a name, by name."""
    return dict(REAL_SETS)


def class_names_of(name: str) -> tuple[str, ...]:
    """The class names of a known set in label order, all different, as words for prompts. No network.

    Raises:
        UnknownNameError: not a name of `known_sets()`.
    """
    return find_set(name).class_names or _imagenet_names()


def find_set(name: str) -> RealSet:
    """The known set of that name, however it is spelled. Raises UnknownNameError."""
    real = REAL_SETS.get(_key(name))
    if real is None:
        raise _unknown(name)
    return real


def split(real: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Two disjoint parts of `real`, the first with `fraction` of each class, drawn by `seed`.

    Both keep the order of `real`. A class with at least two images is in both parts.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"Expected a fraction between 0 and 1, got {fraction}.")
    generator = np.random.default_rng(seed)
    in_first = np.zeros(len(real), bool)
    for label in range(len(real.class_names)):
        rows = generator.permutation(np.flatnonzero(real.labels == label))
        count = round(fraction * len(rows))
        if len(rows) > 1:
            count = min(max(count, 1), len(rows) - 1)
        in_first[rows[:count]] = True
    return real.select(in_first), real.select(~in_first)


def _key(name: str) -> str:
    plain = re.sub(r"[-_ ]", "", name.lower())
    return ALIASES.get(plain, plain)


def _unknown(name: str) -> UnknownNameError:
    return UnknownNameError(
        "real set",
        name,
        REAL_SETS,
        hint="Or give the path of a folder with one folder a class, or of a Parquet file.",
    )


def _load_digits(split: str | None) -> ImageSet:
    if split:
        raise UsageError(f"Expected no split for 'digits', which is one set, got '{split}'. Leave it out.")
    return _digits()


@cache
def _digits() -> ImageSet:
    """1,797 digits of 8×8 pixels, dark ink on light paper."""
    from sklearn.datasets import load_digits

    ink, labels = load_digits(return_X_y=True)  # (1797, 64) in 0..16
    pixels = np.rint(255 - ink * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    files = [encode(image) for image in pixels]
    return ImageSet("digits", DIGITS, np.asarray(labels, np.int64), files.__getitem__)


def _load_hub(real: RealSet, split: str | None) -> ImageSet:
    chosen = split or real.test_split
    if chosen not in real.splits:
        raise UsageError(f"Expected a split of '{real.name}' ({', '.join(real.splits)}), got '{chosen}'.")
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        rows = cast("datasets.Dataset", datasets.load_dataset(real.hub_id, real.config, split=chosen))
        rows = rows.cast_column(real.image_column, datasets.Image(decode=False))
        labels = np.array(rows[real.label_column][:], np.int64)
    except (OSError, ValueError, KeyError, DatasetsError) as error:
        gated = f" It is {real.licence}." if "gated" in real.licence else ""
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(
            f"Expected '{real.name}' ({real.hub_id}, {chosen}) in the Hugging Face cache or on the hub, got: "
            f"{reason}. Go online once (HF_HUB_OFFLINE unset), or give the path of a folder with one folder "
            f"a class, or of a Parquet file.{gated}"
        ) from error

    def read(index: int) -> bytes:
        image = rows[index][real.image_column]
        return image["bytes"] or read_file(Path(image["path"]))

    return ImageSet(
        name=real.name,
        class_names=class_names_of(real.name),
        labels=labels,
        read=read,
        origin=lambda index: f"row {index} of {real.hub_id}, {chosen}",
    )


@cache
def _imagenet_names() -> tuple[str, ...]:
    """The first lemma of each of the 1,000 synsets; where two share one, what tells them apart."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    lemmas = [info.index_to_description(index).split(", ") for index in range(info.num_classes())]
    count = Counter(first for first, *_ in lemmas)
    names = []
    for index, (first, *others) in enumerate(lemmas):
        if count[first] == 1:
            names.append(first)
        elif others:
            names.append(others[0])
        else:
            detailed = info.index_to_description(index, detailed=True)  # "crane: large … bird of marshes …"
            gist = re.split(r"[,;:]| of | for ", detailed.removeprefix(f"{first}: "))[0]
            names.append(f"{first} ({gist.strip()})")
    return tuple(names)


def _existing_path(name: str) -> Path | None:
    try:
        path = Path(name).expanduser()
        return path if name.strip() and path.exists() else None
    except (OSError, ValueError, RuntimeError):  # too long, with a null byte, or the home of nobody
        return None
