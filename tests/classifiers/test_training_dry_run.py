"""A dry run of a training: what it would do, about how long that takes, and not a byte written."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bars import NAMES, make_set
from outcomes import contents
from small_datasets import make
from synthset.classifiers import dry_run
from synthset.classifiers.config import TrainConfig
from synthset.classifiers.dry_run import rehearse, seconds_each
from synthset.classifiers.train import train_classifier
from synthset.core.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("own_folder")
SMALL = TrainConfig("small_cnn", device="cpu", epochs=3, batch_size=4)


@pytest.fixture
def hasty(monkeypatch):
    """Measurements that take no time."""
    monkeypatch.setattr(dry_run, "SECONDS", 0.0)
    monkeypatch.setattr(dry_run, "MOST_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("first", "each_time", "each", "most", "at_once", "expected", "done"),
    [
        # by doubling, until half a second is full; what is set up once does not count
        (9, 0, 0.01, 10_000, 1, 0.01, [2, 2, 4, 8, 16, 32, 64]),
        (9, 0, 0.01, 10_000, 100, 0.01, [2, 2, 4, 8, 16, 32, 64, 100]),  # a whole batch
        (9, 0, 0.6, 10_000, 100, 0.6, [2, 2, 4]),  # of which some will do where each takes long
        (0, 2, 0.01, 10_000, 100, 0.03, [2, 2, 4, 8, 16, 32, 64, 100]),  # but not where the start of it does
        (0, 30, 1, 10_000, 100, 16, [2, 2]),  # unless that would take all day
        (0, 0, 0.01, 7, 100, 0.01, [2, 2, 4, 7]),  # there are no more
        (0, 0, 0.01, 1, 1, 0.01, [1, 1]),
    ],
)
def test_a_time_is_measured_on_as_many_as_it_takes(monkeypatch, first, each_time, each, most, at_once, expected, done):
    now, counts = [0.0], []

    def work(count):
        now[0] += count * each + each_time + (0 if counts else first)
        counts.append(count)

    monkeypatch.setattr(dry_run.time, "perf_counter", lambda: now[0])
    assert seconds_each(work, most, at_once) == pytest.approx(expected)
    assert counts == done


def test_the_estimate_adds_up_what_each_image_takes(monkeypatch):
    measured = iter((0.5, 0.01, 0.001))  # of decoding, learning, looking at
    monkeypatch.setattr(dry_run, "seconds_each", lambda work, most, at_once=1: next(measured))
    plan = rehearse(make_set((10, 10, 10)), SMALL)
    assert (plan.num_training, plan.num_held_back, plan.epochs, plan.num_steps) == (27, 3, 3, 3 * 7)
    assert plan.seconds == pytest.approx(30 * 0.5 + 3 * (27 * 0.01 + 3 * 0.001))
    measured = iter((0.5, 0.01))
    plan = rehearse(make_set((10, 10, 10)), replace(SMALL, validation_fraction=0))
    assert (plan.num_training, plan.num_held_back) == (30, 0)
    assert plan.seconds == pytest.approx(30 * 0.5 + 3 * 30 * 0.01)
    assert (plan.device, plan.left_out) == ("cpu", ())


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9, "augmentation": "none"}, {"compile": True}])
def test_it_does_what_a_training_does_and_leaves_nothing(hasty, options):
    before = torch.random.get_rng_state()
    config = TrainConfig(**{**vars(SMALL), **options})
    plan = rehearse(make_set((3, 3, 3)), config)
    assert plan.seconds > 0
    assert plan.left_out == (("compiling",) if config.compile else ())
    assert torch.equal(before, torch.random.get_rng_state())
    assert not contents(Path())


def test_steps_are_those_that_a_training_takes(hasty):
    images, config = make_set((9, 9, 9)), replace(SMALL, optimizer="adamw")
    plan = rehearse(images, config)
    steps = []
    torch_step = torch.optim.AdamW.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", lambda *words: (steps.append(1), torch_step(*words))[1])
        result = train_classifier(images, config, "m")
    assert (len(steps), result.num_training, result.num_held_back) == (
        plan.num_steps,
        plan.num_training,
        plan.num_held_back,
    )


def test_the_command_says_what_was_chosen_and_writes_nothing(run, hasty):
    make("made", NAMES)
    before = contents(Path())
    line = ("train", "made", "--model", "small_cnn", "--epochs", 5, "--batch-size", 8, "--device", "cpu", "--dry-run")
    code, out, err = run(*line)
    assert (code, err) == (0, "")
    assert "30 images of made in 3 classes: " in out
    assert "recipe auto: --optimizer " in out
    assert "27 images to learn from and 3 held back; 5 epochs of 4 steps, 20 in all\nAbout " in out
    assert out.endswith(" on this machine's cpu. Nothing was written.\n")
    code, out, err = run(*line, "--json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told["plan"]["num_steps"] == 20
    assert told["plan"]["seconds"] > 0
    assert told["settings"]["learning_rate"] > 0
    assert contents(Path()) == before
    # its flags give the same
    flags = next(row for row in run(*line)[1].splitlines() if row.startswith("recipe")).partition(": ")[2].split()
    assert json.loads(run(*line, *flags, "--json")[1])["settings"] == told["settings"]


def test_what_cannot_be_trained_on_is_refused_as_a_training_refuses_it(run, refuse):
    make("made", NAMES)
    assert "Expected the synthetic images" in refuse("train", "--dry-run")
    assert "not-there" in refuse("train", "not-there", "--dry-run", code=1)
    assert "missing: " in refuse("train", "made", "--real", "digits", "--model", "small_cnn", "--dry-run")
    assert "the estimate is of one" in refuse("train", "made", "--processes", 2, "--dry-run")
    with pytest.raises(DataError, match="at least two images of each class"):
        rehearse(make_set((3, 1, 3)), SMALL)
    with pytest.raises(UsageError, match="cannot be used"):
        rehearse(make_set((3, 3, 3)), TrainConfig("small_cnn", device="no-such-device"))
    broken = replace(make_set((3, 3, 3)), read=lambda i: b"junk")
    with pytest.raises(DataError, match="got 4 bytes of text"):
        rehearse(broken, SMALL)
