"""A dry run of `train`: what is learned from, how, and about how long it takes. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from synthset.classifiers.config import TrainConfig
from synthset.classifiers.models import Classifier, ModelConfig
from synthset.classifiers.settings import Settings, settle
from synthset.classifiers.tracking import check_trackers
from synthset.classifiers.train import new_model, new_optimizer, train_epoch
from synthset.classifiers.training_set import TrainingSet, check_images, hold_back, split_batches
from synthset.core.cpu import tune_for_cpu
from synthset.core.devices import choose_device
from synthset.core.locks import reading
from synthset.dataset.opening import open_images
from synthset.dataset.reader import Strategies
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImageSource

SECONDS = 0.5  # that a measurement takes, of whole batches
SECONDS_OF_FEWER, MOST_SECONDS = 2.0, 10.0  # from when on fewer than a batch will do, and any number
FIRST = 2  # images of the first measurement; BatchNorm takes no fewer
SCORED = 256  # images at once, at least, where held-back ones are looked at


@dataclass(frozen=True)
class TrainingPlan:
    """A training as it would be.

    Attributes:
        num_training, num_held_back: images that are learned from, and chosen by.
        epochs, num_steps: passes, and steps in all.
        device: that it would run on here, and was measured on.
        seconds: about how long all of it takes by one process.
        left_out: what of it that does not count, in words; each takes a while at the beginning.
    """

    num_training: int
    num_held_back: int
    epochs: int
    num_steps: int
    device: str
    seconds: float
    left_out: tuple[str, ...] = ()


def rehearse(
    data: ImageSource,
    config: TrainConfig,
    *,
    strategy: Strategies = None,
    all_images: bool = False,
    when_ready: Callable[[ImageSet, Settings], object] = lambda images, settings: None,
) -> TrainingPlan:
    """A dry run of `train`; some images are decoded and learned from, for a second or two, and all of it forgotten.

    Args:
        data, config, strategy, all_images, when_ready: as for `train`.
    Raises:
        UsageError, DataError, ModelError: as `train` before it begins.
    """
    with reading(data):
        images = open_images(data, strategy, all_images=all_images)
        check_images(images, config.validation_fraction)
        settings = settle(config, images)
        check_trackers(settings.tracker)
        when_ready(images, settings)
        return _measure(images, settings)


def _measure(images: ImageSet, settings: Settings) -> TrainingPlan:
    device = choose_device(settings.device)
    if device.type == "cpu":
        tune_for_cpu()
    training_rows, held_back_rows = hold_back(images.labels, settings.validation_fraction, settings.seed)
    num_training, num_held_back = len(training_rows), len(held_back_rows)
    network = new_model(images, settings)
    decoding = seconds_each(lambda count: _decode(images, count, settings), len(images))
    # a batch of them is enough to go on: how long a step takes does not depend on what is in it
    sample = _decode(images.select(training_rows), min(num_training, settings.batch_size, SCORED), settings)
    learning, scoring = _measure_network(network, settings, sample, device, (num_training, num_held_back))
    left_out = {"what the teacher says of the images": settings.taught_by is not None, "compiling": settings.compile}
    return TrainingPlan(
        num_training=num_training,
        num_held_back=num_held_back,
        epochs=settings.epochs,
        num_steps=settings.epochs * len(split_batches(torch.from_numpy(training_rows), settings.batch_size)),
        device=device.type,
        seconds=len(images) * decoding + settings.epochs * (num_training * learning + num_held_back * scoring),
        left_out=tuple(what for what, is_so in left_out.items() if is_so),
    )


def _decode(images: ImageSet, count: int, settings: Settings) -> torch.Tensor:
    """Images from all over the set, uint8 (count, 3, size, size)."""
    rows = np.linspace(0, len(images) - 1, count).astype(int)
    return images.select(rows).tensor(settings.image_size_px, settings.antialias)


def _measure_network(
    network: tuple[nn.Module, ModelConfig],
    settings: Settings,
    sample: torch.Tensor,
    device: torch.device,
    most: tuple[int, int],
) -> tuple[float, float]:
    """Seconds that an image takes to be learned from, and to be looked at; of at most so many images each."""
    model, model_config = network[0].to(device), network[1]
    optimizer, _ = new_optimizer(model, settings)
    labels, none = torch.zeros(len(sample), dtype=torch.int64), torch.arange(0)
    data = TrainingSet(sample, labels, none, none).to(device)
    classifier = Classifier(model_config, model)
    at_once = max(settings.batch_size, SCORED)

    def learn(count: int) -> None:
        rows = torch.arange(count) % len(sample)
        epoch = TrainingSet(data.pixels, data.labels, rows, none)
        train_epoch(model, optimizer, epoch, model_config, settings, 0, lambda _: None)

    def look(count: int) -> None:
        for start in range(0, count, at_once):
            rows = torch.arange(start, min(start + at_once, count)) % len(sample)
            classifier.predict(data.read(rows, data.pixels.device)[0], at_once)

    learning = seconds_each(learn, most[0], settings.batch_size)
    return learning, seconds_each(look, most[1], at_once) if most[1] else 0.0


def seconds_each(work: Callable[[int], object], most: int, at_once: int = 1) -> float:
    """Seconds that one of many takes.

    Args:
        work: is done to 2, 4, 8, … of them, until that takes long enough; the first time pays for what is set up once,
            and does not count.
        most: there are no more.
        at_once: of them that usually share what work has to do each time, however few there are.
    """
    count, before = min(FIRST, most), float("inf")
    work(count)
    while True:
        start = time.perf_counter()
        work(count)
        seconds = time.perf_counter() - start
        is_whole = count >= at_once
        # while twice as many take hardly longer, what work has to do each time is most of it
        is_enough = seconds >= SECONDS if is_whole else seconds >= max(SECONDS_OF_FEWER, 1.5 * before)
        if count == most or seconds >= MOST_SECONDS or is_enough:
            return seconds / count
        count, before = min(most, 2 * count if is_whole else min(at_once, 2 * count)), seconds
