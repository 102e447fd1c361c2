"""MoCo: the loss by its formula, the queue as a list of keys, a whole step beside a plain one, batch norm in groups."""

import copy
import dataclasses
import json
import math
import os
import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from synthset.classifiers.distributed import World
from synthset.classifiers.optimizers import group_weights, make_optimizer
from synthset.core.errors import ModelError
from synthset.pretraining import loop
from synthset.pretraining.learners import MocoLearner, Part
from synthset.pretraining.moco import MoCo
from synthset.pretraining.session import RecordedJob, Session
from synthset.pretraining.settings import Settings
from synthset.pretraining.split_norm import SplitBatchNorm, split_norms

WORLD = World(torch.device("cpu"))
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "pretraining.py"
PEERS = Path(sys.prefix) / "peers"  # lightly, apart from the environment: see the Makefile
SETTINGS = Settings(
    method="moco", architecture="small_cnn", image_size_px=6, epochs=1, learning_rate=0.1, warmup_epochs=0,
    batch_size=8, queue_size=24, projection_dimension=4, norm_groups=1, key_momentum=0.9, weight_decay=1e-2,
)  # fmt: skip


def small_backbone():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def unit_vectors(generator, n=8, d=4):
    return F.normalize(torch.randn(n, d, generator=generator), dim=1)


def parts(count):
    generator = torch.Generator().manual_seed(5)
    random = np.random.default_rng(5)
    for step in range(count):
        views = tuple(torch.randn(8, 3, 6, 6, generator=generator) for _ in range(2))
        yield Part(step, views, torch.zeros(8, dtype=torch.int64), (np.arange(8), random.permutation(8)), 8)


def test_the_loss_of_twenty_steps_is_that_of_the_formula_and_the_queue_that_of_a_list():
    moco = MoCo(nn.Flatten(), 4, 4, queue_size=24, temperature=0.2, norm_groups=1)
    kept = deque(moco.queue.double().numpy().copy(), maxlen=24)  # the oldest first
    generator = torch.Generator().manual_seed(0)
    for step in range(20):
        queries, keys = unit_vectors(generator), unit_vectors(generator)
        q, k, negatives = queries.double().numpy(), keys.double().numpy(), np.stack(kept)
        own = np.exp((q * k).sum(1) / 0.2)
        expected = -np.log(own / (own + np.exp(q @ negatives.T / 0.2).sum(1))).mean()
        assert float(moco.loss(queries, keys)) == pytest.approx(expected, abs=1e-6)
        moco.enqueue(keys)
        kept.extend(k)
        assert int(moco.pointer) == (8 * (step + 1)) % 24
        in_order = np.roll(moco.queue.numpy(), -int(moco.pointer), axis=0)
        np.testing.assert_array_equal(in_order, np.stack(kept).astype(np.float32))


def test_a_positive_is_never_among_the_negatives(monkeypatch):
    learner, seen = MocoLearner(small_backbone(), 5, 1, SETTINGS), []
    loss = learner.moco.loss

    def watched(queries, keys):
        seen.append(((learner.moco.queue[:, None] == keys).all(2).any(), keys.clone()))
        return loss(queries, keys)

    monkeypatch.setattr(learner.moco, "loss", watched)
    for part in parts(5):
        learner.loss(part, WORLD)
        order = np.argsort(part.places[1])  # keys stand in the order of the batch, as the queries do
        with torch.no_grad():
            made = copy.deepcopy(learner.moco.key_encoder)(part.views[1])[order]
        torch.testing.assert_close(seen[-1][1], made)
        assert (learner.moco.queue[:, None] == seen[-1][1]).all(2).any(0).all()  # and afterwards they are in it
    assert not any(found for found, _ in seen)


def test_a_whole_step_is_that_of_a_plain_reference(tmp_path):
    """Query, moving average, key, loss, SGD with momentum: written out again, with torch's own batch norm."""
    learner = MocoLearner(small_backbone(), 5, 1, SETTINGS)
    query = nn.Sequential(small_backbone(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 4))
    query[1].load_state_dict(learner.moco.query_encoder.get_submodule("head.0").state_dict())
    query[3].load_state_dict(learner.moco.query_encoder.get_submodule("head.2").state_dict())
    key, queue, speed = copy.deepcopy(query), learner.moco.queue.clone(), {}
    optimizer = make_optimizer("momentum", group_weights(learner.network, 1e-2, decay_all=True), 0.1)
    session = Session(tmp_path, RecordedJob({}, ""), learner.network, optimizer, 1e9)
    for part in parts(4):
        rate = 0.1 / (1 + part.step)
        got = loop.step(session, learner, part, rate, SETTINGS, WORLD)
        q = F.normalize(query(part.views[0]), dim=1)
        with torch.no_grad():
            for mine, theirs in zip(key.parameters(), query.parameters(), strict=True):
                mine.copy_(0.9 * mine + 0.1 * theirs)
            k = torch.empty(8, 4)
            k[torch.from_numpy(part.places[1])] = F.normalize(key(part.views[1]), dim=1)
        logits = torch.cat([(q * k).sum(1)[:, None], q @ queue.clone().T], 1) / 0.2
        loss = (torch.logsumexp(logits, 1) - logits[:, 0]).mean()
        gradients = torch.autograd.grad(loss, list(query.parameters()))
        with torch.no_grad():
            for index, (weight, gradient) in enumerate(zip(query.parameters(), gradients, strict=True)):
                speed[index] = 0.9 * speed.get(index, 0) + gradient + 1e-2 * weight
                weight -= rate * speed[index]
        queue = torch.cat([queue[:0], *queue.split(8)[: part.step % 3], k, *queue.split(8)[part.step % 3 + 1 :]])
        assert got == pytest.approx(float(loss.detach()), abs=1e-6)
        for mine, theirs in ((learner.moco.query_encoder, query), (learner.moco.key_encoder, key)):
            for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
        torch.testing.assert_close(learner.moco.queue, queue, atol=1e-6, rtol=0)


def test_a_loss_that_is_no_number_is_said_and_changes_nothing(tmp_path):
    learner = MocoLearner(small_backbone(), 5, 1, SETTINGS)
    optimizer = make_optimizer("momentum", group_weights(learner.network, 0, decay_all=True), 0.1)
    session = Session(tmp_path / "out", RecordedJob({}, ""), learner.network, optimizer, 1e9)
    part = next(parts(1))
    part.views[0][0, 0, 0, 0] = float("nan")
    before = [weight.clone() for weight in learner.moco.query_encoder.parameters()]
    with pytest.raises(ModelError, match=r"finite loss, got nan in step 1 of .*Choose a learning rate below 0\.1"):
        loop.step(session, learner, part, 0.1, SETTINGS, WORLD)
    assert all(map(torch.equal, before, learner.moco.query_encoder.parameters()))


@pytest.mark.parametrize("make", [nn.BatchNorm2d, BatchNormAct2d])
def test_split_batch_norm_is_as_many_separate_passes_as_there_are_groups(make):
    generator = torch.Generator().manual_seed(1)
    plain = make(3)
    with torch.no_grad():
        plain.weight.copy_(torch.rand(3, generator=generator) + 0.5)
        plain.bias.copy_(torch.randn(3, generator=generator))
    split = split_norms(nn.Sequential(copy.deepcopy(plain)), 4)
    norm = split.get_submodule("0")
    assert isinstance(norm, SplitBatchNorm)
    assert list(norm.state_dict()) == list(plain.state_dict())
    images = torch.randn(8, 3, 5, 5, generator=generator).to(memory_format=torch.channels_last)
    alone = [copy.deepcopy(plain) for _ in range(4)]
    inputs = [images.clone().requires_grad_() for _ in range(2)]
    apart = torch.cat([one(part) for one, part in zip(alone, inputs[1].split(2), strict=True)])
    together = split(inputs[0])
    torch.testing.assert_close(together, apart, atol=1e-6, rtol=0)
    for output in (together, apart):
        (output * torch.arange(output.numel()).view_as(output)).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, atol=1e-3, rtol=1e-5)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(norm, name), sum(getattr(one, name) for one in alone) / 4)
    plain.load_state_dict(norm.state_dict())
    torch.testing.assert_close(split.eval()(images), plain.eval()(images))


def test_the_rate_rises_in_warm_up_and_falls_along_a_cosine():
    settings = dataclasses.replace(SETTINGS, epochs=5, warmup_epochs=1, learning_rate=0.3)
    for step in range(50):
        done = (step - 10) / 40
        expected = 0.3 * (step + 1) / 11 if step < 10 else 0.3 * (1 + math.cos(math.pi * done)) / 2
        assert loop._rate(settings, step, 10, 50) == pytest.approx(expected), step


def test_the_loss_and_the_queue_are_lightly_s_over_twenty_steps():
    assert PEERS.is_dir(), f"no {PEERS}: run make setup"
    told = subprocess.run(
        [sys.executable, BENCHMARK, "--only", "loss"],
        env={**os.environ, "PYTHONPATH": str(PEERS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    result = json.loads(told.stdout.splitlines()[-1])
    assert result["holds"] is True
    assert result["difference"] <= 1e-6
