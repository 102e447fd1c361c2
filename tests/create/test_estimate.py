import time

import pytest

from synthset.create import estimate as estimates
from synthset.create.config import CreateConfig
from synthset.create.dry_run import sample_plan
from synthset.create.estimate import estimate_run
from synthset.create.inputs import read_inputs
from synthset.create.shards import encode_image
from synthset.testing import FakeGenerator

CLASSES = ("cat", "sea_lake")


def test_an_estimate_reckons_with_what_the_sample_took():
    config = CreateConfig(generator="fake", images_per_class=1000, shard_size=100)
    sample = sample_plan(read_inputs(CLASSES, config), 32)
    estimate = estimate_run(sample.requests, sample.total, FakeGenerator(), config)
    assert (estimate.images, estimate.files) == (2000, 20)
    png = len(encode_image(FakeGenerator().generate(sample.requests)[0].pixels, config)[0])
    assert estimate.disk_bytes == pytest.approx(2000 * (png + 100), rel=0.1)
    assert 0 < estimate.device_hours == estimate.cost(1.0) < 1


@pytest.mark.parametrize(("budget_seconds", "counts"), [(60.0, [1, 2, 8, 32]), (0.1, [1, 2]), (0.0, [1, 2])])
def test_a_slow_generator_draws_few_images_for_it_and_a_fast_one_the_whole_sample(budget_seconds, counts, monkeypatch):
    class Slow(FakeGenerator):
        def generate(self, requests):
            drawn.append(requests)
            time.sleep(0.02 * len(requests))
            return super().generate(requests)

    drawn = []
    monkeypatch.setattr(estimates, "CALIBRATION_SECONDS", budget_seconds)
    config = CreateConfig(generator="fake", images_per_class=1000, strategies=("base", "class_prompt"))
    sample = sample_plan(read_inputs(CLASSES, config), 32)
    estimate = estimate_run(sample.requests, sample.total, Slow(), config)
    assert [len(requests) for requests in drawn] == counts
    assert len({request.strategy for request in drawn[1]}) == 2  # a small batch is of all strategies, too
    assert estimate.seconds_per_image >= 0.02
