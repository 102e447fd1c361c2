"""Train a classifier on synthetic images; the checkpoint is chosen on held-back synthetic images.

There is no test set here, so none can leak into a choice. All images are decoded once into one uint8 tensor;
a batch is a selection of its rows, augmented as a whole on the device.

Training is interrupted and resumed without a trace: every random draw follows from (seed, purpose, epoch),
and what else a next epoch depends on is saved (see checkpoints.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from synthset.classifiers.augment import AUGMENTATIONS, augment
from synthset.classifiers.checkpoints import (
    EpochRecord,
    Session,
    check_folder,
    delete_own_files,
    finish,
    read_finished,
)
from synthset.classifiers.models import (
    NORMALISATIONS,
    Classifier,
    ModelConfig,
    build_model,
    normalise,
    read_config,
    resolve_architecture,
)
from synthset.classifiers.training_set import (
    TrainingSet,
    channel_statistics,
    check_images,
    fingerprint,
    hold_back,
    split_batches,
)
from synthset.devices import choose_device
from synthset.errors import ModelError, UnknownNameError, UsageError
from synthset.files import delete_parts
from synthset.imageset import ImageSet
from synthset.progress import track
from synthset.seeds import derive_seed

PRECISIONS = ("auto", "float32", "bf16")


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are the recipe of Shipard et al. 2023, section 5.1.

    Attributes:
        architecture: a key of models.ARCHITECTURES or any timm name, in any spelling.
        dataset: name of the real data that the synthetic images stand for; picks the weight decay.
        epochs, batch_size: passes over the training images; images a step.
        learning_rate: of AdamW at the start; a cosine takes it to zero, step by step.
        weight_decay: of AdamW, on all weights; None is the paper's (see `paper_weight_decay`).
        label_smoothing: probability spread over all classes, in [0, 1).
        max_grad_norm: gradients are scaled down to this norm, where given.
        augmentation: a key of augment.AUGMENTATIONS.
        normalisation: a key of models.NORMALISATIONS.
        image_size_px, small_images, antialias: see models.ModelConfig.
        validation_fraction: share of each class's images that is held back to choose the checkpoint.
        seed: of initial weights, held-back images, order, augmentation and dropout.
        device: 'auto' (the GPU where there is one), 'cpu', 'cuda', …
        precision: 'float32', 'bf16' (autocast) or 'auto' (bf16 on a GPU, float32 on a CPU).
    """

    architecture: str = "resnet50"
    dataset: str | None = None
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 2e-4
    weight_decay: float | None = None
    label_smoothing: float = 0.0
    max_grad_norm: float | None = None
    augmentation: str = "standard"
    normalisation: str = "dataset"
    image_size_px: int = 32
    small_images: bool = False
    antialias: bool = True
    validation_fraction: float = 0.1
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class TrainResult:
    """A finished training: what was kept and why. The classifier lies in `folder`.

    Attributes:
        folder: holds model.safetensors, config.json and training.json.
        model_config: with it, load_classifier(folder) makes the same predictions.
        chosen: the epoch that was kept: on the held-back synthetic images none was better beyond chance.
        num_training, num_held_back: synthetic images that were learned from, and chosen by.
        seconds: spent on training, over all sessions.
        history: every epoch.
        was_finished: the folder already held this training; nothing was done.
    """

    folder: Path
    model_config: ModelConfig
    chosen: EpochRecord
    num_training: int
    num_held_back: int
    seconds: float
    history: tuple[EpochRecord, ...]
    was_finished: bool = False


def train_classifier(
    images: ImageSet,
    config: TrainConfig,
    output_dir: Path | str,
    *,
    resume: bool = True,
    overwrite: bool = False,
) -> TrainResult:
    """Train on `images` from random initialisation and save the best checkpoint in `output_dir`.

    The same call again resumes an interrupted training, and returns at once when it was finished.
    Args:
        images: synthetic images; part of each class is held back (`config.validation_fraction`).
        resume: without it, a folder that holds a training is refused.
        overwrite: a classifier in the folder is replaced, whatever it is; other files are never touched.
    Raises:
        UsageError: a setting or folder that cannot be right; UnknownNameError, ConfigChangedError likewise.
        DataError: classes without enough images, or unreadable images.
        ModelError: the loss became infinite or not a number.
    """
    config = _resolve(config)
    check_images(images)
    device = choose_device(config.device)
    folder = Path(output_dir)
    job = {"config": _comparable(config), "fingerprint": fingerprint(images)}
    check_folder(folder, job, resume, overwrite)
    if not overwrite and (note := read_finished(folder)):
        return _to_result(folder, read_config(folder), note, was_finished=True)

    training_rows, held_back_rows = hold_back(images.labels, config.validation_fraction, config.seed)
    model_config = _model_config(images, config)
    model = build_model(model_config, derive_seed(config.seed, "weights"))
    _check_batch_size(model, config)
    pixels = images.tensor(config.image_size_px, config.antialias)  # NCHW uint8
    if config.normalisation == "dataset":
        mean, std = channel_statistics(pixels, training_rows)
        model_config = replace(model_config, mean=mean, std=std)

    if overwrite:
        delete_own_files(folder)
    folder.mkdir(parents=True, exist_ok=True)
    delete_parts(folder)
    session = Session(folder, job, model.to(device), _make_optimizer(model, config), len(held_back_rows))
    session.restore()
    labels = torch.from_numpy(np.ascontiguousarray(images.labels))
    data = TrainingSet(pixels, labels, torch.from_numpy(training_rows), torch.from_numpy(held_back_rows))
    _train(session, data.to(device), model_config, config)
    note = finish(session, model_config, images.name, len(training_rows), len(held_back_rows))
    return _to_result(folder, model_config, note, was_finished=False)


def paper_weight_decay(architecture: str, dataset: str | None) -> float:
    """The weight decay of Shipard et al. 2023, section 5.1: by architecture first, then by dataset."""
    if architecture.startswith("mobilenetv3"):
        return 0.1
    return 0.3 if "eurosat" in (dataset or "").lower() else 0.9


# ---- the loop ----------------------------------------------------------------------------------------


def _train(session: Session, data: TrainingSet, model_config: ModelConfig, config: TrainConfig) -> None:
    num_images = len(data.training_rows)
    what = f"train {config.architecture}"
    with track(config.epochs * num_images, what, "images") as bar:
        bar.advance(len(session.history) * num_images)
        for epoch in range(len(session.history), config.epochs):
            started = time.monotonic()
            learning_rate, train_loss = train_epoch(
                session.model, session.optimizer, data, model_config, config, epoch, bar.advance
            )
            if not math.isfinite(train_loss):
                raise ModelError(
                    f"Expected a finite loss, got {train_loss} in epoch {epoch + 1} of '{session.folder}'. "
                    f"Choose a learning rate below {config.learning_rate:g}, or limit max_grad_norm to 1."
                )
            loss, accuracy = _score_held_back(session.model, data, model_config, config)
            seconds = time.monotonic() - started
            session.record(EpochRecord(epoch + 1, train_loss, loss, accuracy, learning_rate, seconds))
            bar.describe(f"{what}, epoch {epoch + 1}/{config.epochs}, held-back {accuracy:.1%}")
            session.save()


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: TrainingSet,
    model_config: ModelConfig,
    config: TrainConfig,
    epoch: int,
    advance: Callable[[int], None],
) -> tuple[float, float]:
    """One pass over the training images, in the order and with the draws of (seed, epoch).

    Returns:
        The learning rate of the first step, and the mean loss over the images.
    """
    device = next(model.parameters()).device
    order = torch.Generator().manual_seed(derive_seed(config.seed, "order", epoch))
    draws = torch.Generator(device).manual_seed(derive_seed(config.seed, "augmentation", epoch))
    shuffled = data.training_rows[torch.randperm(len(data.training_rows), generator=order)]
    batches = split_batches(shuffled, config.batch_size)
    first_step, num_steps = epoch * len(batches), config.epochs * len(batches)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=_is_bf16(config.precision, device))

    model.train()
    total_loss = torch.zeros((), device=device)
    with _own_random_state(device, derive_seed(config.seed, "dropout", epoch)):
        for step, rows in enumerate(batches, first_step):
            rows = rows.to(data.pixels.device)
            images = data.pixels[rows].to(device)  # NCHW uint8
            labels = data.labels[rows].to(device)
            pixels = normalise(augment(images, config.augmentation, draws), model_config)
            with autocast:
                loss = F.cross_entropy(model(pixels), labels, label_smoothing=config.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if config.max_grad_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            _set_learning_rate(optimizer, cosine(config.learning_rate, step, num_steps))
            optimizer.step()
            total_loss += loss.detach() * len(rows)
            advance(len(rows))
    return cosine(config.learning_rate, first_step, num_steps), total_loss.item() / len(shuffled)


def _score_held_back(
    model: nn.Module, data: TrainingSet, model_config: ModelConfig, config: TrainConfig
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on the held-back images, as they are."""
    rows = data.held_back_rows.to(data.pixels.device)
    logits = Classifier(model_config, model).predict(data.pixels[rows], max(config.batch_size, 256))
    labels = data.labels[rows].cpu()
    correct = int((logits.argmax(1) == labels).sum())
    return F.cross_entropy(logits, labels).item(), correct / len(labels)


def cosine(learning_rate: float, step: int, num_steps: int) -> float:
    """Half a cosine from `learning_rate` at step 0 to zero at `num_steps`."""
    return learning_rate * (1 + math.cos(math.pi * step / num_steps)) / 2


def _set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def _make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    device = next(model.parameters()).device
    return torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay or 0.0,
        fused=device.type in ("cpu", "cuda"),
    )


def _is_bf16(precision: str, device: torch.device) -> bool:
    return precision == "bf16" or (precision == "auto" and device.type == "cuda")


@contextmanager
def _own_random_state(device: torch.device, seed: int) -> Iterator[None]:
    """Dropout has no generator argument: seed the global state for a while, then put it back."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        with torch.cuda.device(device) if on_gpu else nullcontext():
            if on_gpu:
                torch.cuda.manual_seed(seed)
            yield


# ---- settings and inputs -----------------------------------------------------------------------------


def _resolve(config: TrainConfig) -> TrainConfig:
    """Names in their one spelling, defaults filled in, every value checked."""
    architecture = resolve_architecture(config.architecture)
    for kind, name, valid in (
        ("augmentation", config.augmentation, AUGMENTATIONS),
        ("normalisation", config.normalisation, NORMALISATIONS),
        ("precision", config.precision, PRECISIONS),
    ):
        if name not in valid:
            raise UnknownNameError(kind, name, valid)
    weight_decay = config.weight_decay
    if weight_decay is None:
        weight_decay = paper_weight_decay(architecture, config.dataset)
    held_back, norm = config.validation_fraction, config.max_grad_norm
    for name, value, is_valid, expected in (
        ("epochs", config.epochs, config.epochs >= 1, "at least 1"),
        ("batch_size", config.batch_size, config.batch_size >= 1, "at least 1"),
        ("image_size_px", config.image_size_px, config.image_size_px >= 1, "at least 1"),
        ("learning_rate", config.learning_rate, 0 < config.learning_rate < math.inf, "above 0"),
        ("weight_decay", weight_decay, 0 <= weight_decay < math.inf, "at least 0"),
        ("label_smoothing", config.label_smoothing, 0 <= config.label_smoothing < 1, "in [0, 1)"),
        ("validation_fraction", held_back, 0 < held_back < 1, "above 0 and below 1"),
        ("max_grad_norm", norm, norm is None or norm > 0, "above 0, or none"),
    ):
        if not is_valid:
            raise UsageError(f"Expected {name} {expected}, got {value}.")
    return replace(config, architecture=architecture, weight_decay=weight_decay)


def _check_batch_size(model: nn.Module, config: TrainConfig) -> None:
    has_batch_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if config.batch_size == 1 and has_batch_norm:
        raise UsageError(
            f"Expected batch_size of at least 2 for '{config.architecture}', whose BatchNorm compares the "
            "images of a batch, got 1."
        )


def _model_config(images: ImageSet, config: TrainConfig) -> ModelConfig:
    return ModelConfig(
        architecture=config.architecture,
        class_names=tuple(images.class_names),
        image_size_px=config.image_size_px,
        small_images=config.small_images,
        antialias=config.antialias,
        normalisation=config.normalisation,
    )


def _comparable(config: TrainConfig) -> dict[str, Any]:
    """What makes two trainings the same; where they run does not."""
    return {name: value for name, value in asdict(config).items() if name != "device"}


def _to_result(folder: Path, model_config: ModelConfig, note: dict[str, Any], was_finished: bool) -> TrainResult:
    return TrainResult(
        folder=folder,
        model_config=model_config,
        chosen=EpochRecord(**note["chosen"]),
        num_training=note["num_training"],
        num_held_back=note["num_held_back"],
        seconds=note["seconds"],
        history=tuple(EpochRecord(**epoch) for epoch in note["history"]),
        was_finished=was_finished,
    )
