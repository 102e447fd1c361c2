"""The real sets that are known by name: where they lie, how they are split, and how the field scores them.

All of He et al. 2023, Table 1, and two sets of digits: sets.yaml lists them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from synthset.core.errors import UnknownNameError
from synthset.core.yaml_files import read_yaml
from synthset.real.names import imagenet_ids, imagenet_names, imagenet_r_names, read_names

SET = "set:"  # before the name of a known set, where a folder is called the same

Metric = Literal["accuracy", "mean_per_class"]


@dataclass(frozen=True, kw_only=True)
class RealSet:
    """A real dataset that is known by name.

    Attributes:
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
        left_out: classes of the repository that are none of the set's, by their name there.
        templates: the key in `templates.TEMPLATES` of the sentences in which a CLIP reads the class names.
        metric: what the field reports, accuracy over images or its mean over classes.
        size_px: the side of an image, or None where images differ.
        images_per_class: that a synthetic stand-in draws by default: as many as the real training set has, at most
            5,000, where Shipard et al. 2023 drew it; 2,000 after He et al. 2023 elsewhere.
        aliases: other names of it, without dashes, underscores and spaces.
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
    images_per_class: int = 2000
    aliases: tuple[str, ...] = ()


@cache
def known_sets() -> dict[str, RealSet]:
    """The real sets that have a name, by name."""
    sets = {}
    for name, entry in read_yaml(Path(__file__).with_suffix(".yaml"), "sets", "").items():
        lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
        names = entry.pop("names", None)
        sets[name] = RealSet(**{"name": name, "class_names": read_names(names) if names else (), **entry, **lists})
    return sets


Texts = Callable[[], tuple[str, ...]]

# names and WordNet ids of the classes of sets whose names timm keeps
_OF_IMAGENET: dict[str, tuple[Texts, Texts]] = {
    "imagenet": (imagenet_names, imagenet_ids),
    "imagenet-sketch": (imagenet_names, imagenet_ids),
    "imagenet-r": (imagenet_r_names, lambda: read_names("imagenet-r")),
}


def find_set(name: str) -> RealSet:
    """The known set of that name, however it is spelled. Raises UnknownNameError."""
    real = match_set(name)
    if real is None:
        raise unknown_set(name)
    return real


def match_set(name: str) -> RealSet | None:
    """The known set of that name, however it is spelled, with SET before it or not; None if it is none."""
    key = _key(name.removeprefix(SET))
    return next((real for real in known_sets().values() if key in (_key(real.name), *real.aliases)), None)


def path_of(real: object) -> Path | None:
    """Where real images are read from; None where they are known by name, or in memory already."""
    if not isinstance(real, str | os.PathLike) or match_set(str(real)) is not None:
        return None
    return Path(os.path.expanduser(real))  # noqa: PTH111  # Path's own raises for the home of nobody


def unknown_set(name: str) -> UnknownNameError:
    """The error that lists the known sets."""
    hint = "Or give the path of a folder with one folder a class, or of a Parquet file."
    return UnknownNameError("real set", name, known_sets(), hint)


def class_names_of(name: str) -> tuple[str, ...]:
    """The class names of a known set in label order, all different, as words for prompts. No network.

    Raises:
        UnknownNameError: not a name of `known_sets()`.
    """
    real = find_set(name)
    return real.class_names or _OF_IMAGENET[real.name][0]()


def wordnet_ids_of(name: str) -> tuple[str, ...]:
    """The WordNet ids of the classes of a known set in label order; empty for a set without any."""
    known = find_set(name).name
    return _OF_IMAGENET[known][1]() if known in _OF_IMAGENET else ()


def _key(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())
