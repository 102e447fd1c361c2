"""A pre-training's config with nothing left open."""

from __future__ import annotations

from dataclasses import dataclass, fields

from synthset.classifiers.architectures import resolve_architecture
from synthset.classifiers.recipes import are_written
from synthset.classifiers.training_set import LARGEST_SIZE_PX, read_sides
from synthset.core.errors import UsageError, setting
from synthset.images.imageset import ImageSet
from synthset.pretraining.config import PretrainConfig
from synthset.pretraining.methods import METHODS

LONGEST_QUEUE = 65_536
USUAL_BATCH = 256  # images a step that the usual learning rates are for


@dataclass(frozen=True)
class Settings(PretrainConfig):
    """A config that leaves nothing open."""

    image_size_px: int = 0
    epochs: int = 0
    learning_rate: float = 0.0
    warmup_epochs: float = 0.0
    smallest_crop: float = 1.0
    mirror: bool = False


def settle(config: PretrainConfig, images: ImageSet) -> Settings:
    """The config with what it leaves open as its method is usually trained.

    Raises:
        UsageError: fewer images than a step has, or an unknown architecture.
    """
    if len(images) < config.batch_size:
        raise UsageError(
            f"Expected {setting('batch_size')} of at most the {len(images):,} images of '{images.name}', got "
            f"{config.batch_size}."
        )
    method = METHODS[config.method]
    usual = {
        "image_size_px": min(LARGEST_SIZE_PX, read_sides(images).median_px),
        "epochs": method.epochs,
        "learning_rate": method.learning_rate * config.batch_size / USUAL_BATCH,
        "warmup_epochs": method.warmup_epochs,
        "smallest_crop": method.smallest_crop,
        "mirror": not are_written(images.class_names),
    }
    if config.method == "moco":
        steps = max(1, min(LONGEST_QUEUE, len(images) // 2) // config.batch_size)
        usual |= {"queue_size": steps * config.batch_size}
    given = {item.name: getattr(config, item.name) for item in fields(config)}
    given |= {"architecture": resolve_architecture(config.architecture)}
    return Settings(**usual | {name: value for name, value in given.items() if value is not None})
