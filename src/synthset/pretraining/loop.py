"""The loop of a pre-training: batches to crops that vary, to a loss, to a step of the optimiser."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from synthset.classifiers.backbones import BackboneConfig
from synthset.classifiers.distributed import World
from synthset.classifiers.models import normalise
from synthset.classifiers.optimizers import rate_at
from synthset.core.devices import seeded
from synthset.core.errors import ModelError, setting
from synthset.core.progress import track
from synthset.core.seeds import derive_seed
from synthset.pretraining.learners import Learner, Part
from synthset.pretraining.methods import METHODS
from synthset.pretraining.session import PassRecord, Session
from synthset.pretraining.settings import Settings
from synthset.pretraining.streaming import Batch, Stream
from synthset.pretraining.views import Draws, vary


def run(
    session: Session, learner: Learner, stream: Stream, backbone: BackboneConfig, settings: Settings, world: World
) -> None:
    """Every step from where the session stands to the end."""
    per_epoch, size = stream.steps_per_epoch, settings.batch_size
    total = settings.epochs * per_epoch
    what = f"pretrain {settings.architecture}"
    session.network.train()
    batches = stream.batches(session.step, total, rank=world.rank, size=world.size, workers=settings.workers)
    with track(total * size, what, done=session.step * size) as bar:
        for part in parts(batches, backbone, settings, world):
            began = time.monotonic()
            rate = _rate(settings, part.step, per_epoch, total)
            loss = step(session, learner, part, rate, settings, world)
            session.step += 1
            session.loss_sum += loss
            session.seconds += time.monotonic() - began
            bar.advance(size)
            if session.step % per_epoch == 0:
                epoch = session.step // per_epoch
                first = _rate(settings, session.step - per_epoch, per_epoch, total)
                session_loss, seconds = session.loss_sum / per_epoch, session.seconds
                bar.describe(f"{what}, epoch {epoch}/{settings.epochs}, loss {session_loss:.3f}")
                if world.is_first:
                    session.end_pass(PassRecord(epoch, session_loss, first, seconds))
                else:
                    session.loss_sum = session.seconds = 0.0
            if world.is_first and session.is_due:
                session.save()


def parts(batches: Iterator[Batch], backbone: BackboneConfig, settings: Settings, world: World) -> Iterator[Part]:
    """The batches as the network sees them."""
    model, variation = backbone.as_model(), METHODS[settings.method].variation
    if not settings.mirror:
        variation = replace(variation, mirror_share=0.0)
    for batch in batches:
        views = []
        for number, (pixels, places) in enumerate(zip(batch.pixels, batch.places, strict=True)):
            draws = Draws.of(variation, batch.size, derive_seed(settings.seed, "view", number, batch.step))
            images = torch.from_numpy(pixels).to(world.device, non_blocking=True)
            views.append(normalise(vary(images, draws.at(places, world.device)), model))
        labels = torch.from_numpy(np.ascontiguousarray(batch.labels)).to(world.device)
        yield Part(batch.step, tuple(views), labels, batch.places, batch.size)


def _rate(settings: Settings, step: int, per_epoch: int, total: int) -> float:
    warmup_steps = min(round(settings.warmup_epochs * per_epoch), total // 2)
    return rate_at(step, settings.learning_rate, warmup_steps, total)


def step(session: Session, learner: Learner, part: Part, rate: float, settings: Settings, world: World) -> float:
    """One step of the optimiser; the loss, a mean over the batch."""
    is_bf16 = settings.precision == "bf16" or (settings.precision == "auto" and world.device.type == "cuda")
    cast = torch.autocast(world.device.type, torch.bfloat16) if is_bf16 else nullcontext()
    world.take(torch.arange(part.size))  # the mask of dropout is that of the whole batch
    with seeded(derive_seed(settings.seed, "dropout", part.step), world.device):
        with cast:
            loss = learner.loss(part, world)
        session.optimizer.zero_grad(set_to_none=True)
        loss.backward()
    mean_loss = world.mean(loss.detach().clone()).item()
    if not math.isfinite(mean_loss):
        raise ModelError(
            f"Expected a finite loss, got {mean_loss} in step {part.step + 1} of '{session.folder}'. Choose a learning "
            f"rate below {rate:g}, or {setting('max_grad_norm', 1)}."
        )
    weights = [weight for weight in session.network.parameters() if weight.grad is not None]
    if world.size > 1:
        for weight in weights:
            world.mean(weight.grad)  # pyright: ignore[reportArgumentType]
        for name, buffer in session.network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                world.mean(buffer)
    if settings.max_grad_norm is not None:
        nn.utils.clip_grad_norm_(weights, settings.max_grad_norm)
    for group in session.optimizer.param_groups:
        group["lr"] = rate
    session.optimizer.step()
    return mean_loss
