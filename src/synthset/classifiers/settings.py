"""A training's config with nothing left open: what its recipe chose for the images."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from synthset.classifiers.architectures import resolve_architecture, split_tag
from synthset.classifiers.checkpoints import recorded_job
from synthset.classifiers.config import TrainConfig
from synthset.classifiers.pretrained import IMAGENET, Start, find_start
from synthset.classifiers.recipes import RECIPES, Task
from synthset.classifiers.teachers import Teacher, load_teacher
from synthset.classifiers.training_set import hold_back, read_sides
from synthset.core.errors import SynthsetError, UsageError, setting
from synthset.core.options import Option
from synthset.images.imageset import ImageSet
from synthset.real.sets import known_sets

log = logging.getLogger("synthset")

ONCE = "shipard2023"  # what every training was by before there were recipes


@dataclass(frozen=True)
class Settings(TrainConfig):
    """A config that leaves nothing open.

    Attributes:
        start: the weights that it means; None for random ones.
        taught_by: the teacher that it means, if it means one.
        native_px: median of the images' longer sides, which the model sees at `image_size_px`.
    """

    architecture: str = ""
    optimizer: str = ""
    epochs: int = 0
    batch_size: int = 0
    learning_rate: float = 0.0
    weight_decay: float = 0.0
    decay_all: bool = False
    warmup_epochs: float = 0.0
    ema_decay: float = 0.0
    label_smoothing: float = 0.0
    augmentation: str = ""
    normalisation: str = ""
    image_size_px: int = 0
    small_images: bool = False
    conv_stem: bool = False
    start: Annotated[Start | None, Option(job=False)] = None
    taught_by: Annotated[Teacher | None, Option(job=False)] = None
    native_px: Annotated[int, Option(job=False)] = 0


def as_begun(config: TrainConfig, folder: Path) -> TrainConfig:
    """The config as a training goes on by it in `folder`: one that an earlier version began keeps its recipe.

    Raises:
        UsageError, DataError: what lies there is damaged.
    """
    job = recorded_job(folder)
    if config.recipe == ONCE or job is None or not job.is_before_recipes:
        return config
    told = f"'{folder}' holds a training of before there were recipes, which goes on by {setting('recipe', ONCE)}."
    log.warning("%s", SynthsetError(told))
    return replace(config, recipe=ONCE)


def settle(config: TrainConfig, images: ImageSet) -> Settings:
    """The config with what it leaves open chosen by its recipe for these images.

    Raises:
        DataError: there are none.
        UnknownNameError: no such architecture.
        UsageError, ModelError: weights that cannot be meant, or details of weights or a teacher that there are not.
    """
    size_px = read_sides(images).median_px
    name = config.architecture or RECIPES[config.recipe].architecture(size_px)
    architecture, tag = resolve_architecture(name), split_tag(name)[1]
    _check_details(config, tag)
    weights = config.weights or (IMAGENET if tag else None)
    start = find_start(weights, architecture, tag) if weights else None
    task = Task(
        architecture,
        tuple(images.class_names),
        len(hold_back(images.labels, config.validation_fraction, config.seed)[0]),
        size_px,
        config.dataset,
        start.size_px if start else None,
    )
    values = {item.name: getattr(config, item.name) for item in fields(config)} | {"architecture": architecture}
    given = {name: value for name, value in values.items() if value is not None}
    chosen = RECIPES[config.recipe].choose(task, given)
    _tell_unread_dataset(config, task, given)
    if start is not None:  # they know images of one kind
        chosen |= {"normalisation": start.ours.normalisation if start.ours else "dataset"}
        stems = ("small_images", "conv_stem")
        chosen |= {name: start.ours is not None and getattr(start.ours, name) for name in stems}
        chosen |= {"image_size_px": start.size_px}
    teacher = load_teacher(config.teacher, images.class_names, config.device) if config.teacher else None
    settings = Settings(**{**values, **chosen, **given}, start=start, taught_by=teacher, native_px=size_px)
    if start is not None and start.ours is None and (settings.small_images or settings.conv_stem):
        other = setting("small_images" if settings.small_images else "conv_stem")
        raise UsageError(f"Expected timm's own stem for {setting('weights')}, got {other}. Leave one out.")
    return settings


def _tell_unread_dataset(config: TrainConfig, task: Task, given: Mapping[str, Any]) -> None:
    """Warn of a known set where none would change what the recipe chooses. No error: the paper's script names one."""
    if config.dataset is None:
        return
    choose = RECIPES[config.recipe].choose
    first, *others = ({**choose(replace(task, dataset=name), given), **given} for name in known_sets())
    if all(other == first for other in others):
        told = (
            f"Nothing reads {setting('dataset', config.dataset)}: it picks the weight decay of "
            f"{setting('recipe', ONCE)}, where none is given and the architecture has none of its own."
        )
        log.warning("%s", SynthsetError(told))


def _check_details(config: TrainConfig, tag: str) -> None:
    if tag and config.weights not in (None, IMAGENET):
        raise UsageError(
            f"Expected weights once, got those of '{config.architecture}' and {setting('weights')} '{config.weights}'."
        )
    if config.weights is None and not tag:
        for name, is_given in (("freeze", config.freeze), ("layer_decay", config.layer_decay != 1)):
            if is_given:
                raise UsageError(f"Expected {setting('weights')} with {setting(name)}. Or leave it out.")
    if config.freeze and config.layer_decay != 1:
        raise UsageError(f"Expected {setting('freeze')} or {setting('layer_decay')}, got both. Leave one out.")
    if config.teacher is None:
        default = TrainConfig()
        for name in ("teacher_share", "teacher_temperature"):
            if getattr(config, name) != getattr(default, name):
                raise UsageError(f"Expected {setting('teacher')} with {setting(name)}. Or leave it out.")
