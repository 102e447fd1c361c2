import pytest

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
