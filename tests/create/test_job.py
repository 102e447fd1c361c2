"""The job of a dataset is derived from the options, and what may be missing in an older one from their defaults."""

import json
from dataclasses import replace

from synthset.core.jobs import differences, flatten
from synthset.create.config import CreateConfig
from synthset.create.inputs import plan_run
from synthset.create.job import default_job, job_of_config, make_job
from synthset.generators.sampling import ConditionAnnealing, SamplingOptions
from synthset.testing import FakeGenerator

CLASSES = ("cat", "dog")


def job(**options):
    config = CreateConfig(images_per_class=2, **options)
    generation = replace(FakeGenerator().config, sampling=None if config.sampling.is_plain else config.sampling)
    return make_job(plan_run(CLASSES, config, None), config, generation)


def test_the_job_is_json_and_has_what_images_depend_on():
    made = job(steps="2:9", resize_px=8)
    assert json.loads(json.dumps(made)) == made
    assert made["classes"] == ["cat", "dog"]
    assert made["strategies"] == {"base": "7.5"}
    assert made["images"] == {"resize_px": 8, "antialias": True, "format": "auto", "quality": 95}
    assert (made["seed"], made["steps"], made["requests"], made["shard_size"]) == (64, "2:9", 4, 512)
    assert "steps" not in job()
    assert {"initial_images", "sentences", "refill"}.isdisjoint(made)
    known = job_of_config(CLASSES, CreateConfig(images_per_class=2))
    assert known.items() <= job().items()


def test_options_that_do_not_change_the_images_are_no_part_of_it():
    assert job() == job(batch_size=3, max_failures=0.5)


def test_every_option_of_the_job_has_a_default_that_an_older_manifest_may_lack():
    sampling = SamplingOptions(cache_interval=2, annealing=ConditionAnnealing())
    plain, shortcut = job(), job(sampling=sampling)
    optional = {"seed", "negative_prompt", "shard_size", "images.antialias", "images.quality", "prompts.satellite"}
    optional |= {"prompts.satellite_base"}
    assert optional <= flatten(default_job()).keys()
    for key in optional:
        *sections, name = key.split(".")
        older = json.loads(json.dumps(plain))
        (older[sections[0]] if sections else older).pop(name)
        assert differences(older, plain, default_job()) == []
        assert differences(older, plain)
    older = json.loads(json.dumps(shortcut))
    del older["generation"]["sampling"]["guidance_interval"]
    assert differences(older, shortcut, default_job()) == []
    assert differences(plain, shortcut, default_job())[0] == "generation.sampling.cache_interval: 1 there, 2 here"
