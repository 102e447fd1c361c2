import json
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import synthset
from synthset.core.errors import (
    ConfigChangedError,
    DataError,
    FailureThresholdError,
    ModelError,
    SynthsetError,
    UnknownNameError,
    UsageError,
)
from synthset.create import stage as create_stage
from synthset.create.estimate import estimate_run
from synthset.create.shards import ShardWorker, encode_image
from synthset.create.stage import CreateConfig, plan_images, sample_plan
from synthset.dataset.reader import open_dataset
from synthset.dataset.writer import DatasetWriter
from synthset.generators.source import GeneratorSource
from synthset.images.decoding import decode
from synthset.testing import FakeGenerator, ShuffledExecutor

CLASSES = ("cat", "sea_lake")


def make(folder, classes=CLASSES, generator=None, **options):
    options = {"strategies": ("base", "random_guidance"), "images_per_class": 5, "shard_size": 8} | options
    return synthset.create(classes, folder, generator=generator or FakeGenerator(), **options)


def hashes(folder):
    rows = open_dataset(folder).rows
    return dict(zip(rows.column("request_id").to_pylist(), rows.column("sha256").to_pylist(), strict=True))


def test_the_stage_is_the_function_though_its_module_has_the_same_name():
    assert callable(create_stage)
    assert synthset.create.stage is create_stage


def test_each_row_records_what_its_image_depends_on(tmp_path):
    result = make(tmp_path / "pets")
    assert (result.accounting.requested, result.accounting.ok, result.drawn) == (20, 20, 20)
    (row,) = open_dataset(tmp_path / "pets").rows.slice(1, 1).to_pylist()
    request = next(r for batch in generator_of_a_run(tmp_path).batches for r in batch if r.id == 1)
    for name in ("class_name", "strategy", "prompt", "negative_prompt", "guidance_scale", "seed", "index"):
        assert row[name] == getattr(request, name)
    assert row["class_name"] == "sea_lake"
    assert row["prompt"] == "an image of a sea lake"
    assert row["attempts"] == 1


def generator_of_a_run(tmp_path):
    generator = FakeGenerator()
    make(tmp_path / "again", generator=generator)
    return generator


def test_pixels_are_stored_as_drawn(tmp_path):
    generator = FakeGenerator()
    make(tmp_path / "pets", generator=generator)
    images = open_dataset(tmp_path / "pets").images()
    first = next(r for batch in generator.batches for r in batch if r.id == 0)
    np.testing.assert_array_equal(np.asarray(images.image(0)), generator._draw(first).pixels)


def test_nothing_depends_on_batches_or_the_order_of_work(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b", generator=FakeGenerator(preferred_batch_size=3))
    make(tmp_path / "c", executor=ShuffledExecutor(3))
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b") == hashes(tmp_path / "c")


def test_a_second_run_draws_nothing_and_changes_nothing(tmp_path):
    make(tmp_path / "pets")
    before = {path: path.read_bytes() for path in (tmp_path / "pets").rglob("*") if path.is_file()}
    generator = FakeGenerator()
    assert make(tmp_path / "pets", generator=generator).drawn == 0
    assert generator.batches == []
    after = {path: path.read_bytes() for path in (tmp_path / "pets").rglob("*") if path.is_file()}
    changed = {path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed <= {"manifest.json"}  # the seconds of the run that looked


class Crash(Exception):
    pass


@dataclass
class FailingGenerator(FakeGenerator):
    """Stops after some batches, as a crash would."""

    batches_left: int = 1

    def generate(self, requests):
        if self.batches_left == 0:
            raise Crash
        self.batches_left -= 1
        return super().generate(requests)


@pytest.mark.parametrize("batches", [0, 1, 2, 3])
def test_an_interrupted_run_is_finished_to_the_same_images(tmp_path, batches):
    make(tmp_path / "whole", generator=FakeGenerator(preferred_batch_size=4))
    with pytest.raises(Crash):
        make(tmp_path / "cut", generator=FailingGenerator(preferred_batch_size=4, batches_left=batches))
    with pytest.raises(DataError, match="not finished"):
        open_dataset(tmp_path / "cut")
    result = make(tmp_path / "cut", generator=FakeGenerator(preferred_batch_size=16))
    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole")
    assert result.drawn == 20 - 8 * (batches // 2)
    manifest = json.loads((tmp_path / "cut" / "manifest.json").read_text())
    assert manifest["batch_size"] == 4  # a resumed run draws the batches of the run that began


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 65}, "seed: 64 there, 65 here"),
        ({"images_per_class": 6}, "images_per_class: 5 there, 6 here"),
        ({"strategies": ("base",)}, "strategies.random_guidance"),
        ({"resize_px": 4}, "images.resize_px: null there, 4 here"),
        ({"negative_prompt": "blur"}, "negative_prompt"),
        ({"image_format": "jpeg"}, "images.format"),
        ({"guidance_scale": "2"}, "strategies.base"),
        ({"classes": ("sea_lake", "cat")}, "classes"),
        ({"generator": FakeGenerator(size_px=16)}, "generation.height_px"),
    ],
)
def test_another_job_into_the_same_folder_is_refused_and_named(tmp_path, change, named):
    make(tmp_path / "pets")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigChangedError, match="nothing was changed") as error:
        make(tmp_path / "pets", **change)
    assert named in str(error.value)
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after


def test_overwrite_replaces_a_dataset_and_nothing_else(tmp_path):
    make(tmp_path / "pets")
    (tmp_path / "pets" / "notes.txt").write_text("mine")
    make(tmp_path / "pets", seed=65, overwrite=True, images_per_class=2)
    assert open_dataset(tmp_path / "pets").accounting.ok == 8
    assert len(list((tmp_path / "pets" / "data").iterdir())) == 1
    assert (tmp_path / "pets" / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_not_ours_is_refused_even_with_overwrite(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"precious")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="no Synthset dataset"):
            make(tmp_path / "photos", overwrite=overwrite)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["holiday.jpg"]
    with pytest.raises(UsageError, match="is a file"):
        make(tmp_path / "photos" / "holiday.jpg")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format_version": 1}', '{"format_version": 9, "status": 1}', "\x00"]
)
def test_a_damaged_manifest_is_an_error_in_one_line(tmp_path, content):
    make(tmp_path / "pets")
    (tmp_path / "pets" / "manifest.json").write_text(content)
    with pytest.raises(DataError) as error:
        open_dataset(tmp_path / "pets")
    assert "\n" not in str(error.value)
    with pytest.raises(SynthsetError):
        make(tmp_path / "pets")


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
    again = FakeGenerator()
    (image,) = again.generate([type("Request", (), retried[0])])
    stored = open_dataset(tmp_path / "pets").images()
    position = rows.index(retried[0])
    np.testing.assert_array_equal(np.asarray(stored.image(position)), image.pixels)


def test_accounting_holds_and_the_threshold_speaks(tmp_path):
    generator = FakeGenerator(status=lambda r: {"cat": "flagged", "dog": "failed"}.get(r.class_name, "ok"))
    with pytest.raises(FailureThresholdError, match=r"failures\.parquet") as error:
        make(tmp_path / "pets", ("cat", "dog", "owl"), generator, images_per_class=2)
    assert error.value.exit_code == 3
    accounting = open_dataset(tmp_path / "pets").accounting
    assert (accounting.requested, accounting.ok, accounting.flagged, accounting.failed) == (12, 4, 4, 4)
    assert accounting.retries == 8 * 5
    failures = pq.read_table(tmp_path / "pets" / "failures.parquet").to_pylist()
    assert {(f["class_name"], f["status"], f["attempts"]) for f in failures} == {
        ("cat", "flagged", 6),
        ("dog", "failed", 6),
    }
    assert make(tmp_path / "fine", ("owl", "emu"), generator).accounting.failed == 0


def test_a_dataset_without_one_good_image_is_reported_not_half_written(tmp_path):
    with pytest.raises(FailureThresholdError):
        make(tmp_path / "pets", generator=FakeGenerator(status=lambda r: "blank"))
    with pytest.raises(DataError, match="found none"):
        open_dataset(tmp_path / "pets").images()


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


def test_views_of_one_drawing(tmp_path):
    dataset = make(tmp_path / "pets", strategies=("all_combined",), images_per_class=4).dataset
    assert len(dataset.images()) == len(dataset.images("all_combined")) == 32
    assert len(dataset.images("all_combined_equal")) == 8
    assert set(dataset.images("base").groups) == {"base"}
    assert np.bincount(dataset.images("all_combined_equal").labels).tolist() == [4, 4]
    with pytest.raises(UnknownNameError):
        dataset.images("nothing")


def test_hugging_face_datasets_opens_the_folder(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    made = make(tmp_path / "pets")
    loaded = datasets.load_dataset(str(tmp_path / "pets"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    train = loaded["train"]
    assert train.features["label"].names == list(CLASSES)
    assert set(train.column_names) >= {"image", "label", "class_name", "strategy", "prompt", "guidance_scale", "seed"}
    np.testing.assert_array_equal(np.asarray(train[3]["image"]), np.asarray(made.dataset.images().image(3)))
    assert len(train) == 20


def test_hostile_class_names_stay_names(tmp_path):
    names = ("<img src=x onerror=alert(1)>", "=cmd", "CON", "猫", "a|b`c")
    dataset = make(tmp_path / "out" / "pets", names).dataset
    assert dataset.class_names == names
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"pets"}
    card = (tmp_path / "out" / "pets" / "README.md").read_text(encoding="utf-8")
    assert "<img" not in card.split("---", 2)[2]
    paths = pq.read_table(dataset.shards[0], columns=["image"]).column("image").to_pylist()
    assert all(set(row["path"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-.") for row in paths)


def test_the_preview_and_the_card_are_there(tmp_path):
    make(tmp_path / "pets")
    assert decode((tmp_path / "pets" / "preview.png").read_bytes()).width > 100
    card = (tmp_path / "pets" / "README.md").read_text(encoding="utf-8")
    assert "| random&#95;guidance | 1:5 | 10 |" in card
    assert "20 requested = 20 ok" in card


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"resize_px": 2},
        {"quality": 0},
        {"batch_size": 0},
        {"seed": -1},
        {"max_failures": 2},
        {"image_format": "gif"},
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_written(tmp_path, options):
    with pytest.raises(UsageError):
        make(tmp_path / "pets", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'images_per_class'"):
        make(tmp_path / "pets", image_per_class=3)


def test_the_miniature_refuses_what_it_cannot_draw(tmp_path):
    with pytest.raises(UsageError, match=r"'cat'.*zero, one.*--generator"):
        synthset.create(["cat"], tmp_path / "pets")
    assert list(tmp_path.iterdir()) == []


def test_a_sample_comes_from_every_class_and_strategy_and_from_the_plan_itself():
    classes = ("one", "two", "three")
    config = CreateConfig(strategies=("all_combined",), images_per_class=50)
    sample = sample_plan(classes, config, 24)
    assert len(sample.requests) == 24
    assert {(r.class_name, r.strategy) for r in sample.requests} == {(c, s) for c in classes for s in sample.images}
    planned = {(r.class_name, r.strategy, r.index): r for r in plan_images(classes, config).requests()}
    assert sample.total == len(planned)
    for request in sample.requests:
        same = planned[request.class_name, request.strategy, request.index]
        assert replace(request, id=same.id) == same


def test_a_sample_of_a_billion_images_is_as_small_as_any():
    names = [f"class {i}" for i in range(1000)]
    sample = sample_plan(names, CreateConfig(images_per_class=1_000_000, generator="owner/name"), 32)
    assert (len(sample.requests), sample.total) == (30, 10**9)
    assert sample.requests[0].class_name == "class 0"
    assert sample.requests[-1].index == 666_666


def test_a_dataset_may_lie_in_an_object_store(tmp_path):
    url = f"memory://bucket/{tmp_path.name}"
    with pytest.raises(Crash):
        make(url, generator=FailingGenerator(preferred_batch_size=4, batches_left=3))
    result = make(url, generator=FakeGenerator(preferred_batch_size=4))
    make(tmp_path / "here", generator=FakeGenerator(preferred_batch_size=4))
    assert 0 < result.drawn < 20
    assert hashes(url) == hashes(tmp_path / "here")
    assert open_dataset(url).images().image(0).size == (8, 8)
    with pytest.raises(ConfigChangedError, match="seed: 64 there, 65 here"):
        make(url, seed=65)
    assert make(url, seed=65, overwrite=True).drawn == 20


def test_a_url_of_an_unknown_kind_is_refused_in_one_line():
    with pytest.raises(UsageError, match="nowhere://bucket/pets"):
        make("nowhere://bucket/pets")


def test_a_worker_with_another_generator_draws_nothing(tmp_path):
    result = make(tmp_path / "pets")
    job = result.dataset.manifest["job"]
    writer = DatasetWriter(tmp_path / "pets", job, plan_images(CLASSES, CreateConfig(), FakeGenerator()), 8, 4)
    worker = ShardWorker(writer, GeneratorSource(lambda: FakeGenerator(size_px=16)), CreateConfig())
    with pytest.raises(ModelError, match="differs here in height_px, width_px"):
        worker(0)


def test_an_estimate_reckons_with_what_the_sample_took():
    config = CreateConfig(generator="fake", images_per_class=1000, shard_size=100)
    estimate = estimate_run(sample_plan(CLASSES, config, 32), FakeGenerator(), config)
    assert (estimate.images, estimate.files) == (2000, 20)
    png = len(encode_image(FakeGenerator().generate(sample_plan(CLASSES, config, 1).requests)[0].pixels, config)[0])
    assert estimate.disk_bytes == pytest.approx(2000 * (png + 100), rel=0.1)
    assert 0 < estimate.device_hours == estimate.cost(1.0) < 1
