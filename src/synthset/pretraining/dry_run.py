"""A dry run of `pretrain`: what is learned from, how, and about how long it takes. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthset.classifiers.architectures import split_tag
from synthset.classifiers.distributed import World
from synthset.core.cpu import tune_for_cpu
from synthset.core.devices import choose_device
from synthset.core.locks import reading
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImageSource
from synthset.pretraining.config import PretrainConfig
from synthset.pretraining.loop import parts, step
from synthset.pretraining.opening import open_all
from synthset.pretraining.session import RecordedJob
from synthset.pretraining.settings import Settings, settle
from synthset.pretraining.stage import begin, stream_of
from synthset.pretraining.start import find_weights, new_backbone

FEWEST, SECONDS = 2, 2.0  # steps that are measured, after a first one; and how long, where they are short
NOWHERE = Path()  # a session that is never saved


@dataclass(frozen=True)
class PretrainPlan:
    """A pre-training as it would be.

    Attributes:
        num_images: that are learned from.
        epochs, num_steps: passes, and steps in all.
        device: that it would run on here, and was measured on.
        seconds: about how long all of it takes by one process.
    """

    num_images: int
    epochs: int
    num_steps: int
    device: str
    seconds: float


def rehearse(
    data: Sequence[ImageSource],
    config: PretrainConfig,
    *,
    when_ready: Callable[[ImageSet, Settings], object] = lambda images, settings: None,
) -> PretrainPlan:
    """A dry run of `pretrain`: some steps are done, and forgotten. Arguments and errors as there, before it begins."""
    with reading(*data):
        images = open_all(data, with_classes=config.method == "supervised")
        settings = settle(config, images)
        start = find_weights(settings, split_tag(config.architecture)[1])
        world = World(choose_device(settings.device))
        backbone, described = new_backbone(settings, start, len(images))
        when_ready(images, settings)
        if world.device.type == "cpu":
            tune_for_cpu()
        learner, session = begin(
            NOWHERE, RecordedJob({}, ""), backbone, described, len(images.class_names), settings, world
        )
        stream = stream_of(images, settings)
        session.network.train()
        num_steps, times = settings.epochs * stream.steps_per_epoch, list[float]()
        began = last = time.monotonic()
        for part in parts(stream.batches(0, num_steps, workers=settings.workers), described, settings, world):
            step(session, learner, part, 1e-9, settings, world)
            now = time.monotonic()
            times, last = [*times, now - last], now
            if len(times) > FEWEST and now - began > SECONDS:
                break
    measured = times[1:] or times
    seconds = num_steps * sum(measured) / len(measured)
    return PretrainPlan(len(images), settings.epochs, num_steps, str(world.device), seconds)
