"""A tiny problem that every training test learns: noise with a bright bar, at 8 px, in seconds."""

import dataclasses
from contextlib import contextmanager

import numpy as np
import pytest

from synthset.classifiers import checkpoints, train
from synthset.classifiers.config import TrainConfig
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet

# every source of randomness is on: augmentation, dropout, order, label smoothing, clipping; the rest is as it has been
CONFIG = TrainConfig(
    recipe="shipard2023",
    architecture="small_cnn",
    epochs=4,
    batch_size=16,
    learning_rate=3e-3,
    weight_decay=0.05,
    label_smoothing=0.05,
    max_grad_norm=1.0,
    augmentation="digits",
    image_size_px=8,
    validation_fraction=0.25,
    device="cpu",
)
FILES = ["config.json", "metrics.csv", "model.safetensors", "training.json"]  # of a finished training
NAMES = ("left", "right", "top")


def make_set(counts=(20, 20, 20), names=NAMES, seed=0) -> ImageSet:
    """Noise with a bright bar on the side that the class names."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.full(count, label) for label, count in enumerate(counts)])
    files = []
    for label in labels:
        pixels = random.integers(0, 90, (8, 8, 3), np.uint8)
        pixels[(slice(None), slice(None), slice(0, 2))[label], (slice(0, 2), slice(6, 8), slice(None))[label]] = 230
        files.append(encode(pixels))
    return ImageSet("bars", tuple(names), labels, files.__getitem__)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def scores(result):
    return [dataclasses.replace(epoch, seconds=0) for epoch in result.history]


@contextmanager
def interrupted_in_epoch(epoch):
    """A training in the block is interrupted as this epoch of it begins; it has a checkpoint of each before."""
    original, begun = train.train_epoch, []

    def stop(*arguments, **options):
        begun.append(1)
        if len(begun) == epoch:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(checkpoints, "CHECKPOINT_SHARE", float("inf"))
        patch.setattr(train, "train_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            yield
