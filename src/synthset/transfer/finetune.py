"""Fine-tuning: the trainer, from the weights of the model on, by the learning rate that did best on held-out images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from synthset.classifiers.settings import Settings
from synthset.classifiers.train import TrainResult, train_classifier
from synthset.core.errors import ModelError
from synthset.images.imageset import ImageSet
from synthset.transfer.results import Attempt

log = logging.getLogger("synthset")


def rates_around(learning_rate: float) -> tuple[float, ...]:
    """A third of a rate, itself, and three times it.

    >>> rates_around(3e-4)
    (0.0001, 0.0003, 0.0009)
    """
    return tuple(float(f"{learning_rate * factor:.6g}") for factor in (1 / 3, 1, 3))


def choose(
    images: ImageSet, settings: Settings, rates: Sequence[float], held_out_fraction: float, folder: Path
) -> list[Attempt]:
    """Each rate, as its last epoch does on the held-out images; every training goes on where it was interrupted.

    A rate at which the loss is no number has no accuracy.
    Raises:
        ModelError: no rate came to an end.
    """
    attempts, failures = [], []
    for rate in rates:
        tried = replace(settings, learning_rate=rate, validation_fraction=held_out_fraction)
        try:
            last = train_classifier(images, tried, folder / f"{rate:g}").history[-1]
        except ModelError as error:
            log.warning("%s", error)
            failures.append(error)
            attempts.append(Attempt({"learning_rate": rate}))
        else:
            attempts.append(Attempt({"learning_rate": rate}, last.held_back_accuracy, last.held_back_loss))
    if len(failures) == len(attempts):
        raise failures[0]
    return attempts


def fit(images: ImageSet, settings: Settings, learning_rate: float, folder: Path) -> TrainResult:
    """The classifier of all images, by the chosen rate."""
    return train_classifier(images, replace(settings, learning_rate=learning_rate), folder)
