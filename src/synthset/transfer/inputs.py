"""What a transfer learns from and is tested on, and the weights that it begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthset.classifiers.backbones import BACKBONE, read_backbone
from synthset.classifiers.config import TrainConfig
from synthset.classifiers.learned_from import check_unseen, tell_seen
from synthset.classifiers.models import kind_of, read_config
from synthset.classifiers.pretrained import IMAGENET
from synthset.core.errors import UsageError, setting
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImageSource
from synthset.images.sketch import Sketch, hash_files
from synthset.real.learning import few_shot_pool, load_test_part
from synthset.real.matching import with_classes
from synthset.transfer.config import TransferConfig

RANDOM = "random"  # weights that learned nothing, to compare with


def open_training_part(real: ImageSource) -> ImageSet:
    """The training split of a real set, or the half of one without splits. Raises as `few_shot_pool`."""
    return few_shot_pool(real)


def open_test_part(
    real: ImageSource, training: ImageSet, model: str | Path, *, strict: bool = False, allowed: bool = False
) -> ImageSet:
    """The test split, with the classes of the training split; its files are hashed here, and none is decoded.

    Args:
        model: as `transfer` takes it.
        strict: refuse a class that one of the two lacks.
        allowed: a warning will do where test images were learned from.
    Raises:
        UsageError: another set of classes, or most of the images were learned from, by the model or by this training.
        DataError: as real.load_real.
    """
    test = with_classes(load_test_part(real), training.class_names, strict=strict)
    if folder_of(model) is not None:
        check_unseen(Path(model).expanduser(), test, allowed=allowed)
    share = Sketch.of(hash_files(training)).share_in(hash_files(test))
    tell_seen("a model of the training split", test, share, allowed=allowed)
    return test


def folder_of(model: str | Path) -> Path | None:
    """The folder of a model of ours; None for what is none."""
    path = Path(model).expanduser()
    return path if str(model) not in (RANDOM, IMAGENET) and path.is_dir() else None


def training_of(model: str | Path, config: TransferConfig, seed: int) -> TrainConfig:
    """How a training begins with the weights that are meant.

    Raises:
        UsageError: weights without an architecture.
        ModelError: a folder without a model.
    """
    folder, architecture = folder_of(model), config.architecture
    if folder is not None and architecture is None:
        is_backbone = kind_of(folder) == BACKBONE
        architecture = read_backbone(folder).architecture if is_backbone else read_config(folder).architecture
    if architecture is None:
        raise UsageError(
            f"Expected {setting('TransferConfig.architecture')} with '{model}', which names none, got none. Name one, "
            f"e.g. {setting('TransferConfig.architecture', 'resnet50')}."
        )
    weights = None if str(model) == RANDOM else str(model)
    ways = {"architecture": architecture, "weights": weights, "seed": seed, "validation_fraction": 0.0}
    return replace(config.training, **ways)
