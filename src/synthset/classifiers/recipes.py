"""Recipes of training: each chooses what a config leaves open, from the task and by a written rule.

What was chosen, and on which images, is in EXPERIMENTS.md; no test set had a say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthset.classifiers.architectures import Outline

LARGEST_SIZE_PX = 224  # of images whose size nobody chose: the architectures were made for it
SMALL_SIZE_PX = 64  # up to this side, the usual stems leave few positions
HALVED_SIZES_PX = (32, 64)  # that may be halved to few positions, and no fewer
VERY_FEW_IMAGES, FEW_IMAGES = 1_000, 10_000
LEAST_STEPS = 400  # from weights that know other images: few of them would make too few
LIGHT_WEIGHTS = 6_000_000  # of more, an update of Muon takes longer than all else of a small batch
NARROWING = ("MobileNetV3", "EfficientNet")  # their usual stems leave too few positions of small images


@dataclass(frozen=True)
class Task:
    """What a recipe chooses by.

    Attributes:
        architecture: its one name, see `resolve_architecture`.
        class_names: the k names.
        num_images: images that are learned from.
        size_px: median of the images' longer sides.
        dataset: a known real set, or None.
        weights_px: side of the images that the weights learned from; None for random weights.
    """

    architecture: str
    class_names: tuple[str, ...]
    num_images: int
    size_px: int
    dataset: str | None = None
    weights_px: int | None = None


@dataclass(frozen=True)
class Recipe:
    """A rule for what a config leaves open.

    Attributes:
        architecture: of images of a size, in pixels.
        choose: values for the other fields of `TrainConfig`, from the task and what was given.
        summary: a line about it.
    """

    architecture: Callable[[int], str]
    choose: Callable[[Task, Mapping[str, Any]], dict[str, Any]]
    summary: str


DIGIT_NAMES = frozenset(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))


def are_written(class_names: Sequence[str]) -> bool:
    """Whether the classes are digits or letters, which a mirror makes others of.

    >>> are_written(["zero", "1", "B"]), are_written(["cat", "one"])
    (True, False)
    """
    return all((len(name) == 1 and name.isalnum()) or name.casefold() in DIGIT_NAMES for name in class_names)


# ---- the recipe for any task --------------------------------------------------------------------------------


def choose_auto(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """Passes fall slowly with the number of images; networks of few weights have Muon, which needs fewer passes.

    They learn at a high rate, the convolutional ones above all, from large batches, since a step of Muon is dear. Very
    few images make small batches, or there would be few steps.

    Few small images are worth no finer stem, which takes up to nine times as long, but where stems halve five times.
    What cuts images into patches learns small ones better from a stem of convolutions. A transformer sees four by four
    positions; from patches it learns slower, and sees images half as often again.
    """
    from synthset.classifiers.architectures import outline

    network = outline(task.architecture)
    is_light = network.num_weights <= LIGHT_WEIGHTS and task.weights_px is None
    is_bold = is_light and network.patch_px is None
    seen_px = given.get("image_size_px") or task.size_px
    is_fine = seen_px <= SMALL_SIZE_PX and task.num_images > FEW_IMAGES
    is_fine |= seen_px < SMALL_SIZE_PX and network.family in NARROWING  # from there on the usual stem leaves as many
    rate = 6e-3 if is_bold else 3e-3 if is_light else 1e-3
    batch_size = 128 if is_light else 64
    if task.num_images < VERY_FEW_IMAGES:
        batch_size //= 4
    elif task.num_images > FEW_IMAGES:
        batch_size = 128
    epochs = max(10, round(40 * (2_000 / task.num_images) ** 0.25))
    is_conv = given.get("conv_stem", _is_worth_convolutions(network, task, seen_px, given))
    size_px = min(LARGEST_SIZE_PX, task.size_px)
    if network.patch_px is not None:
        epochs = epochs if is_conv else epochs * 3 // 2
        size_px = _size_for_patches(size_px, network.patch_px, is_fine=is_fine, is_conv=is_conv)
    elif network.cuts_patches:  # which are halved three times more
        size_px = max(size_px, HALVED_SIZES_PX[0])
    if task.weights_px is not None:  # what they know is to be kept
        rate, batch_size = (1e-3, 64) if given.get("freeze") else (3e-4, batch_size)
        epochs = max(5, epochs // 3, math.ceil(LEAST_STEPS / math.ceil(task.num_images / batch_size)))
    return {
        "optimizer": "muon" if is_light else "adamw",
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": rate,
        "weight_decay": 0.05,
        "decay_all": False,
        "warmup_epochs": 1.0 if is_bold else 2.0,
        "ema_decay": 0.0,
        "label_smoothing": 0.1,
        "augmentation": "handwriting" if are_written(task.class_names) else "standard",
        "normalisation": "per_image",
        "image_size_px": size_px,
        "small_images": is_fine,
        "conv_stem": is_conv,
    }


def _is_worth_convolutions(network: Outline, task: Task, seen_px: int, given: Mapping[str, Any]) -> bool:
    """Whether a stem of convolutions takes the place of patches: of small images, where no weights know patches."""
    can_be_halved = network.patch_px is None or "image_size_px" not in given or seen_px % 8 == 0
    return network.cuts_patches and task.weights_px is None and seen_px <= SMALL_SIZE_PX and can_be_halved


def _size_for_patches(size_px: int, patch_px: int, *, is_fine: bool, is_conv: bool) -> int:
    """The next size that a transformer sees four by four positions of, or more."""
    if is_conv and size_px <= SMALL_SIZE_PX:
        return next(px for px in HALVED_SIZES_PX if px >= size_px)
    patch_px, least = (8, 8) if is_fine else (patch_px, 4 * patch_px)
    return max(least, -(-size_px // patch_px) * patch_px)


# ---- the recipe of the paper --------------------------------------------------------------------------------


def choose_shipard2023(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    """Shipard et al. 2023, section 5.1: AdamW for 200 epochs, whatever the task."""
    return {
        "optimizer": "adamw",
        "epochs": 200,
        "batch_size": 128,
        "learning_rate": 2e-4,
        "weight_decay": paper_weight_decay(task.architecture, task.dataset),
        "decay_all": True,
        "warmup_epochs": 0.0,
        "ema_decay": 0.0,
        "label_smoothing": 0.0,
        "augmentation": "standard",
        "normalisation": "dataset",
        "image_size_px": min(LARGEST_SIZE_PX, task.size_px),
        "small_images": False,
        "conv_stem": False,
    }


def paper_weight_decay(architecture: str, dataset: str | None) -> float:
    """The weight decay of Shipard et al. 2023, section 5.1: by architecture first, then by dataset."""
    if architecture.startswith("mobilenetv3"):
        return 0.1
    return 0.3 if "eurosat" in (dataset or "").lower() else 0.9


RECIPES = {
    "auto": Recipe(
        lambda size_px: "small_cnn" if size_px <= SMALL_SIZE_PX else "resnet50",
        choose_auto,
        "for any number and size of images",
    ),
    "shipard2023": Recipe(
        lambda _: "resnet50",
        choose_shipard2023,
        "of Shipard et al. 2023 for 50,000 images, 200 epochs whatever the task",
    ),
}
