"""Pre-train as one call: images by path -> a backbone in a folder.

open       the images, of any number of places                         opening.py
stream     batches of crops, in an order of their own each pass        streaming.py
vary       colours, blur, mirror, a batch at once                      views.py
learn      the loss of a method, a step of the optimiser               methods.py, moco.py, loop.py
save       a checkpoint now and then; the backbone at the end          session.py, backbones.py
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from synthset.classifiers.architectures import split_tag
from synthset.classifiers.backbones import BackboneConfig, read_backbone, save_backbone
from synthset.classifiers.distributed import World, check_processes, join
from synthset.classifiers.launch import run_in_processes
from synthset.classifiers.optimizers import group_weights, make_optimizer
from synthset.classifiers.pretrained import Start
from synthset.core.cpu import tune_for_cpu
from synthset.core.errors import UsageError, setting
from synthset.core.locks import reading
from synthset.core.options import job_of, with_options
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource
from synthset.images.sketch import Sketch, hash_files
from synthset.pretraining.config import PretrainConfig
from synthset.pretraining.learners import LEARNERS, Learner
from synthset.pretraining.loop import run
from synthset.pretraining.methods import METHODS
from synthset.pretraining.opening import open_all
from synthset.pretraining.session import PassRecord, RecordedJob, Session, claim, read_finished
from synthset.pretraining.settings import Settings, settle
from synthset.pretraining.start import find_weights, new_backbone
from synthset.pretraining.streaming import Crops, Stream


@dataclass(frozen=True)
class PretrainResult:
    """A finished pre-training; its backbone lies in `folder`.

    Attributes:
        backbone: what it is.
        history: every pass.
        seconds: spent on training, over all sessions.
        was_finished: the folder held this pre-training already; nothing was done.
    """

    folder: Path
    backbone: BackboneConfig
    history: tuple[PassRecord, ...]
    seconds: float
    was_finished: bool = False


def pretrain(
    data: ImageSource | Sequence[ImageSource],
    output_dir: str | Path,
    config: PretrainConfig | None = None,
    *,
    overwrite: bool = False,
    processes: int = 1,
    when_ready: Callable[[ImageSet, Settings], object] = lambda images, settings: None,
    **options: Any,
) -> PretrainResult:
    """Pre-train a backbone on synthetic images; the same call again goes on where one was interrupted.

    Args:
        data: Synthset datasets, image folders or Parquet files; for moco they need no classes.
        output_dir: folder of the backbone.
        config: how; `options` are its fields, e.g. `method="moco", architecture="resnet18"`.
        overwrite: replace another pre-training in the folder.
        processes: that share every batch on this machine, with the same result up to rounding, see `train`.
        when_ready: is given the images and the settings before training begins.
    Raises:
        UsageError: a setting or a folder that cannot be right; nothing was written.
        DataError: images that cannot be read, or too few.
        ModelError: weights that do not fit, or a loss that is no number.
    """
    config = with_options(config or PretrainConfig(), options)
    sources = [data] if isinstance(data, str | Path | ImagePath | ImageSet) else list(data)
    check_processes(processes, sources)
    with reading(*sources):
        images = open_all(sources, with_classes=config.method == "supervised")
        settings = settle(config, images)
        start = find_weights(settings, split_tag(config.architecture)[1])
        if processes > 1:
            when_ready(images, settings)
            paths = [asdict(ImagePath.of(source)) for source in sources if not isinstance(source, ImageSet)]
            job = {"data": paths, "output_dir": str(output_dir), "config": asdict(config), "overwrite": overwrite}
            was_finished = run_in_processes(pretrain_as_one_of_several, job, config.device, processes)
            return read_result(Path(output_dir), was_finished=was_finished)
        world = join(settings.device)
        _check_shares(settings, world)
        return _pretrain(images, Path(output_dir), settings, start, world, overwrite, when_ready)


def pretrain_as_one_of_several(
    data: Sequence[dict[str, Any]], output_dir: str, config: dict[str, Any], overwrite: bool
) -> bool:
    """What each process does that `launch.py` starts, of plain values; gives whether it was done before."""
    sources = [ImagePath.from_dict(source) for source in data]
    return pretrain(sources, output_dir, PretrainConfig(**config), overwrite=overwrite).was_finished


def _pretrain(
    images: ImageSet,
    folder: Path,
    settings: Settings,
    start: Start | None,
    world: World,
    overwrite: bool,
    when_ready: Callable[[ImageSet, Settings], object],
) -> PretrainResult:
    hashes = np.array(world.from_first(lambda: hash_files(images).tolist()), np.uint64)
    job = RecordedJob(
        json.loads(json.dumps(job_of(settings) | {"weights": start.identity if start else None})),
        _fingerprint(images, hashes),
    )
    backbone, described = new_backbone(settings, start, len(images))  # or what is wrong, before anything is replaced
    with claim(folder, job, job_of(PretrainConfig()), overwrite=overwrite, from_first=world.from_first):
        was_finished = read_finished(folder) is not None
        if not was_finished:
            if world.is_first:
                when_ready(images, settings)
            if world.device.type == "cpu":
                tune_for_cpu()
            learner, session = begin(folder, job, backbone, described, len(images.class_names), settings, world)
            session.restore()
            world.wait()
            run(session, learner, stream_of(images, settings), described, settings, world)
            if world.is_first:
                about = {"images": images.name, "num_images": len(images), "learned_from": asdict(Sketch.of(hashes))}
                session.finish(partial(save_backbone, folder, learner.backbone, described), about)
            world.wait()
        return read_result(folder, was_finished=was_finished)


def read_result(folder: Path, *, was_finished: bool = True) -> PretrainResult:
    """The finished pre-training in a folder. Raises UsageError if there is none."""
    note = read_finished(folder)
    if note is None:
        raise UsageError(f"Expected a finished pre-training in '{folder}', found none. Run 'synthset pretrain' first.")
    return PretrainResult(folder, read_backbone(folder), note.history, note.seconds, was_finished)


def begin(
    folder: Path,
    job: RecordedJob,
    backbone: nn.Module,
    described: BackboneConfig,
    num_classes: int,
    settings: Settings,
    world: World,
) -> tuple[Learner, Session]:
    """The network with all that learns, as it begins."""
    is_moco = settings.method == "moco"
    own = replace(settings, norm_groups=settings.norm_groups // world.size) if is_moco else settings
    learner = LEARNERS[settings.method](backbone, described.num_features, num_classes, own)
    # moco has no batch norm left that would see all images: its norms see groups, of which each process has some
    network = world.prepare(learner.network)
    groups = group_weights(network, settings.weight_decay, decay_all=True)
    optimizer = make_optimizer(settings.optimizer, groups, settings.learning_rate)
    return learner, Session(folder, job, network, optimizer, settings.checkpoint_minutes * 60)


def stream_of(images: ImageSet, settings: Settings) -> Stream:
    """The batches that are learned from."""
    views, area = METHODS[settings.method].views, (settings.smallest_crop, 1.0)
    crops = Crops(settings.image_size_px, views, area, magnitude=settings.randaugment)
    return Stream(images, settings.batch_size, crops, settings.seed)


def _check_shares(settings: Settings, world: World) -> None:
    if (settings.mixup or settings.cutmix) and settings.batch_size % (2 * world.size) and world.size > 1:
        raise UsageError(
            f"Expected {setting('batch_size')} that {world.size} processes can share in pairs, which are mixed, got "
            f"{settings.batch_size}."
        )
    if settings.batch_size % world.size or (settings.method == "moco" and settings.norm_groups % world.size):
        raise UsageError(
            f"Expected {setting('batch_size')} and {setting('norm_groups')} that {world.size} processes can share "
            f"equally, got {settings.batch_size} and {settings.norm_groups}."
        )


def _fingerprint(images: ImageSet, hashes: np.ndarray) -> str:
    digest = hashlib.blake2b(json.dumps(images.class_names).encode(), digest_size=16)
    digest.update(np.asarray(images.labels, "<i8").tobytes() + hashes.astype("<u8").tobytes())
    return digest.hexdigest()
