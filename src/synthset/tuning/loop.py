"""The steps of tuning: AdamW along one cosine, and which epoch is kept.

There is no test set here, so none can leak into a choice. An epoch's draws follow from (seed, epoch), so tuning is
interrupted and resumed without a trace, see classifiers/checkpoints.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthset.classifiers.augment import augment, to_float
from synthset.classifiers.checkpoints import EpochRecord, Session
from synthset.classifiers.models import plain_state
from synthset.classifiers.train import cosine
from synthset.core.errors import ModelError
from synthset.core.progress import track
from synthset.core.seeds import derive_seed
from synthset.tuning.config import TuneConfig
from synthset.tuning.encoder_tuning import TunedModel
from synthset.tuning.losses import LOSSES
from synthset.tuning.phases import Phase, Source

SCORE_BATCH = {True: 128, False: 8192}  # images at once that are scored, of pixels and of vectors


@dataclass(frozen=True)
class StepInfo:
    """A step, for those who watch: its number, its learning rate, and the images of each kind."""

    step: int
    learning_rate: float
    num_images: dict[str, int]


@dataclass
class TuneSession(Session):
    """A training session whose last epoch is kept where no image is held back.

    Attributes:
        watch: is called after every step.
    """

    watch: Callable[[StepInfo], None] | None = field(default=None, repr=False)

    def record(self, epoch: EpochRecord) -> None:
        """Add a finished epoch, and keep its weights if it is the one to keep so far."""
        if self.num_held_back:
            return super().record(epoch)
        self.history.append(epoch)
        self.best, self.best_state = epoch, plain_state(self.model)
        return None


def run(
    session: TuneSession, phases: Sequence[Phase], held_back: Source | None, teacher: nn.Linear, config: TuneConfig
) -> None:
    """Tune the session's model through all phases; what was done before is not done again.

    Args:
        held_back: images that the epoch is chosen by, in `rows`; None keeps the last.
        teacher: the zero-shot classifier, for soft targets.
    Raises:
        ModelError: the loss became infinite or not a number.
    """
    total_steps = sum(phase.num_steps for phase in phases)
    starts = np.cumsum([0, *(phase.num_steps for phase in phases)]).tolist()
    epochs = [
        (phase, start + epoch * phase.steps_per_epoch)
        for phase, start in zip(phases, starts, strict=False)
        for epoch in range(phase.epochs)
    ]
    with track(total_steps, f"tune {config.clip}", "steps") as bar:
        for epoch, (phase, first_step) in enumerate(epochs):
            if epoch < len(session.history):
                bar.advance(phase.steps_per_epoch)
                continue
            started = time.monotonic()
            train_loss = _tune_epoch(session, phase, epoch, first_step, total_steps, teacher, config)
            bar.advance(phase.steps_per_epoch)
            if not math.isfinite(train_loss):
                raise ModelError(
                    f"Expected a finite loss, got {train_loss} in epoch {epoch + 1} of '{session.folder}'. "
                    f"Choose a learning rate below {config.learning_rate:g}."
                )
            loss, accuracy = _score(session.model, held_back) if held_back else (math.nan, math.nan)
            rate = cosine(config.learning_rate or 0.0, first_step, total_steps)
            session.record(EpochRecord(epoch + 1, train_loss, loss, accuracy, rate, time.monotonic() - started))
            session.save()


def make_optimizer(model: TunedModel, config: TuneConfig) -> torch.optim.AdamW:
    """AdamW over the classifier, and over what is tuned of the encoder at a rate of its own."""
    groups = [{"params": list(model.head.parameters()), "lr": config.learning_rate, "start": config.learning_rate}]
    encoder = [p for p in model.encoder.parameters() if p.requires_grad] if model.encoder is not None else []
    if encoder:
        rate = config.encoder_learning_rate
        groups.append({"params": encoder, "lr": rate, "start": rate})
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), weight_decay=config.weight_decay)


def _tune_epoch(
    session: TuneSession,
    phase: Phase,
    epoch: int,
    first_step: int,
    total_steps: int,
    teacher: nn.Linear,
    config: TuneConfig,
) -> float:
    """One epoch; gives the mean loss of its steps."""
    model, optimizer = session.model, session.optimizer
    device = next(model.parameters()).device
    draws = torch.Generator(device).manual_seed(derive_seed(config.seed, "augmentation", epoch))
    streams = [source.batches(config.seed, epoch) for source in phase.sources]
    tuned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    total_loss = torch.zeros((), device=device)
    model.train()
    for step in range(first_step, first_step + phase.steps_per_epoch):
        optimizer.zero_grad(set_to_none=True)
        images = {}
        loss = torch.zeros((), device=device)
        for source, stream in zip(phase.sources, streams, strict=True):
            rows = next(stream)
            loss = loss + source.weight * _loss(model, source, rows, draws, teacher, config)
            images[source.kind] = len(rows)
        loss.backward()
        nn.utils.clip_grad_norm_(tuned, config.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = cosine(group["start"], step, total_steps)
        optimizer.step()
        total_loss += loss.detach()
        if session.watch is not None:
            session.watch(StepInfo(step, optimizer.param_groups[0]["lr"], images))
    return total_loss.item() / phase.steps_per_epoch


def _loss(
    model: nn.Module, source: Source, rows: np.ndarray, draws: torch.Generator, teacher: nn.Linear, config: TuneConfig
) -> Tensor:
    """The loss of one batch of one source."""
    device = draws.device
    labels = torch.from_numpy(source.features.labels[rows]).to(device)
    loss = LOSSES[source.loss]
    vectors = source.features.read(rows).to(device) if source.pixels is None or loss.has_teacher else None
    if source.pixels is None:
        logits = model(vectors)
    else:
        logits = model(augment(source.pixels.read(rows).to(device), config.augmentation, draws))
    with torch.no_grad():
        teacher_logits = teacher(vectors) if loss.has_teacher else None
    return loss.apply(logits, labels, teacher_logits, config.soft_share, config.temperature)


@torch.no_grad()
def _score(model: nn.Module, held_back: Source) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on the held-back images, as they are."""
    device = next(model.parameters()).device
    model.eval()
    loss, correct = 0.0, 0
    size = SCORE_BATCH[held_back.pixels is not None]
    for start in range(0, len(held_back.rows), size):
        rows = held_back.rows[start : start + size]
        if held_back.pixels is None:
            inputs = held_back.features.read(rows).to(device)
        else:
            inputs = to_float(held_back.pixels.read(rows).to(device))
        logits = model(inputs).float().cpu()
        labels = torch.from_numpy(held_back.features.labels[rows])
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += int((logits.argmax(1) == labels).sum())
    return loss / len(held_back.rows), correct / len(held_back.rows)
