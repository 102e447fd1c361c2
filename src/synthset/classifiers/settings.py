"""A training's config with nothing left open: what its recipe chose for the images."""

from __future__ import annotations

from dataclasses import dataclass, fields

from synthset.classifiers.config import TrainConfig
from synthset.classifiers.models import resolve_architecture
from synthset.classifiers.recipes import RECIPES, Task
from synthset.classifiers.training_set import hold_back, read_sides
from synthset.images.imageset import ImageSet


@dataclass(frozen=True, kw_only=True)
class Settings(TrainConfig):
    """A config that leaves nothing open."""

    optimizer: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    decay_all: bool
    warmup_epochs: float
    ema_decay: float
    label_smoothing: float
    augmentation: str
    normalisation: str
    image_size_px: int
    small_images: bool


def settle(config: TrainConfig, images: ImageSet) -> Settings:
    """The config with what it leaves open chosen by its recipe for these images.

    Raises:
        DataError: there are none.
        UnknownNameError: no such architecture.
    """
    task = _describe(config, images)
    values = {item.name: getattr(config, item.name) for item in fields(config)} | {"architecture": task.architecture}
    given = {name: value for name, value in values.items() if value is not None}
    return Settings(**{**values, **RECIPES[config.recipe].choose(task, given), **given})


def _describe(config: TrainConfig, images: ImageSet) -> Task:
    architecture, size_px = resolve_architecture(config.architecture), read_sides(images).median_px
    num_images = len(hold_back(images.labels, config.validation_fraction, config.seed)[0])
    return Task(architecture, tuple(images.class_names), num_images, size_px, config.dataset)
