"""A training's config with nothing left open: what its recipe chose for the images."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from synthset.classifiers.config import TrainConfig
from synthset.classifiers.models import resolve_architecture
from synthset.classifiers.recipes import RECIPES, Task
from synthset.classifiers.training_set import hold_back
from synthset.core.errors import DataError
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
    chosen = RECIPES[config.recipe].choose(task)
    values = {item.name: getattr(config, item.name) for item in fields(config)} | {"architecture": task.architecture}
    return Settings(**values | {name: value for name, value in chosen.items() if values[name] is None})


def _describe(config: TrainConfig, images: ImageSet) -> Task:
    if not len(images):
        raise DataError(f"Expected images in '{images.name}', found none. Run 'synthset create' first.")
    num_images = len(hold_back(images.labels, config.validation_fraction, config.seed)[0])
    some = np.linspace(0, len(images) - 1, min(len(images), 200)).astype(int)
    size_px = round(np.median([max(images.image(i).size) for i in some]))
    architecture = resolve_architecture(config.architecture)
    return Task(architecture, tuple(images.class_names), num_images, size_px, config.dataset)
