"""A dry run says what a run would do, from a small sample; it writes nothing."""

import sys
from dataclasses import replace

from synthset.core.errors import ModelError, setting
from synthset.create.dry_run import SAMPLE_PROMPTS, SAMPLED_IMAGES, rehearse, sample_plan
from synthset.create.inputs import read_inputs
from synthset.create.stage import CreateConfig, plan_images
from synthset.testing import FakeGenerator


def test_a_sample_comes_from_every_class_and_strategy_and_from_the_plan_itself():
    classes = ("one", "two", "three")
    config = CreateConfig(strategies=("all_combined",), images_per_class=50)
    sample = sample_plan(read_inputs(classes, config), 24)
    assert len(sample.requests) == 24
    assert {(r.class_name, r.strategy) for r in sample.requests} == {(c, s) for c in classes for s in sample.images}
    planned = {(r.class_name, r.strategy, r.index): r for r in plan_images(classes, config).requests()}
    assert sample.total == len(planned)
    for request in sample.requests:
        same = planned[request.class_name, request.strategy, request.index]
        assert replace(request, id=same.id) == same


def test_a_sample_of_a_billion_images_is_as_small_as_any():
    names = [f"class {i}" for i in range(1000)]
    sample = sample_plan(read_inputs(names, CreateConfig(images_per_class=1_000_000, generator="owner/name")), 32)
    assert (len(sample.requests), sample.total) == (30, 10**9)
    assert sample.requests[0].class_name == "class 0"
    assert sample.requests[-1].index == 666_666


def test_a_dry_run_has_all_that_is_shown_and_writes_nothing(tmp_path, monkeypatch):
    generator = FakeGenerator(size_px=16)
    monkeypatch.setattr(sys.modules["synthset.create.stage"], "load", lambda config: generator)
    config = CreateConfig(
        strategies=("base", "random_guidance"), images_per_class=30, generator="owner/name", refill="clip"
    )
    run = rehearse(("cat", "dog"), config, tmp_path / "pets")
    assert run.sample.images == {"base": 60, "random_guidance": 60}
    assert run.guidance == {"base": "7.5", "random_guidance": "1:5"}
    assert (run.num_classes, run.max_draws) == (2, 150)
    assert len(run.shown) == SAMPLE_PROMPTS
    assert set(run.shown) <= set(run.sample.requests)
    assert {request.strategy for request in run.shown} == {"base", "random_guidance"}
    assert len(generator.batches[-1]) == SAMPLED_IMAGES
    assert (run.generation, run.estimate.images, run.estimate.files) == (generator.config, 120, 1)
    assert (run.sentences, run.reason, run.is_on_gpu) == (None, None, False)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_without_the_model_says_why(tmp_path, monkeypatch):
    def load(config):
        raise ModelError(f"not at hand: give {setting('dtype', 'bfloat16')}")

    monkeypatch.setattr(sys.modules["synthset.create.stage"], "load", load)
    run = rehearse(("cat",), CreateConfig(images_per_class=3, generator="owner/name"), tmp_path)
    assert (run.generation, run.estimate, str(run.reason)) == (None, None, "not at hand: give dtype=bfloat16")
    assert [request.prompt for request in run.shown] == ["an image of a cat"] * 3
