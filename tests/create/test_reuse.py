"""Images that another dataset has are copied byte for byte, whatever they are called there; only the rest is drawn."""

import json
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parity_encoder import ParityEncoder
from small_datasets import CLASSES, Crash, crashing, files, hashes, make, photos
from synthset.cli import main
from synthset.core.errors import UsageError
from synthset.create.dry_run import rehearse
from synthset.create.stage import CreateConfig, create
from synthset.dataset.manifest import Copied
from synthset.dataset.reader import open_dataset
from synthset.dataset.records import Request, asks_same, image_hashes, plan_schema
from synthset.prompts.language_enhancement import SentenceConfig
from synthset.prompts.strategies import PromptStyle
from synthset.testing import FakeGenerator, ShuffledExecutor


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def asked(generator):
    """Every request that it was asked for."""
    return [request for batch in generator.batches for request in batch]


def make_and_count(folder, pets, **options):
    """A dataset that copies from another, which is as if all of it had been drawn; and what was drawn for it."""
    generator = FakeGenerator(preferred_batch_size=4)
    result = make(folder / "reused", generator=generator, reuse=pets, **options)
    make(folder / "drawn", **options)
    assert hashes(folder / "reused") == hashes(folder / "drawn")
    for name in ("rows", "accounting"):
        assert getattr(result.dataset, name) == getattr(open_dataset(folder / "drawn"), name)
    assert files(folder / "reused") == files(folder / "drawn")
    assert len(asked(generator)) == result.drawn
    assert result.drawn + result.copied == result.accounting.requested
    return result, asked(generator)


# ---- only what is new is drawn ----------------------------------------------------------------------------


def test_of_more_images_a_class_the_new_ones_are_drawn(tmp_path, pets):
    result, drawn = make_and_count(tmp_path, pets, images_per_class=8)
    assert (result.drawn, result.copied) == (12, 20)
    assert {request.index for request in drawn} == {5, 6, 7}
    record = Copied("pets", open_dataset(pets).manifest["job"]["plan_hash"], 20)
    assert result.dataset.copied == (record,)
    assert "20 are from `pets` (plan `" in (result.dataset.folder / "README.md").read_text()
    assert "**Copied:**" not in (pets / "README.md").read_text()
    assert "copied" not in manifest(pets)


def test_of_one_more_strategy_its_images_are_drawn(tmp_path, pets):
    result, drawn = make_and_count(tmp_path, pets, strategies=("class_prompt", "base", "random_guidance"))
    assert (result.drawn, result.copied) == (10, 20)
    assert {request.strategy for request in drawn} == {"class_prompt"}


def test_of_a_changed_phrase_the_images_of_its_class_are_drawn_and_after_a_kill_the_same(tmp_path, pets):
    style = PromptStyle(phrases={"cat": "a tabby cat"})
    result, drawn = make_and_count(tmp_path, pets, style=style)
    assert (result.drawn, result.copied) == (10, 10)
    assert {request.class_name for request in drawn} == {"cat"}
    there, here = files(pets), files(tmp_path / "reused")
    assert {key[0] for key in there if there[key] != here[key]} == {"cat"}
    assert sum(there[key] == here[key] for key in there) == 10

    with pytest.raises(Crash):
        make(tmp_path / "cut", generator=crashing(FakeGenerator(preferred_batch_size=4), 2), reuse=pets, style=style)
    kept = len(list((tmp_path / "cut" / "data").iterdir()))
    assert 0 < kept < 3
    generator = FakeGenerator(preferred_batch_size=4)
    again = make(tmp_path / "cut", generator=generator, reuse=pets, style=style)
    assert {request.class_name for request in asked(generator)} == {"cat"}
    assert 0 < again.drawn < 10
    assert files(tmp_path / "cut") == here
    whole, cut = manifest(tmp_path / "reused"), manifest(tmp_path / "cut")
    for key in ("job", "accounting", "copied", "columns"):
        assert whole[key] == cut[key]
    finished = make(tmp_path / "cut", reuse=pets, style=style)
    assert (finished.drawn, finished.copied, finished.dataset.copied) == (0, 0, again.dataset.copied)


SLOW = """
import sys, time
import synthset
from synthset.testing import FakeGenerator

class Slow(FakeGenerator):
    def generate(self, requests):
        time.sleep(0.3)
        return super().generate(requests)

synthset.create(["cat", "dog"], sys.argv[1], generator=Slow(), images_per_class=40, shard_size=8, reuse=sys.argv[2])
"""


def test_kill_9_and_the_same_command_copy_and_draw_the_same(tmp_path):
    options = {"classes": ("cat", "dog"), "strategies": ("base",), "shard_size": 8}
    make(tmp_path / "there", images_per_class=25, **options)
    options |= {"images_per_class": 40}
    folder = tmp_path / "here"
    job = subprocess.Popen([sys.executable, "-c", SLOW, str(folder), str(tmp_path / "there")], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(list(folder.glob("data/train-*"))) < 7:  # six are copied whole, of the seventh a part
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert not (folder / "README.md").exists()
    generator = FakeGenerator()
    make(folder, generator=generator, reuse=tmp_path / "there", **options)
    assert 0 < len(asked(generator)) < 30
    assert min(request.index for request in asked(generator)) >= 25
    make(tmp_path / "drawn", **options)
    assert files(folder) == files(tmp_path / "drawn")
    assert [part["images"] for part in manifest(folder)["copied"]] == [50]


def test_images_are_called_as_the_new_run_calls_them(tmp_path, pets):
    result, _ = make_and_count(tmp_path, pets, classes=("dog", "sea_lake", "cat"), strategies="base")
    assert (result.drawn, result.copied) == (5, 10)
    rows = result.dataset.rows.to_pylist()
    assert {(row["class_name"], row["label"]) for row in rows} == {("dog", 0), ("sea_lake", 1), ("cat", 2)}
    assert [row["request_id"] for row in rows] == list(range(15))
    names = [row["image"]["path"] for row in pq.read_table(next((tmp_path / "reused" / "data").iterdir())).to_pylist()]
    assert names[:3] == ["0000-base-000000.png", "0001-base-000000.png", "0002-base-000000.png"]


def test_several_datasets_are_asked_in_turn_and_unfinished_ones_too(tmp_path, pets):
    with pytest.raises(Crash):
        make(tmp_path / "cut", generator=crashing(FakeGenerator(preferred_batch_size=4), 4), classes=("dog", "cat"))
    have = len(list((tmp_path / "cut" / "data").iterdir())) * 8
    result, _ = make_and_count(tmp_path, (pets, tmp_path / "cut"), classes=("cat", "dog"))
    counts = {part.dataset: part.images for part in result.dataset.copied}
    assert counts == {"pets": 10, "cut": have // 2}
    assert have < 20


def test_one_image_serves_wherever_the_same_is_asked_for(tmp_path):
    """With shared noise, two strategies can ask for one image."""
    make(tmp_path / "base", shared_noise=True, strategies="base")
    options = {"shared_noise": True, "strategies": ("base", "base@1:5", "base@7.5"), "images_per_class": 5}
    result, drawn = make_and_count(tmp_path, tmp_path / "base", **options)
    assert {request.strategy for request in drawn} == {"base@1:5"}
    assert (result.drawn, result.copied) == (10, 20)


def test_large_files_are_read_where_the_images_are(tmp_path):
    options = {"classes": ("cat",), "strategies": ("base",), "images_per_class": 300}
    make(tmp_path / "there", shard_size=300, **options)
    options["strategies"] = ("class_prompt", "base")
    result, _ = make_and_count(tmp_path, tmp_path / "there", shard_size=70, **options)
    assert result.copied == 300


class ElsewhereExecutor(ShuffledExecutor):
    """Has the work and its items pickled, as for another process."""

    def map(self, work, items):
        return super().map(pickle.loads(pickle.dumps(work)), items)


def load_fake():
    return FakeGenerator()


@pytest.mark.parametrize("executor", [ShuffledExecutor(), ElsewhereExecutor()])
def test_any_executor_copies(tmp_path, monkeypatch, pets, executor):
    monkeypatch.setattr(sys.modules["synthset.create.stage"], "load", lambda config: FakeGenerator())
    config = CreateConfig(strategies="base", images_per_class=9, shard_size=8, generator="owner/name", reuse=pets)
    result = create(CLASSES, tmp_path / "d", config, executor=executor)
    assert (result.drawn, result.copied) == (8, 10)
    make(tmp_path / "drawn", strategies="base", images_per_class=9)
    assert files(tmp_path / "d") == files(tmp_path / "drawn")


def test_datasets_at_a_url_are_copied_from_and_to(tmp_path, pets):
    url = f"memory://bucket/{tmp_path.name}"
    assert make(url, reuse=pets).copied == 20
    assert make(tmp_path / "back", reuse=(url,)).copied == 20
    assert files(tmp_path / "back") == files(pets)


# ---- retries, failures, filters, real images, sentences ---------------------------------------------------


def test_a_copied_image_keeps_its_attempts_and_a_failure_is_drawn_again(tmp_path):
    def flaky(request):
        return "ok" if request.seed % 3 == 0 and request.class_name == "cat" else "failed"

    options = {"max_failures": 1.0, "strategies": ("base",), "images_per_class": 20, "shard_size": 16}
    make(tmp_path / "there", generator=FakeGenerator(status=flaky), **options)
    there = open_dataset(tmp_path / "there")
    attempts = there.rows.column("attempts").to_pylist()
    assert max(attempts) > 1 < there.accounting.failed
    generator = FakeGenerator(status=flaky)
    result = make(tmp_path / "here", generator=generator, reuse=tmp_path / "there", **options)
    assert result.copied == len(attempts)
    assert result.dataset.rows == there.rows
    assert result.accounting == there.accounting
    assert pq.read_table(tmp_path / "here/failures.parquet") == pq.read_table(tmp_path / "there/failures.parquet")
    assert len({request.id for request in asked(generator)}) == there.accounting.failed


def test_refilling_copies_further_rounds_and_no_verdict(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path / "cache"))
    options = {"refill": "clip", "images_per_class": 6, "encoder": ParityEncoder(CLASSES)}
    there = make(tmp_path / "there", **options)
    assert there.refill.rounds
    generator = FakeGenerator()
    plain = make(tmp_path / "plain", generator=generator, reuse=tmp_path / "there", images_per_class=6)
    assert (plain.drawn, generator.batches) == (0, [])
    assert not (tmp_path / "plain" / "filters").exists()
    again = make(tmp_path / "again", generator=generator, reuse=tmp_path / "there", **options)
    assert (again.drawn, again.copied, generator.batches) == (0, there.drawn, [])
    assert again.refill.rounds == there.refill.rounds
    assert again.refill.filled.copied == sum(there.refill.rounds)
    assert sum(part.images for part in again.dataset.copied) == there.drawn
    assert hashes(tmp_path / "again") == hashes(tmp_path / "there")


class FakeFromImages(FakeGenerator):
    def generate_from(self, requests, initial_images):
        return self.generate(requests)


def test_images_that_begin_at_others_or_elsewhere_are_not_copied(tmp_path):
    options = {"initial_images": photos(), "shots": 2, "shots_seed": 1, "strategies": "base"}
    make(tmp_path / "there", FROM, generator=FakeFromImages(), **options)

    def reuse(name, **others):
        options_here = {**options, "generator": FakeFromImages(), "reuse": tmp_path / "there"} | others
        return make(tmp_path / name, FROM, **options_here).copied

    assert reuse("same", images_per_class=6) == 10
    assert reuse("other strength", strength=0.9) == 0
    one_of_two = reuse("more shots", shots=3, strength=0.4)
    assert 0 < one_of_two < 10  # an image takes one of them in turn
    assert len(open_dataset(tmp_path / "same").initial_images()) == 4


FROM = ("cat", "sea_lake")


@dataclass
class Writer:
    asked: list
    name: str = "fake"
    fingerprint: str = "f"

    def write(self, class_name, phrase, count, seed):
        self.asked.append(class_name)
        return [f"{class_name} {len(self.asked)} no. {i}" for i in range(count)]


def test_sentences_are_taken_from_there_too(tmp_path, monkeypatch):
    writer = Writer([])
    monkeypatch.setattr(SentenceConfig, "load_writer", lambda self, generator, device: writer)
    make(tmp_path / "there", strategies="language_enhancement", sentences=SentenceConfig(count=3))
    options = {"strategies": ("language_enhancement",), "sentences": SentenceConfig(count=3)}
    options |= {"classes": ("cat", "dog", "sea_lake"), "reuse": tmp_path / "there"}
    result = make(tmp_path / "here", **options)
    assert writer.asked == ["cat", "sea_lake", "dog"]
    assert (result.drawn, result.copied) == (5, 10)


# ---- nothing is copied, and why ---------------------------------------------------------------------------


@dataclass
class OtherGenerator(FakeGenerator):
    departures: tuple = ()

    @property
    def config(self):
        return replace(super().config, **dict(self.departures))


@pytest.mark.parametrize(
    ("departure", "reason"),
    [
        ({"weights_hash": "1" * 64}, f'its images are drawn otherwise (generation.weights_hash: "{"0" * 64}" there, '),
        ({"model": "another"}, 'its images are drawn otherwise (generation.model: "fake" there, "another" here)'),
        ({"dtype": "bfloat16"}, 'its images are drawn otherwise (generation.dtype: "float32" there, "bfloat16" here)'),
        ({"engine": "compiled"}, 'its images are drawn otherwise (generation.engine: "eager" there, "compiled" here)'),
    ],
)
def test_of_another_generator_nothing_is_copied_and_it_is_said(tmp_path, pets, caplog, departure, reason):
    generator = OtherGenerator(departures=tuple(departure.items()))
    result = make(tmp_path / "d", generator=generator, reuse=pets)
    assert (result.drawn, result.copied, result.dataset.copied) == (20, 0, ())
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"Nothing is copied from '{pets}': {reason}")


def test_a_checkpoint_may_have_another_name_where_all_its_hashes_are_known(tmp_path):
    def checkpoint(model, revision, **parts):
        departures = {"model": model, "revision": revision, "parts": {"model_index": "1", "vae": "2"} | parts}
        return OtherGenerator(departures=tuple(departures.items()))

    make(tmp_path / "there", generator=checkpoint("owner/name", "abc"))
    assert make(tmp_path / "same", generator=checkpoint("a/folder", None), reuse=tmp_path / "there").copied == 20
    other = checkpoint("owner/name", "abc", vae="3")
    assert make(tmp_path / "other", generator=other, reuse=tmp_path / "there").copied == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"resize_px": 6}, "its images are stored otherwise (images.resize_px: null there, 6 here)"),
        ({"image_format": "webp"}, 'its images are stored otherwise (images.format: "auto" there, "webp" here)'),
        ({"seed": 65}, "it has no image that this job lacks (seed: 64 there, 65 here)"),
        ({"negative_prompt": "text"}, 'it has no image that this job lacks (negative_prompt: "" there, "text" here)'),
    ],
)
def test_of_images_stored_or_asked_for_otherwise_nothing_is_copied(tmp_path, pets, caplog, options, reason):
    assert make(tmp_path / "d", reuse=pets, **options).copied == 0
    assert [record.getMessage() for record in caplog.records] == [f"Nothing is copied from '{pets}': {reason}."]


@pytest.mark.parametrize("options", [{"image_format": "png"}, {"quality": 80}, {"shard_size": 5}])
def test_settings_that_change_no_file_do_not_count(tmp_path, pets, options):
    assert make(tmp_path / "d", reuse=pets, **options).copied == 20
    assert files(tmp_path / "d") == files(pets)


def test_a_dataset_of_a_later_version_is_left_alone(tmp_path, pets, caplog):
    make(tmp_path / "later")
    written = manifest(tmp_path / "later")
    written["columns"].append("mood")
    written.pop("checksum")
    (tmp_path / "later" / "manifest.json").write_text(json.dumps(written))
    assert make(tmp_path / "d", reuse=(tmp_path / "later", pets)).copied == 20
    assert "a later version wrote it, with columns unknown to this one (mood)." in caplog.text


# ---- what is told -----------------------------------------------------------------------------------------


def test_a_dry_run_counts_what_would_be_copied_and_drawn(tmp_path, monkeypatch, pets):
    monkeypatch.setattr(sys.modules["synthset.create.stage"], "load", lambda config: FakeGenerator())
    make(tmp_path / "other", seed=1)
    folders = (str(pets), str(tmp_path / "other"))
    config = CreateConfig(strategies="base", images_per_class=9, generator="owner/name", reuse=folders)
    run = rehearse(CLASSES, config, tmp_path / "d")
    assert [(part.dataset, part.images) for part in run.reused.copied] == [("pets", 10)]
    (complaint,) = run.reused.complaints
    assert complaint.startswith(f"Nothing is copied from '{tmp_path / 'other'}': it has no image that this job lacks")
    plain = rehearse(CLASSES, replace(config, reuse=()), tmp_path / "d")
    assert plain.reused is None
    assert run.estimate.seconds == pytest.approx(8 * run.estimate.seconds_per_image)
    assert (run.estimate.images, plain.estimate.copied) == (18, 0)
    assert not (tmp_path / "d").exists()
    with pytest.raises(UsageError, match="is none"):
        rehearse(CLASSES, replace(config, reuse=("nowhere",)), tmp_path / "d")


def test_the_command_says_what_is_copied(tmp_path, capsys):
    def run(folder, *options):
        words = f"create --classes one two --steps 1 --shard-size 4 --output-dir {tmp_path / folder}"
        return main([*words.split(), *options]), capsys.readouterr()

    assert run("a", "--images-per-class", "2")[0] == 0
    options = ("--images-per-class", "3", "--reuse", str(tmp_path / "a"))
    code, shown = run("b", *options, "--dry-run")
    assert code == 0
    assert "4 images are copied (4 from 'a'), 2 are drawn.\n" in shown.out
    code, shown = run("b", *options)
    assert code == 0
    assert "4 of 6 images are copied from 'a'\n" in shown.out
    code, shown = run("c", *options, "--reuse", str(tmp_path / "b"), "--json")
    result = json.loads(shown.out)["create"]
    assert (code, result["drawn"], result["copied"]) == (0, 0, 6)
    code, shown = run("a", *options[:2])
    assert code == 2
    assert f"Or draw into another folder with --reuse {tmp_path / 'a'}, which copies" in shown.err


# ---- what is the same -------------------------------------------------------------------------------------

REQUEST = Request(3, "cat", 1, "base", 2, "a cat", "text", 7.5, 11, "ab", 0.5, 20, ("cd", "ef"), (0.25, 0.75))
LABELS = {"id", "class_name", "class_index", "strategy", "index"}


def table_of(request):
    names = [item.name for item in fields(Request)]
    columns = {name: [getattr(request, name)] for name in names}
    return pa.Table.from_pydict(columns, schema=plan_schema(names))


@pytest.mark.parametrize("name", [item.name for item in fields(Request)])
def test_an_image_depends_on_every_field_but_on_what_it_is_called(name):
    value = getattr(REQUEST, name)
    other = replace(REQUEST, **{name: value[::-1] if isinstance(value, tuple | str) else value + 1})
    assert other != REQUEST
    is_same = np.array_equal(image_hashes(table_of(other)), image_hashes(table_of(REQUEST)))
    assert is_same == asks_same(REQUEST, other) == (name in LABELS)


def test_a_retry_asks_for_another_image(monkeypatch):
    for attempt in (1, 2):
        assert not asks_same(REQUEST, REQUEST.retried(attempt))
        retried = image_hashes(table_of(REQUEST.retried(attempt)))
        assert np.array_equal(image_hashes(table_of(REQUEST), attempt), retried)
    lacking = table_of(replace(REQUEST, strength=1.0)).drop_columns(["strength"])  # as an older dataset does
    assert np.array_equal(image_hashes(lacking), image_hashes(table_of(replace(REQUEST, strength=1.0))))
