"""Train as one call, by path: what the command and the Python interface share."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.classifiers.config import TrainConfig
from synthset.core.errors import SynthsetError, setting
from synthset.core.locks import reading
from synthset.core.options import with_options
from synthset.dataset.opening import open_images
from synthset.dataset.reader import Strategies, strategies_of
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource

if TYPE_CHECKING:
    from synthset.classifiers.settings import Settings
    from synthset.classifiers.train import TrainResult

log = logging.getLogger("synthset")

FEW_STEPS, SMALL_PX = 1000, 64  # with fewer steps, or images as small, other settings are better than the paper's


def train(
    data: ImageSource,
    output_dir: str | Path,
    config: TrainConfig | None = None,
    *,
    strategy: Strategies = None,
    all_images: bool = False,
    overwrite: bool = False,
    processes: int = 1,
    when_ready: Callable[[ImageSet, Settings], object] = lambda images, settings: None,
    **options: Any,
) -> TrainResult:
    """Train a classifier from random initialisation on synthetic images, and on nothing else.

    Args:
        data: a Synthset dataset, an image folder, Parquet files, or an ImageSet.
        output_dir: folder of the model; training goes on there if it was interrupted.
        config: the recipe; `options` are its fields, e.g. `architecture="resnet50", epochs=10`.
        strategy: of a Synthset dataset, the strategy or combination to train on, or several; all images by default.
        all_images: of a Synthset dataset, also what filters rejected.
        overwrite: replace another model in the folder.
        processes: that share the work on this machine, one a GPU, with the same result up to rounding; more than
            one need data that has a path. Under a launcher such as `accelerate launch` there are as many as it started.
        when_ready: is given the images that are learned from, and how, before that begins.
    Raises:
        UsageError, DataError: what came cannot be trained on; nothing was written.
    A warning says where the model cannot be told from guessing on the held-back images.
    """
    from synthset.classifiers.distributed import check_processes, is_first

    config = with_options(config or TrainConfig(), options)
    check_processes(processes, [data])
    job = {"strategy": list(strategies_of(strategy)), "all_images": all_images, "overwrite": overwrite}
    result, settings = _train(data, Path(output_dir), config, job, processes, when_ready)
    if is_first() and (doubt := doubt_of(result, settings)):
        log.warning("%s", doubt)
    return result


def _train(
    data: ImageSource,
    output_dir: Path,
    config: TrainConfig,
    job: dict[str, Any],
    processes: int,
    when_ready: Callable[[ImageSet, Settings], object],
) -> tuple[TrainResult, Settings]:
    from synthset.classifiers.learned_from import DataPath
    from synthset.classifiers.settings import as_begun, settle
    from synthset.classifiers.train import read_result, train_classifier

    which = {"strategy": job["strategy"], "all_images": job["all_images"]}
    with reading(data) as held:
        images = open_images(data, **which)
        config = config if job["overwrite"] else as_begun(config, output_dir)
        settings = settle(config, images)
        if processes == 1:
            path = None if isinstance(data, ImageSet) else DataPath.of(data, **which)
            ways = {"overwrite": job["overwrite"], "when_ready": when_ready, "when_decoded": held.close}
            return train_classifier(images, settings, output_dir, data=path, **ways), settings
        when_ready(images, settings)
    from synthset.classifiers.launch import run_in_processes

    assert not isinstance(data, ImageSet)  # check_processes saw to it
    job |= {"data": asdict(ImagePath.of(data)), "output_dir": str(output_dir), "config": asdict(config)}
    was_finished = run_in_processes(train_as_one_of_several, job, config.device, processes)
    return read_result(output_dir, was_finished=was_finished), settings


def train_as_one_of_several(
    data: dict[str, Any],
    output_dir: str,
    config: dict[str, Any],
    strategy: Sequence[str],
    all_images: bool,
    overwrite: bool,
) -> bool:
    """What each process does that `launch.py` starts, of plain values; gives whether it was done before."""
    from synthset.classifiers.learned_from import DataPath
    from synthset.classifiers.train import train_classifier

    place = ImagePath.from_dict(data)
    with reading(place) as held:
        which = {"strategy": strategy, "all_images": all_images}
        images, path = open_images(place, **which), DataPath.of(place, **which)
        places = {"output_dir": output_dir, "overwrite": overwrite, "when_decoded": held.close}
        return train_classifier(images, TrainConfig(**config), data=path, **places).was_finished


def doubt_of(result: TrainResult, settings: Settings) -> SynthsetError | None:
    """A warning where the model cannot be told from one that guesses, see `doubt_of_epoch`; none without any test."""
    from synthset.classifiers.doubts import doubt_of_epoch

    if not result.num_held_back:
        return None
    chance = result.chance or 1 / len(result.model_config.class_names)
    remedies = _remedies(result, settings)
    epochs, fraction = len(result.history), settings.validation_fraction
    return doubt_of_epoch(result.chosen, epochs, result.num_held_back, chance, fraction, remedies)


def _remedies(result: TrainResult, settings: Settings) -> list[str]:
    """What else than the settings of the training may learn from images as few and small."""
    model = result.model_config
    batch_size = min(settings.batch_size, 32)
    epochs = math.ceil(FEW_STEPS * batch_size / result.num_training)
    is_small = model.image_size_px <= SMALL_PX and model.architecture != "small_cnn"
    remedies = [
        (is_small, setting("architecture", "small_cnn")),
        (settings.recipe != "auto", setting("recipe", "auto")),
        (settings.learning_rate < 1e-3, setting("learning_rate", 0.002)),
        (settings.weight_decay > 0.1, setting("weight_decay", 0.05)),
        (settings.batch_size > batch_size, setting("batch_size", batch_size)),
        (settings.epochs < epochs, setting("epochs", epochs)),
    ]
    named = [words for is_other, words in remedies if is_other]
    return named or [f"another {setting('learning_rate')} or {setting('architecture')}"]
