"""A shard is drawn in batches, again where an image failed, in halves where memory runs out, and encoded."""

from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from small_datasets import CLASSES, hashes, make
from synthset.core.errors import ModelError, SynthsetError
from synthset.core.progress import tell
from synthset.create import shards
from synthset.create.shards import ShardWorker
from synthset.create.stage import CreateConfig, plan_images
from synthset.dataset.reader import open_dataset
from synthset.dataset.writer import DatasetWriter
from synthset.generators.source import GeneratorSource
from synthset.images.decoding import decode
from synthset.testing import FakeGenerator


def every_tenth(status):
    return lambda request: status if request.seed % 10 == 0 else "ok"


@pytest.mark.parametrize("status", ["blank", "flagged", "failed"])
def test_bad_images_are_never_stored_but_drawn_again_with_a_recorded_seed(tmp_path, status):
    generator = FakeGenerator(status=every_tenth(status))
    result = make(tmp_path / "pets", generator=generator, images_per_class=100)
    rows = open_dataset(tmp_path / "pets").rows.to_pylist()
    assert result.accounting.ok == len(rows) == 400
    assert result.accounting.retries > 10
    retried = [row for row in rows if row["attempts"] > 1]
    assert retried
    assert all(row["seed"] % 10 for row in rows)
    dataset = open_dataset(tmp_path / "pets")
    stored, position = dataset.images(), rows.index(retried[0])
    (image,) = FakeGenerator().generate(dataset.requests([position]))
    np.testing.assert_array_equal(np.asarray(stored.image(position)), image.pixels)


@dataclass
class SmallMemory(FakeGenerator):
    """Runs out of memory with more than two images at once."""

    most: int = 2

    def generate(self, requests):
        if len(requests) > self.most:
            raise MemoryError
        return super().generate(requests)


def test_out_of_memory_halves_the_batch_and_draws_no_image_twice(tmp_path):
    generator = SmallMemory()
    make(tmp_path / "a", generator=generator)
    drawn = [request.id for batch in generator.batches for request in batch]
    assert sorted(drawn) == list(range(20))
    make(tmp_path / "b")
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    with pytest.raises(SynthsetError, match="single image"):
        make(tmp_path / "c", generator=SmallMemory(most=0))


@pytest.mark.parametrize(
    ("image_format", "magic"), [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8"), ("webp", b"RIFF"), ("auto", b"\x89PNG")]
)
def test_formats(tmp_path, image_format, magic):
    make(tmp_path / "pets", image_format=image_format, images_per_class=1)
    images = open_dataset(tmp_path / "pets").images()
    assert images.read(0).startswith(magic)
    assert images.image(0).size == (8, 8)


def test_large_images_become_jpeg_and_resized_ones_png(tmp_path):
    make(tmp_path / "large", generator=FakeGenerator(size_px=65), images_per_class=1)
    assert open_dataset(tmp_path / "large").images().read(0).startswith(b"\xff\xd8")
    make(tmp_path / "small", generator=FakeGenerator(size_px=65), images_per_class=1, resize_px=32)
    data = open_dataset(tmp_path / "small").images().read(0)
    assert decode(data).size == (32, 32)
    assert data.startswith(b"\x89PNG")


def test_antialiasing_is_a_choice_that_shows(tmp_path):
    for name, antialias in (("smooth", True), ("rough", False)):
        make(tmp_path / name, generator=FakeGenerator(size_px=64), images_per_class=4, resize_px=8, antialias=antialias)
    smooth, rough = (open_dataset(tmp_path / name).images().tensor(8).float().std() for name in ("smooth", "rough"))
    assert smooth < 0.5 * rough  # noise averages out only with anti-aliasing


def test_a_worker_with_another_generator_draws_nothing(tmp_path):
    result = make(tmp_path / "pets")
    job = result.dataset.manifest["job"]
    writer = DatasetWriter(tmp_path / "pets", job, plan_images(CLASSES, CreateConfig(), FakeGenerator()), 8, 4)
    worker = ShardWorker(writer, GeneratorSource(lambda: FakeGenerator(size_px=16)), CreateConfig())
    with pytest.raises(ModelError, match="differs here in height_px, width_px"):
        worker(0)


@dataclass
class Telling(FakeGenerator):
    """Tells of its steps, and of some twice: a batch of which a half was begun anew."""

    def generate(self, requests):
        for _ in range(5):
            tell(len(requests) / 4)
        return super().generate(requests)


def test_progress_goes_on_within_a_batch_and_never_beyond_it(tmp_path, monkeypatch):
    heard = []

    @contextmanager
    def bar(total, description):
        yield SimpleNamespace(advance=heard.append)

    monkeypatch.setattr(shards, "track", bar)
    make(tmp_path / "pets", generator=Telling(), images_per_class=5)
    first = heard[:4]
    assert len(set(first)) == 1
    assert first[0] < sum(first) <= 20  # a quarter each
    assert sum(heard) == pytest.approx(20)
