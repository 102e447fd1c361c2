"""One contract for all executors: every result, every exception, bounded work in flight, nothing lost with a worker."""

import builtins
import importlib.util
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import synthset
from synthset.core.errors import SynthsetError, UnknownNameError, UsageError
from synthset.dataset.reader import open_dataset
from synthset.dataset.writer import DatasetWriter
from synthset.encoders.embed import EmbeddingCache, embed_images, fill_cache
from synthset.executors import LocalExecutor, load_executor
from synthset.filters import filter_dataset
from synthset.testing import FakeEncoder, FakeGenerator, ShuffledExecutor


@pytest.fixture(scope="session")
def ray_executor():
    if importlib.util.find_spec("ray") is None:  # not imported here: how it is imported is ours to say
        pytest.skip("Ray is not installed")
    from synthset.executors.ray import RayExecutor

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep
        )  # workers find the functions of this file
        executor = RayExecutor(num_workers=2)
        list(executor.map(str, [0]))  # starts Ray
        yield executor


@pytest.fixture(params=["local", "shuffled", "ray"])
def executor(request):
    if request.param == "ray":
        return request.getfixturevalue("ray_executor")
    return {"local": LocalExecutor(), "shuffled": ShuffledExecutor(3)}[request.param]


def square(number):
    return number * number


def refuse_three(number):
    if number == 3:
        raise UsageError("Expected another number, got three.")
    return number


@dataclass
class Fatal:
    """Kills its process at some items, until a file says that it has done so."""

    folder: str
    items: tuple[int, ...]
    times: int = 1

    def __call__(self, item):
        for time in range(self.times if item in self.items else 0):
            try:
                os.close(os.open(f"{self.folder}/{item}-{time}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        return item, os.getpid()


def test_every_result_is_yielded(executor):
    assert Counter(executor.map(square, range(20))) == Counter(map(square, range(20)))
    assert list(executor.map(square, [])) == []


def test_every_exception_is_raised_as_itself(executor):
    with pytest.raises(UsageError, match="got three"):
        list(executor.map(refuse_three, range(6)))
    assert sorted(executor.map(square, [1, 2])) == [1, 4]  # and the next work is done


def test_items_are_taken_as_there_are_workers_for_them(ray_executor):
    taken = []
    results = ray_executor.map(square, (taken.append(i) or i for i in range(100)))
    next(results)
    assert len(taken) <= 4 + 1
    results.close()


def test_a_lost_worker_costs_only_its_items(ray_executor, tmp_path, caplog):
    results = list(ray_executor.map(Fatal(str(tmp_path), (2, 7)), range(10)))
    assert sorted(item for item, _ in results) == list(range(10))
    assert len(list(tmp_path.iterdir())) == 2  # so two workers died
    assert caplog.text.count("A worker was lost") == 2
    assert os.getpid() not in {process for _, process in results}


def test_a_worker_for_which_there_is_no_place_keeps_nothing_from_being_done(ray_executor):
    wide = replace(ray_executor, num_workers=5)  # of a cluster with two cores
    assert sorted(wide.map(square, range(20))) == sorted(map(square, range(20)))


def test_an_item_that_kills_every_worker_is_named(ray_executor, tmp_path):
    with pytest.raises(SynthsetError, match="live through item 1, 5 did not"):
        list(ray_executor.map(Fatal(str(tmp_path), (1,), times=99), range(3)))


def test_a_dataset_is_the_same_for_any_executor(executor, tmp_path):
    def make(folder, **options):
        options = {"strategies": ["base", "random_guidance"], "images_per_class": 20, "shard_size": 16} | options
        return synthset.create(["one", "two"], folder, generator=FakeGenerator(), **options)

    result = make(tmp_path / "other", executor=executor)
    make(tmp_path / "here")
    assert (result.drawn, result.accounting.ok) == (80, 80)
    for one, other in zip(open_dataset(tmp_path / "here").shards, result.dataset.shards, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_the_model_is_loaded_where_it_draws(ray_executor, tmp_path, monkeypatch):
    options = {"images_per_class": 6, "shard_size": 4, "steps": 2, "batch_size": 4}
    synthset.create(["one", "two"], tmp_path / "here", **options)
    monkeypatch.setattr(
        sys.modules["synthset.create.stage"], "load", lambda config: pytest.fail("loaded in the driver")
    )
    synthset.create(["one", "two"], tmp_path / "there", executor=ray_executor, **options)
    assert open_dataset(tmp_path / "there").rows.equals(open_dataset(tmp_path / "here").rows)


def test_embedding_and_filtering_by_workers_give_what_they_give_here(ray_executor, tmp_path):
    dataset = synthset.create(["one", "two"], tmp_path / "set", generator=FakeGenerator(), images_per_class=10).dataset
    cache = EmbeddingCache(tmp_path / "cache")
    fill_cache(dataset.images(), FakeEncoder(), cache, ray_executor, chunk=8)
    there = FakeEncoder()
    vectors = embed_images(dataset.images(), there, cache)
    assert there.batches == []
    assert vectors.equal(embed_images(dataset.images(), FakeEncoder()))
    kept = filter_dataset(tmp_path / "set", encoder=FakeEncoder(), cache=cache, executor=ray_executor).keep
    assert (kept == filter_dataset(tmp_path / "set", encoder=FakeEncoder()).keep).all()


class Unloadable:
    """Travels well and arrives badly."""

    def __reduce__(self):
        return os.path.getsize, ("/nothing here",)

    def __call__(self, item):
        return item


def test_work_that_does_not_load_in_a_worker_is_said_to_be_so(ray_executor):
    with pytest.raises(SynthsetError, match=r"does not load there .*No such file"):
        list(ray_executor.map(Unloadable(), range(3)))


def test_executors_by_name():
    assert isinstance(load_executor("local"), LocalExecutor)
    with pytest.raises(UnknownNameError, match="Valid: local, ray"):
        load_executor("slurm")
    with pytest.raises(UsageError, match="executor=ray with address=auto, got executor=local"):
        load_executor("local", "auto")
    with pytest.raises(UsageError, match="at least 1 worker, got 0"):
        load_executor("ray", num_workers=0)


def test_without_ray_the_pip_command_is_named(monkeypatch):
    real_import = builtins.__import__

    def without_ray(name, *arguments, **keywords):
        if name == "ray" or name.startswith("ray."):
            raise ImportError(name)
        return real_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(UsageError, match=r'pip install "synthset\[ray\]"'):
        load_executor("ray")


# ---- work in two parts --------------------------------------------------------------------------------------


@dataclass
class TwoParts:
    """Notes what it begins and finishes; `finish_of` says what finishing an item does first."""

    finish_of: Callable[[int], None] = lambda item: None
    notes: list[str] = field(default_factory=list)

    def __call__(self, item):
        return self.begin(item)()

    def begin(self, item):
        self.notes.append(f"begin {item}")

        def finish():
            self.finish_of(item)
            self.notes.append(f"finish {item}")
            return square(item)

        return finish


def test_work_in_two_parts_has_the_results_of_any_other(executor):
    assert Counter(executor.map(TwoParts(), range(20))) == Counter(map(square, range(20)))
    assert list(executor.map(TwoParts(), [])) == []


def test_one_item_is_begun_while_another_is_finished_and_no_more(tmp_path):
    begun = [threading.Event() for _ in range(3)]
    seen = []

    def finish(item):
        if item == 0:
            assert begun[1].wait(30), "item 1 waits for item 0"
            seen.append(begun[2].wait(0.3))  # it would begin now if nothing held it
        if item == 1:
            assert begun[2].wait(30), "item 2 waits for item 1"

    class Announcing(TwoParts):
        def begin(self, item):
            begun[item].set()
            return super().begin(item)

    work = Announcing(finish)
    assert list(LocalExecutor().map(work, range(3))) == [0, 1, 4]
    assert seen == [False]
    assert [note for note in work.notes if "finish" in note] == ["finish 0", "finish 1", "finish 2"]


def test_what_fails_behind_is_raised_and_nothing_is_begun_after_it():
    def finish(item):
        if item == 1:
            raise OSError("disk full")

    work = TwoParts(finish)
    results = LocalExecutor().map(work, range(9))
    assert next(results) == 0
    with pytest.raises(OSError, match="disk full"):
        next(results)
    assert "begin 3" not in work.notes
    with pytest.raises(OSError, match="disk full"):
        list(LocalExecutor().map(TwoParts(finish), range(2)))  # the last item has nothing in front of it


@pytest.mark.parametrize("error", [UsageError, KeyboardInterrupt])
def test_what_is_pending_is_finished_when_the_next_cannot_begin(error):
    class Stopping(TwoParts):
        def begin(self, item):
            if item == 2:
                raise error
            return super().begin(item)

    work = Stopping(lambda item: threading.Event().wait(0.1))
    with pytest.raises(error):
        list(LocalExecutor().map(work, range(9)))
    assert work.notes[-1] == "finish 1"


def test_of_two_failures_at_once_neither_is_lost():
    def fail(item):
        raise OSError("disk full")

    class Failing(TwoParts):
        def begin(self, item):
            if item == 1:
                raise UsageError("no device")
            return super().begin(item)

    with pytest.raises(OSError, match="disk full") as caught:
        list(LocalExecutor().map(Failing(fail), range(9)))
    assert isinstance(caught.value.__context__, UsageError)


def test_a_shard_is_written_while_the_next_is_drawn(tmp_path, monkeypatch):
    """The first shard's file waits until the second is being drawn: in turn, it would wait for ever."""
    second = threading.Event()
    write = DatasetWriter.write_shard

    class Announcing(FakeGenerator):
        def generate(self, requests):
            if requests[0].id >= 4:
                second.set()
            return super().generate(requests)

    def write_late(writer, shard, *rest):
        assert shard or second.wait(30), "the second shard is not drawn before the first is written"
        return write(writer, shard, *rest)

    monkeypatch.setattr(DatasetWriter, "write_shard", write_late)
    result = synthset.create(["one", "two"], tmp_path / "a", generator=Announcing(), images_per_class=4, shard_size=4)
    assert result.accounting.ok == 8


def test_a_shard_that_cannot_be_written_fails_the_run_and_those_before_it_stay(tmp_path, monkeypatch):
    write = DatasetWriter.write_shard

    def write_or_fail(writer, shard, *rest):
        if shard == 1:
            raise OSError(28, "No space left on device", "train-00001.parquet")
        return write(writer, shard, *rest)

    options = {"generator": FakeGenerator(), "images_per_class": 8, "shard_size": 4}
    with monkeypatch.context() as patch:
        patch.setattr(DatasetWriter, "write_shard", write_or_fail)
        with pytest.raises(OSError, match="No space"):
            synthset.create(["one", "two"], tmp_path / "a", **options)
    assert [path.name for path in (tmp_path / "a" / "data").iterdir()] == ["train-00000.parquet"]
    result = synthset.create(["one", "two"], tmp_path / "a", **options)
    assert (result.drawn, result.accounting.ok) == (12, 16)
