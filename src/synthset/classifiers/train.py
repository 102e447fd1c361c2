"""Train a classifier on synthetic images; the checkpoint is chosen on held-back synthetic images.

There is no test set here, so none can leak into a choice. All images are decoded once into one uint8 tensor;
a batch is a selection of its rows, augmented as a whole on the device. Where a launcher started several processes,
each takes its part of every batch (see distributed.py).

Training is interrupted and resumed without a trace: every random draw follows from (seed, purpose, epoch),
and what else a next epoch depends on is saved (see checkpoints.py).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthset.classifiers.augment import augment
from synthset.classifiers.averaging import WeightAverage
from synthset.classifiers.batch_memory import check_memory
from synthset.classifiers.checkpoints import (
    EpochRecord,
    Finished,
    Job,
    Session,
    claim,
    delete_own_files,
    finish,
    read_finished,
)
from synthset.classifiers.config import TrainConfig
from synthset.classifiers.distributed import World, join
from synthset.classifiers.learned_from import DataPath
from synthset.classifiers.models import Classifier, ModelConfig, build_model, normalise, read_config, save_classifier
from synthset.classifiers.optimizers import group_weights, make_optimizer, rate_at
from synthset.classifiers.pretrained import head_weights, start_model
from synthset.classifiers.settings import Settings, as_begun, settle
from synthset.classifiers.tracking import check_trackers, told
from synthset.classifiers.training_set import (
    TrainingSet,
    channel_statistics,
    check_images,
    decoded,
    fingerprint,
    hold_back,
    read_sides,
    split_batches,
)
from synthset.core.cpu import tune_for_cpu
from synthset.core.devices import choose_device, seeded
from synthset.core.errors import ModelError, UsageError, setting, some
from synthset.core.files import delete_parts
from synthset.core.json_records import Count, Share
from synthset.core.options import job_of
from synthset.core.progress import track
from synthset.core.seeds import derive_seed
from synthset.images.imageset import ImageSet
from synthset.images.sketch import Sketch, hash_files

log = logging.getLogger("synthset")

CUDA_GRAPH_WEIGHTS = 30_000_000  # up to so many, kernels of small images are short beside their launch
# what was so before there were recipes, for trainings of that time
BEFORE_RECIPES = {"optimizer": "adamw", "decay_all": True, "warmup_epochs": 0.0, "ema_decay": 0.0, "conv_stem": False}


@dataclass(frozen=True)
class TrainResult:
    """A finished training: what was kept and why. The classifier lies in `folder`.

    Attributes:
        folder: holds model.safetensors, config.json and training.json.
        model_config: with it, load_classifier(folder) makes the same predictions.
        chosen: the epoch that was kept: on the held-back synthetic images none was better beyond chance.
        num_training, num_held_back: synthetic images that were learned from, and chosen by; where none was held back,
            the last epoch was kept.
        seconds: spent on training, over all sessions.
        history: every epoch.
        was_finished: the folder already held this training; nothing was done.
        chance: share of the held-back images in their largest class, which naming that class alone gets right; None
            where none was held back, and for a training by an earlier version.
    """

    folder: Path
    model_config: ModelConfig
    chosen: EpochRecord
    num_training: int
    num_held_back: int
    seconds: float
    history: tuple[EpochRecord, ...]
    was_finished: bool = False
    chance: float | None = None


@dataclass(frozen=True)
class _Note(Finished):
    num_training: Count
    chance: Share | None = None


def train_classifier(
    images: ImageSet,
    config: TrainConfig,
    output_dir: Path | str,
    *,
    resume: bool = True,
    overwrite: bool = False,
    data: DataPath | None = None,
    when_ready: Callable[[ImageSet, Settings], object] = lambda images, settings: None,
    when_decoded: Callable[[], object] = lambda: None,
) -> TrainResult:
    """Train on `images` and save the best checkpoint in `output_dir`.

    The same call again resumes an interrupted training, and returns at once when it was finished.
    Args:
        images: synthetic images; part of each class is held back (`config.validation_fraction`).
        resume: without it, a folder that holds a training is refused.
        overwrite: a classifier in the folder is replaced, whatever it is; other files are never touched.
        data: where the images lie, for training.json; None where they have no path.
        when_ready: is given the images and how they are learned from when they are about to be decoded, by the first
            process alone.
        when_decoded: is called when the images are no longer read.
    Raises:
        UsageError: a setting or folder that cannot be right; UnknownNameError, ConfigChangedError likewise.
        DataError: classes without enough images, or unreadable images.
        ModelError: the loss became infinite or not a number.
    """
    check_images(images, config.validation_fraction)
    folder = Path(output_dir)
    if isinstance(config, Settings):
        settings = config
    else:
        settings = settle(config if overwrite else as_begun(config, folder), images)
    check_trackers(settings.tracker)
    world = join(settings.device)
    if world.device.type == "cpu":
        tune_for_cpu()
    if settings.compile and world.size > 1:
        raise UsageError(f"Expected {setting('compile')} or several processes, got both ({world.size}). Drop one.")
    job = Job(
        _job_of(settings), world.from_first(lambda: fingerprint(images)), {**job_of(TrainConfig()), **BEFORE_RECIPES}
    )
    with claim(folder, job, resume=resume, overwrite=overwrite, from_first=world.from_first):
        if overwrite or not read_finished(_Note, folder):
            if world.is_first:
                _warn_of_sizes(images)
                when_ready(images, settings)
            about = {"images": images.name, "data": data.to_json() if data else None}
            _train_in(folder, job, images, settings, world, when_decoded, about, overwrite=overwrite)
            return read_result(folder, was_finished=False)
        return read_result(folder, was_finished=True)


def _train_in(
    folder: Path,
    job: Job,
    images: ImageSet,
    settings: Settings,
    world: World,
    when_decoded: Callable[[], object],
    about: dict[str, Any],
    *,
    overwrite: bool,
) -> None:
    """Train to the end in a folder that is free, or holds this very training; `about` it stands in training.json."""
    training_rows, held_back_rows = hold_back(images.labels, settings.validation_fraction, settings.seed)
    model, model_config = new_model(images, settings)
    world.wait()  # none has yet to look at the folder when the first one writes there
    if world.is_first:
        delete_parts(folder)
    with decoded(
        images, model_config.image_size_px, settings.antialias, folder, world, settings.memory_bytes
    ) as pixels:
        learned_from = Sketch.of(hash_files(images)) if world.is_first else None
        targets = _targets(images, settings)
        when_decoded()
        if settings.normalisation == "dataset" and settings.start is None:
            mean, std = channel_statistics(pixels, training_rows)
            model_config = replace(model_config, mean=mean, std=std)
        if world.is_first and overwrite:
            delete_own_files(folder)
        world.wait()
        model = world.prepare(model)
        optimizer, average = new_optimizer(model, settings)
        session = Session(folder, job, model, optimizer, len(held_back_rows), average)
        session.restore()
        world.wait()  # none has yet to read the checkpoint when the first one writes the next
        labels = torch.from_numpy(np.ascontiguousarray(images.labels))
        parts = torch.from_numpy(training_rows), torch.from_numpy(held_back_rows)
        data = TrainingSet(pixels, labels, *parts, targets)
        _train(session, data.to(world.device), model_config, settings, world)
    if learned_from is not None:
        counts = {"num_training": len(training_rows), "num_held_back": len(held_back_rows)}
        judged = images.labels[held_back_rows]
        chance = float(np.bincount(judged).max() / len(judged)) if len(judged) else None
        chosen_by = "held-back images" if len(judged) else "being the last, as no images were held back"
        about |= {**counts, "chance": chance, "chosen_by": chosen_by, "learned_from": asdict(learned_from)}
        finish(session, partial(save_classifier, folder, model, model_config), about)
    world.wait()


def new_model(images: ImageSet, settings: Settings) -> tuple[nn.Module, ModelConfig]:
    """The network that a training begins with, on the CPU, and its config. Raises UsageError, ModelError."""
    model_config = _model_config(images, settings)
    seed = derive_seed(settings.seed, "weights")
    model = start_model(model_config, settings.start, seed) if settings.start else build_model(model_config, seed)
    _freeze(model, settings)
    _check_batch_size(model, settings)
    if choose_device(settings.device).type == "cpu" and not settings.freeze:
        count = min(settings.batch_size, len(images))
        check_memory(model, count, model_config.image_size_px, 2 if settings.precision == "bf16" else 4)
    return model, model_config


def new_optimizer(model: nn.Module, settings: Settings) -> tuple[torch.optim.Optimizer, WeightAverage | None]:
    """The optimiser of a network, and the moving average that its steps go into, if there is to be one."""
    groups = group_weights(model, settings.weight_decay, settings.layer_decay, decay_all=settings.decay_all)
    optimizer, average = make_optimizer(settings.optimizer, groups, settings.learning_rate), None
    if settings.ema_decay:
        average = WeightAverage(model, settings.ema_decay)
        optimizer.register_step_post_hook(lambda *_: average.update())
    return optimizer, average


def read_result(folder: Path, was_finished: bool) -> TrainResult:
    """The finished training in `folder`. Raises ModelError if there is none."""
    note = read_finished(_Note, folder)
    if note is None:
        raise ModelError(f"Expected a finished training in '{folder}', found none. Run 'synthset train' first.")
    return TrainResult(folder=folder, model_config=read_config(folder), **note.of_result(), was_finished=was_finished)


# ---- the loop ----------------------------------------------------------------------------------------


def _train(session: Session, data: TrainingSet, model_config: ModelConfig, settings: Settings, world: World) -> None:
    model = world.wrap(compile_model(session.model, world.device) if settings.compile else session.model)
    num_images = len(data.training_rows)
    what = f"train {settings.architecture}"
    trackers = settings.tracker if world.is_first else ()
    with (
        told(session.folder, trackers, session.job.config, session.history) as tell,
        track(settings.epochs * num_images, what, done=len(session.history) * num_images) as bar,
    ):
        for epoch in range(len(session.history), settings.epochs):
            started = time.monotonic()
            with _compiler_errors(settings):
                learning_rate, train_loss = train_epoch(
                    model, session.optimizer, data, model_config, settings, epoch, bar.advance, world
                )
            if not math.isfinite(train_loss):
                raise ModelError(
                    f"Expected a finite loss, got {train_loss} in epoch {epoch + 1} of '{session.folder}'. "
                    f"Choose a learning rate below {settings.learning_rate:g}, or {setting('max_grad_norm', 1)}."
                )
            with session.average.in_place() if session.average else nullcontext():
                loss, accuracy = _score_held_back(session.model, data, model_config, settings, world)
                seconds = time.monotonic() - started
                session.record(EpochRecord(epoch + 1, train_loss, loss, accuracy, learning_rate, seconds))
            judged = f", held-back {accuracy:.1%}" if accuracy is not None else f", loss {train_loss:.3g}"
            bar.describe(f"{what}, epoch {epoch + 1}/{settings.epochs}{judged}")
            if world.is_first:
                tell(session.history[-1])
                session.save()


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: TrainingSet,
    model_config: ModelConfig,
    settings: Settings,
    epoch: int,
    advance: Callable[[int], None],
    world: World | None = None,
) -> tuple[float, float]:
    """One pass over the training images, in the order and with the draws of (seed, epoch).

    Args:
        model: as `world` wrapped it.
        advance: told the number of images after each step.
        world: the processes that share the work; this one alone by default.
    Returns:
        The learning rate of the first step, and the mean loss over the images.
    """
    device = next(model.parameters()).device
    world = world or World(device)
    order = torch.Generator().manual_seed(derive_seed(settings.seed, "order", epoch))
    draws = torch.Generator(device).manual_seed(derive_seed(settings.seed, "augmentation", epoch))
    shuffled = data.training_rows[torch.randperm(len(data.training_rows), generator=order)]
    batches = split_batches(shuffled, settings.batch_size)
    first_step, num_steps = epoch * len(batches), settings.epochs * len(batches)
    warmup_steps = min(round(settings.warmup_epochs * len(batches)), num_steps // 2)
    rate = partial(rate_at, highest=settings.learning_rate, warmup_steps=warmup_steps, num_steps=num_steps)
    is_bf16 = settings.precision == "bf16" or (settings.precision == "auto" and device.type == "cuda")
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=is_bf16)

    model.train(not settings.freeze)  # frozen layers keep their statistics too
    total_loss = torch.zeros((), device=device)
    with seeded(derive_seed(settings.seed, "dropout", epoch), device):  # dropout takes no generator
        for step, batch in enumerate(batches, first_step):
            rows, share = world.take(batch)
            images, labels = data.read(rows, device)
            varied = augment(images, settings.augmentation, draws, share, settings.native_px)
            pixels = normalise(varied, model_config)
            with autocast:
                loss = world.mean_loss(model(pixels), labels, len(batch), settings.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if settings.max_grad_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            for group in optimizer.param_groups:
                group["lr"] = rate(step) * group.get("lr_scale", 1.0)
            optimizer.step()
            total_loss += loss.detach() * len(batch)
            advance(len(batch))
    return rate(first_step), world.mean(total_loss).item() / len(shuffled)


def _score_held_back(
    model: nn.Module, data: TrainingSet, model_config: ModelConfig, settings: Settings, world: World
) -> tuple[float | None, float | None]:
    """Mean cross-entropy and accuracy on the held-back images, as they are; each process predicts its part."""
    held_back, batch_size = data.held_back_rows, max(settings.batch_size, 256)
    if not len(held_back):
        return None, None
    classifier = Classifier(model_config, model)
    rows, share = world.take(held_back)
    scores = torch.zeros(2, len(held_back))  # of each image the loss, and whether it is named right
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size].to(data.pixels.device)
        images, labels = data.pixels.index_select(0, batch), data.labels[batch].cpu()  # whatever a teacher says
        logits = classifier.predict(images, batch_size)
        some = slice(share.start + start, share.start + start + len(images))
        scores[0, some] = F.cross_entropy(logits, labels, reduction="none")
        scores[1, some] = (logits.argmax(1) == labels).float()
    losses, right = world.sum(scores.to(world.device)).cpu()
    return losses.mean().item(), int(right.sum()) / len(right)


def compile_model(model: nn.Module, device: torch.device) -> nn.Module:
    """The network compiled for each shape of a batch, of which there are two: the last one of an epoch is smaller."""
    num_weights = sum(parameter.numel() for parameter in model.parameters())
    with_graphs = device.type == "cuda" and num_weights <= CUDA_GRAPH_WEIGHTS
    # dropout as without compiling, so that a training is the same up to rounding
    compiled = torch.compile(model, dynamic=False, options={"fallback_random": True, "triton.cudagraphs": with_graphs})
    return cast("nn.Module", compiled)


@contextmanager
def _compiler_errors(settings: Settings) -> Iterator[None]:
    """Errors of torch.compile, as one line."""
    if not settings.compile:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException  # slow to import

    try:
        yield
    except TorchDynamoException as error:
        reason = " ".join(str(error).strip().splitlines()[:2])
        raise ModelError(f"'{settings.architecture}' cannot be compiled ({reason}). Train without it.") from error


# ---- settings and inputs -----------------------------------------------------------------------------


def _warn_of_sizes(images: ImageSet) -> None:
    sides = read_sides(images)
    if sides.far:
        log.warning(
            "'%s' has images of %d px as the median, and others far from it, which the model sees at one size: %s",
            images.name,
            sides.median_px,
            some(sides.far),
        )


def _job_of(settings: Settings) -> dict[str, Any]:
    """What makes it another training: of weights and a teacher, what they are and not where they lie."""
    models = {"weights": settings.start, "teacher": settings.taught_by}
    return job_of(settings) | {name: model.identity for name, model in models.items() if model is not None}


def _targets(images: ImageSet, settings: Settings) -> Tensor | None:
    """What is learned in place of labels, where there is a teacher."""
    if settings.taught_by is None:
        return None
    return settings.taught_by.targets(images, settings.teacher_share, settings.teacher_temperature)


def _freeze(model: nn.Module, settings: Settings) -> None:
    """Let the head alone learn, if it is to be so."""
    if settings.freeze:
        head = head_weights(model)
        for weight in model.parameters():
            weight.requires_grad_(weight in head)


def _check_batch_size(model: nn.Module, settings: Settings) -> None:
    has_batch_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if settings.batch_size == 1 and has_batch_norm:
        raise UsageError(
            f"Expected {setting('batch_size')} of at least 2 for '{settings.architecture}', whose BatchNorm compares "
            "the images of a batch, got 1."
        )


def _model_config(images: ImageSet, settings: Settings) -> ModelConfig:
    start = settings.start
    of_start = {"mean": start.mean, "std": start.std} if start else {}
    seen = "; ".join(model.seen for model in (start, settings.taught_by) if model is not None)
    return ModelConfig(
        architecture=settings.architecture,
        class_names=tuple(images.class_names),
        image_size_px=settings.image_size_px,
        small_images=settings.small_images,
        conv_stem=settings.conv_stem,
        antialias=settings.antialias,
        normalisation=settings.normalisation,
        seen=seen,
        **of_start,
    )
