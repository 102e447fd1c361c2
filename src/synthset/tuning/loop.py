"""The steps of tuning: an optimiser along one cosine, and which epoch is kept.

There is no test set here, so none can leak into a choice. An epoch's draws follow from (seed, epoch), so tuning is
interrupted and resumed without a trace, see classifiers/checkpoints.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthset.classifiers.augment import augment, to_float
from synthset.classifiers.checkpoints import EpochRecord, Session
from synthset.classifiers.optimizers import rate_at
from synthset.core.errors import ModelError
from synthset.core.progress import track
from synthset.core.seeds import derive_seed
from synthset.tuning.config import METHODS, TuneConfig
from synthset.tuning.encoder_tuning import TunedModel
from synthset.tuning.losses import LOSSES
from synthset.tuning.phases import Phase, Source

PIXEL_BATCH, VECTOR_BATCH = 128, 8192  # images at once that are scored

Schedule = Callable[[int, int, float], float]  # from epoch, step, and the rate at the start


@dataclass(frozen=True)
class StepInfo:
    """A step, for those who watch: its number, its learning rate, and the images of each kind."""

    step: int
    learning_rate: float
    num_images: dict[str, int]


def run(
    session: Session,
    phases: Sequence[Phase],
    teacher: nn.Linear,
    config: TuneConfig,
    watch: Callable[[StepInfo], None] | None = None,
) -> None:
    """Tune the session's model through all phases; what was done before is not done again.

    Args:
        teacher: the zero-shot classifier, for soft targets.
        watch: is told of every step.
    Raises:
        ModelError: the loss became infinite or not a number.
    """
    epochs = [phase for phase in phases for _ in range(phase.epochs)]
    *starts, total_steps = accumulate((phase.steps_per_epoch for phase in epochs), initial=0)
    judges = [source for phase in phases for source in phase.sources if len(source.held_back)]
    rate_of = _schedule(config, len(epochs), total_steps)
    done = len(session.history)
    with track(total_steps, f"tune {config.clip}", "steps", done=[*starts, total_steps][done]) as bar:
        for epoch, (phase, first_step) in list(enumerate(zip(epochs, starts, strict=True)))[done:]:
            started = time.monotonic()
            train_loss = _tune_epoch(session, phase, epoch, first_step, rate_of, teacher, config, watch)
            if not math.isfinite(train_loss):
                raise ModelError(
                    f"Expected a finite loss, got {train_loss} in epoch {epoch + 1} of '{session.folder}'. "
                    f"Choose a learning rate below {config.learning_rate:g}."
                )
            loss, accuracy = _score(session.model, judges[0]) if judges else (None, None)
            rate = rate_of(epoch, first_step, config.learning_rate or 0.0)
            session.record(EpochRecord(epoch + 1, train_loss, loss, accuracy, rate, time.monotonic() - started))
            session.save()
            bar.advance(phase.steps_per_epoch)


OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]], float], torch.optim.Optimizer]] = {
    "adamw": lambda groups, decay: torch.optim.AdamW(groups, betas=(0.9, 0.999), weight_decay=decay),
    "sgd": lambda groups, decay: torch.optim.SGD(groups, momentum=0.9, weight_decay=decay),
}


def make_optimizer(model: TunedModel, config: TuneConfig) -> torch.optim.Optimizer:
    """The method's optimiser over the classifier, and over what is tuned of the encoder at a rate of its own."""
    groups = [{"params": list(model.head.parameters()), "lr": config.learning_rate, "start": config.learning_rate}]
    encoder = [p for p in model.encoder.parameters() if p.requires_grad] if model.encoder is not None else []
    if encoder:
        rate = config.encoder_learning_rate
        groups.append({"params": encoder, "lr": rate, "start": rate})
    return OPTIMIZERS[METHODS[config.method].optimizer](groups, config.weight_decay or 0.0)


def _schedule(config: TuneConfig, num_epochs: int, num_steps: int) -> Schedule:
    """The method's learning rates."""
    warm_up = METHODS[config.method].warm_up_rate
    if warm_up is None:
        return lambda epoch, step, start: rate_at(step, start, 0, num_steps)
    return lambda epoch, step, start: rate_at(epoch - 1, start, 0, num_epochs) if epoch else warm_up


def _tune_epoch(
    session: Session,
    phase: Phase,
    epoch: int,
    first_step: int,
    rate_of: Schedule,
    teacher: nn.Linear,
    config: TuneConfig,
    watch: Callable[[StepInfo], None] | None,
) -> float:
    """One epoch; gives the mean loss of its steps."""
    model, optimizer = session.model, session.optimizer
    device = next(model.parameters()).device
    draws = torch.Generator(device).manual_seed(derive_seed(config.seed, "augmentation", epoch))
    streams = {source: source.batches(config.seed, epoch) for source in phase.sources}
    tuned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    total_loss = torch.zeros((), device=device)
    model.train()
    for step in range(first_step, first_step + phase.steps_per_epoch):
        optimizer.zero_grad(set_to_none=True)
        batches = {source: next(stream) for source, stream in streams.items()}
        loss = torch.zeros((), device=device)
        for source, rows in batches.items():
            loss = loss + source.weight * _loss(model, source, rows, draws, teacher, config)
        loss.backward()
        if config.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(tuned, config.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = rate_of(epoch, step, group["start"])
        optimizer.step()
        total_loss += loss.detach()
        if watch is not None:
            images = {source.kind: len(rows) for source, rows in batches.items()}
            watch(StepInfo(step, optimizer.param_groups[0]["lr"], images))
    return total_loss.item() / phase.steps_per_epoch


def _loss(
    model: nn.Module, source: Source, rows: np.ndarray, draws: torch.Generator, teacher: nn.Linear, config: TuneConfig
) -> Tensor:
    """The loss of one batch of one source."""
    loss = LOSSES[source.loss]
    inputs, labels = source.read(rows, draws.device)
    if source.pixels is not None:
        inputs = augment(inputs, config.augmentation, draws, native_px=source.native_px)
    with torch.no_grad():
        teacher_logits = teacher(source.features.read(rows).to(draws.device)) if loss.has_teacher else None
    return loss.apply(model(inputs), labels, teacher_logits, config.soft_share, config.temperature)


@torch.no_grad()
def _score(model: nn.Module, source: Source) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on the held-back images of a source, as they are."""
    device = next(model.parameters()).device
    model.eval()
    loss, correct = 0.0, 0
    for rows in torch.from_numpy(source.held_back).split(VECTOR_BATCH if source.pixels is None else PIXEL_BATCH):
        inputs, labels = source.read(rows.numpy(), device)
        logits, labels = model(inputs if source.pixels is None else to_float(inputs)).float().cpu(), labels.cpu()
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += int((logits.argmax(1) == labels).sum())
    return loss / len(source.held_back), correct / len(source.held_back)
