"""Denoising by a model that is a formula: what it is shown in each step, and what comes of its predictions."""

from __future__ import annotations

import diffusers
import pytest
import torch

from synthset.core.progress import hearing
from synthset.generators.condition_annealing import ConditionNoise
from synthset.generators.denoising import Conditions, denoise, guide
from synthset.generators.sampling import ConditionAnnealing
from synthset.generators.schedulers import start

CPU = torch.device("cpu")
STEPS = 6
IMAGES, GUIDED = 3, 2
TEXT = torch.arange(1.0, IMAGES + GUIDED + 1).view(-1, 1, 1)  # another number for each row
SCALES = torch.tensor([7.5, 2.0])


class Model:
    """Predicts a mixture of what it is shown, and keeps a list of that."""

    def __init__(self):
        self.shown = []

    def __call__(self, latents, timestep, conditions):
        self.shown.append((latents.clone(), int(timestep), conditions))
        return 0.1 * latents + conditions.text.view(-1, 1, 1, 1) / 10


def make_schedule(name="DDIMScheduler", first_step=0, steps=STEPS):
    scheduler = getattr(diffusers, name)()
    generators = [torch.Generator().manual_seed(seed) for seed in range(IMAGES)]
    return start(scheduler, name, steps, first_step, generators, CPU)


def noise():
    return torch.randn(IMAGES, 4, 2, 2, generator=torch.Generator().manual_seed(0))


def test_every_image_is_denoised_as_if_alone():
    together = denoise(Model(), noise(), make_schedule(), Conditions(TEXT), SCALES)
    for i, scale in enumerate((7.5, 2.0, None)):
        scheduler = diffusers.DDIMScheduler()
        scheduler.set_timesteps(STEPS)
        latents = noise()[i : i + 1]
        for t in scheduler.timesteps:
            prompted = 0.1 * latents + TEXT[i] / 10
            without = 0.1 * latents + (TEXT[IMAGES + i] / 10 if scale else 0)
            predicted = without + scale * (prompted - without) if scale else prompted
            latents = scheduler.step(predicted, t, latents).prev_sample
        torch.testing.assert_close(together[i : i + 1], latents)


@pytest.mark.parametrize("first_step", [0, 2])
def test_each_step_tells_its_share_of_the_images(first_step):
    told = []
    with hearing(told.append):
        denoise(Model(), noise(), make_schedule(first_step=first_step), Conditions(TEXT), SCALES)
    assert told == pytest.approx([IMAGES / (STEPS - first_step)] * (STEPS - first_step))


def test_outside_the_guided_steps_nothing_is_predicted_twice_and_the_model_begins_anew():
    model, restarts = Model(), []
    denoise(
        model,
        noise(),
        make_schedule(),
        Conditions(TEXT),
        SCALES,
        is_guided=lambda step, num_steps: 2 <= step < num_steps - 1,
        restart=lambda: restarts.append(len(model.shown)),
    )
    assert [len(latents) for latents, _, _ in model.shown] == [3, 3, 5, 5, 5, 3]
    assert [len(conditions.text) for _, _, conditions in model.shown] == [3, 3, 5, 5, 5, 3]
    assert restarts == [0, 2, 5]
    # one tensor for all steps between: a model may remember what it computed of it
    assert len({id(conditions.text) for _, _, conditions in model.shown[2:5]}) == 1


def test_the_first_guided_images_are_shown_once_more():
    model = Model()
    denoise(model, noise(), make_schedule(), Conditions(TEXT), SCALES)
    rows = model.shown[0][0]
    assert torch.equal(rows[IMAGES:], rows[:GUIDED])


@pytest.mark.parametrize("name", ["DDIMScheduler", "HeunDiscreteScheduler"])  # with one timestep a step, and with two
def test_steps_before_the_first_are_skipped(name):
    schedule, model = make_schedule(name, first_step=4), Model()
    known = torch.full_like(noise(), 5.0)
    latents = schedule.begin(noise(), known)
    assert schedule.first == 4 * schedule.scheduler.order
    expected = schedule.scheduler.add_noise(known, noise(), schedule.timesteps[[schedule.first] * IMAGES])
    assert torch.equal(latents, expected)
    denoise(model, latents, schedule, Conditions(TEXT), SCALES)
    assert [t for _, t, _ in model.shown] == [int(t) for t in schedule.timesteps[schedule.first :]]


def test_text_is_seen_through_noise_until_it_is_clear():
    seeds = [3, 4, 5]
    text = torch.randn(IMAGES + GUIDED, 5, 7, generator=torch.Generator().manual_seed(1))
    annealing = ConditionAnnealing(tau1=0.4, tau2=0.8)
    conditions = Conditions(text, text_noise=ConditionNoise(annealing, seeds))
    times = (0.9, 0.6, 0.4)
    seen = [conditions.of(IMAGES + GUIDED).at(time) for time in times]
    noise = ConditionNoise(annealing, seeds)
    for time, at_time in zip(times, seen, strict=True):
        assert torch.equal(at_time.text, noise.add(text, time))
    assert not torch.equal(seen[0].text[:IMAGES], text[:IMAGES])
    assert torch.equal(seen[0].text[IMAGES:], text[IMAGES:])
    assert torch.equal(seen[2].text, text)


def test_guidance_is_imagens_equation_2():
    predicted = torch.randn(IMAGES + GUIDED, 4, 2, 2)
    prompted, without = predicted[:IMAGES].clone(), predicted[IMAGES:].clone()
    guided = guide(predicted, SCALES)
    for i, w in enumerate(SCALES):
        torch.testing.assert_close(guided[i], w * prompted[i] + (1 - w) * without[i])
    assert torch.equal(guided[2], prompted[2])
    assert torch.equal(guide(prompted.clone(), SCALES[:0]), prompted)
