import json
import sys
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parity_encoder import ParityEncoder
from small_datasets import hashes
from synthset.core.errors import ConfigChangedError, DataError, FailureThresholdError, UnknownNameError, UsageError
from synthset.core.seeds import derive_seed
from synthset.create.stage import create
from synthset.dataset.reader import open_dataset
from synthset.dataset.verdicts import verdicts_path
from synthset.encoders.clip import load_encoder
from synthset.filters import FilterConfig, filter_dataset
from synthset.testing import FakeGenerator, ShuffledExecutor

CLASSES = ("cat", "dog")
STRATEGIES = ("base", "random_guidance")


@pytest.fixture(autouse=True)
def _small_and_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path / "cache"))


def make(folder, generator=None, encoder=None, classes=CLASSES, **options):
    options = {"strategies": STRATEGIES, "images_per_class": 6, "refill": "clip", "shard_size": 8} | options
    encoder = encoder or ParityEncoder(tuple(classes))
    return create(
        classes, folder, generator=generator or FakeGenerator(preferred_batch_size=4), encoder=encoder, **options
    )


def cells(rows):
    """Images of each strategy and class."""
    return Counter(zip(rows.column("strategy").to_pylist(), rows.column("class_name").to_pylist(), strict=True))


def tables(folder):
    """Everything that a run decides, without times."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*.parquet"))
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["seconds"]
    return {str(name): pq.read_table(folder / name).to_pylist() for name in names}, manifest


def only_cats(**options):
    encoder = ParityEncoder(**options)
    encoder.guess = lambda image: 0
    return encoder


# ---- what comes of it -------------------------------------------------------------------------------------


def test_each_class_and_strategy_has_its_quota_of_kept_images(tmp_path):
    result = make(tmp_path / "pets")
    dataset = result.dataset
    kept = dataset.rows.filter(pa.array(dataset.kept()))
    assert cells(kept) == {(strategy, name): 6 for strategy in STRATEGIES for name in CLASSES}
    assert len(dataset.images()) == result.refill.kept == 24
    assert result.refill.rejected == dataset.rows.num_rows - 24 > 0
    assert result.refill.short == ()
    assert result.accounting.requested == result.accounting.ok == dataset.rows.num_rows
    assert result.accounting.requested == 24 + sum(result.refill.rounds)
    assert result.drawn == result.accounting.requested


def test_nothing_that_fails_is_admitted(tmp_path):
    dataset = make(tmp_path / "pets").dataset
    encoder, images = ParityEncoder(), dataset.images()
    assert all(encoder.guess(images.image(i)) == images.labels[i] for i in range(len(images)))
    everything = dataset.images(kept=False)
    agreed = sum(encoder.guess(everything.image(i)) == everything.labels[i] for i in range(len(everything)))
    assert agreed == 24


def test_further_images_are_those_of_a_larger_run(tmp_path):
    dataset = make(tmp_path / "pets").dataset
    rows = dataset.rows.to_pylist()
    assert len({row["request_id"] for row in rows}) == len(rows)
    for (strategy, name), count in cells(dataset.rows).items():
        cell = [row for row in rows if row["strategy"] == strategy and row["class_name"] == name]
        assert [row["index"] for row in cell] == list(range(count))
        assert all(row["seed"] == derive_seed(64, name, strategy, row["index"]) for row in cell)
    larger = make(tmp_path / "larger", refill=None, images_per_class=30).dataset.rows.to_pylist()
    known = {(row["strategy"], row["class_name"], row["index"]): row["sha256"] for row in larger}
    assert all(known[row["strategy"], row["class_name"], row["index"]] == row["sha256"] for row in rows)


def test_rounds_are_on_record(tmp_path):
    result = make(tmp_path / "pets")
    folder = result.dataset.folder
    plans = [pq.read_table(path) for path in sorted(folder.glob("plan-refill-*.parquet"))]
    assert [plan.num_rows for plan in plans] == list(result.refill.rounds)
    assert len(plans) >= 2
    ids = [i for plan in [pq.read_table(folder / "plan.parquet"), *plans] for i in plan.column("id").to_pylist()]
    assert ids == list(range(result.accounting.requested))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["refill"]["rounds"] == list(result.refill.rounds)
    assert manifest["refill"]["kept"] == 24
    assert manifest["job"]["refill"]["method"] == "clip"
    assert manifest["job"]["refill"]["encoder"]["fingerprint"] == "aa" * 32
    assert manifest["status"] == "complete"
    assert "drawn until the filter `clip` kept enough" in (folder / "README.md").read_text()
    # the verdicts cover all of it
    assert pq.read_table(verdicts_path(folder, "clip")).column("request_id").to_pylist() == ids


def test_equal_parts_are_equal_after_refilling(tmp_path):
    dataset = make(tmp_path / "pets", strategies=("all_combined",), images_per_class=8).dataset
    rows = dataset.rows.take(dataset.select("all_combined_equal"))
    assert set(cells(rows).values()) == {2}
    assert len(cells(rows)) == 8
    assert set(cells(dataset.rows.take(dataset.select("all_combined"))).values()) == {8}


def test_what_could_not_be_drawn_is_refilled_too(tmp_path):
    def status(request):
        return "failed" if request.seed % 4 == 0 else "ok"

    generator = FakeGenerator(preferred_batch_size=4, status=status)
    sometimes = make(tmp_path / "some", generator, max_failures=1.0)
    assert len(sometimes.dataset.images()) == 24
    # retries take other seeds; here a class fails for good
    broken = FakeGenerator(status=lambda request: "flagged" if "dog" in request.prompt else "ok")
    with pytest.raises(FailureThresholdError):
        make(tmp_path / "none", broken, max_draws=10)
    accounting = open_dataset(tmp_path / "none").accounting
    assert accounting.flagged == 20
    assert accounting.requested == accounting.ok + accounting.flagged + accounting.failed


def test_odd_class_names(tmp_path):
    names = ("cat..*", "dog: no. 1|2", "<i>& crane")
    dataset = make(tmp_path / "pets", classes=names, images_per_class=4).dataset
    assert cells(dataset.rows.filter(pa.array(dataset.kept()))) == {(s, name): 4 for s in STRATEGIES for name in names}
    assert {path.name for path in tmp_path.iterdir()} <= {"pets", "cache"}


def test_other_filters_refill_too(tmp_path):
    result = make(tmp_path / "pets", refill="duplicates", filter=FilterConfig(hash_distance=24, similarity=-1.0))
    assert result.refill.kept == 24
    assert result.refill.rejected > 0


# ---- again, and after an interruption ---------------------------------------------------------------------


def test_the_same_job_again_does_nothing(tmp_path):
    folder = make(tmp_path / "pets").dataset.folder
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet") if path.name != "failures.parquet"}
    encoder, generator = ParityEncoder(), FakeGenerator(preferred_batch_size=4)
    again = make(folder, generator, encoder)
    assert (again.drawn, generator.batches, encoder.looked_at) == (0, [], [])
    assert again.refill.kept == 24
    assert {path: path.stat().st_mtime_ns for path in written} == written


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


class DyingGenerator(FakeGenerator):
    def generate(self, requests):
        if len(self.batches) == self.lives:
            raise Killed
        return super().generate(requests)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Of an uninterrupted run: its tables, and the numbers of its batches."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("whole")
        patch.setenv("SYNTHSET_CACHE", str(folder / "cache"))
        generator = FakeGenerator(preferred_batch_size=4)
        make(folder / "pets", generator)
        return tables(folder / "pets"), len(generator.batches)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.55, 0.7, 0.8, 0.9, 0.99])
def test_a_run_killed_while_drawing_ends_as_if_it_had_not_been(tmp_path, whole, share):
    expected, batches = whole
    dying = DyingGenerator(preferred_batch_size=4)
    dying.lives = int(share * batches)
    with pytest.raises(Killed):
        make(tmp_path / "pets", dying)
    with pytest.raises(DataError, match="not finished"):
        open_dataset(tmp_path / "pets")
    make(tmp_path / "pets")
    assert tables(tmp_path / "pets") == expected


@pytest.mark.parametrize("step", ["write_verdicts", "judge"])
@pytest.mark.parametrize("lives", [0, 1, 2])
def test_a_run_killed_while_judging_ends_as_if_it_had_not_been(tmp_path, whole, monkeypatch, step, lives):
    module = sys.modules["synthset.create.refill"]
    real_step, calls = getattr(module, step), []

    def die(*arguments):
        if len(calls) == lives:
            raise Killed
        calls.append(arguments)
        return real_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, step, die)
        with pytest.raises(Killed):
            make(tmp_path / "pets")
    make(tmp_path / "pets")
    assert tables(tmp_path / "pets") == whole[0]


def test_the_order_of_work_changes_nothing(tmp_path, whole):
    make(tmp_path / "pets", executor=ShuffledExecutor())
    assert tables(tmp_path / "pets") == whole[0]


def test_a_lost_shard_is_drawn_again_as_it_was(tmp_path, whole):
    make(tmp_path / "pets")
    shards = sorted((tmp_path / "pets" / "data").glob("*.parquet"))
    shards[1].unlink()
    shards[-1].unlink()
    assert make(tmp_path / "pets").drawn > 0
    assert tables(tmp_path / "pets") == whole[0]


def test_damaged_or_other_verdicts_are_made_again(tmp_path, whole):
    folder = make(tmp_path / "pets").dataset.folder
    verdicts_path(folder, "clip").write_bytes(b"not a table")
    make(folder)
    assert tables(folder) == whole[0]
    filter_dataset(folder, encoder=ParityEncoder(), threshold=0.99999999)
    assert make(folder).drawn == 0
    assert tables(folder) == whole[0]


def test_a_lost_plan_of_a_round_is_an_error_and_not_another_round(tmp_path):
    folder = make(tmp_path / "pets").dataset.folder
    before = hashes(folder)
    (folder / "plan-refill-00.parquet").unlink()
    with pytest.raises(DataError, match="Give overwrite"):
        make(folder)
    assert hashes(folder) == before
    make(folder, overwrite=True)
    assert hashes(folder) == before


def test_verdicts_of_other_filters_are_stale_after_another_round(tmp_path):
    folder = tmp_path / "pets"
    with pytest.raises(FailureThresholdError):
        make(folder, encoder=only_cats(), max_draws=8)
    filter_dataset(folder, ["duplicates"], encoder=only_cats())
    with pytest.raises(FailureThresholdError):
        make(folder, encoder=only_cats(), max_draws=9)
    with pytest.raises(DataError, match="Run the filter again"):
        open_dataset(folder).images()
    filter_dataset(folder, ["duplicates"], encoder=only_cats())
    assert len(open_dataset(folder).images()) == 12


# ---- where it ends ----------------------------------------------------------------------------------------


def test_a_class_that_cannot_be_filled_ends_at_the_cap_and_is_named(tmp_path):
    folder = tmp_path / "pets"
    with pytest.raises(FailureThresholdError, match=r"dog \(base\): 0 of 6 in 30 draws; .* phrases.* max_draws"):
        make(folder, encoder=only_cats())
    dataset = open_dataset(folder)
    assert cells(dataset.rows) == {(s, name): 6 if name == "cat" else 30 for s in STRATEGIES for name in CLASSES}
    assert set(dataset.images().labels) == {0}
    generator = FakeGenerator(preferred_batch_size=4)
    with pytest.raises(FailureThresholdError, match="dog"):  # the same again, without drawing
        make(folder, generator, only_cats())
    assert generator.batches == []
    before = hashes(folder)
    with pytest.raises(FailureThresholdError, match="0 of 6 in 33 draws"):  # a higher cap goes on
        make(folder, encoder=only_cats(), max_draws=33)
    after = hashes(folder)
    assert len(after) == len(before) + 6
    assert {i: after[i] for i in before} == before
    assert FailureThresholdError.exit_code == 3


def test_nothing_at_all_that_can_be_drawn(tmp_path):
    generator = FakeGenerator(status=lambda request: "failed")
    with pytest.raises(FailureThresholdError):
        make(tmp_path / "pets", generator, images_per_class=1, max_draws=2)
    assert open_dataset(tmp_path / "pets").accounting.failed == 8


def test_one_class_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match="among one class p is always 1"):
        make(tmp_path / "cats", classes=("cat",))
    assert not (tmp_path / "cats").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"filter": FilterConfig(keep_share=0.5)}, "keep_share"),
        ({"max_draws": 5}, "at least images_per_class=6"),
        ({"refill": None, "max_draws": 50}, "refill with max_draws, e.g. refill=clip"),
        ({"refill": "real"}, "real=digits"),
        ({"refill": "clip", "strategies": ("prompt_augmentation",), "max_draws": 10**9}, "prompts"),
    ],
)
def test_what_cannot_be_refilled_by_is_refused(tmp_path, options, match):
    with pytest.raises(UsageError, match=match):
        make(tmp_path / "pets", **options)
    assert not (tmp_path / "pets").exists()


def test_an_unknown_filter_lists_the_valid_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="clip, real, duplicates"):
        make(tmp_path / "pets", refill="clap")


def test_another_filter_is_another_job(tmp_path):
    folder = make(tmp_path / "pets").dataset.folder
    before = hashes(folder)
    other = ParityEncoder(fingerprint="bb" * 32)
    with pytest.raises(ConfigChangedError, match=r"refill\.encoder\.fingerprint"):
        make(folder, encoder=other)
    with pytest.raises(ConfigChangedError, match=r"refill\.threshold"):
        make(folder, filter=FilterConfig(threshold=0.9))
    with pytest.raises(ConfigChangedError, match=r"refill\.method"):
        make(folder, refill=None)
    assert hashes(folder) == before
    plain = make(tmp_path / "plain", refill=None).dataset.folder
    with pytest.raises(ConfigChangedError, match=r"refill\.method"):
        make(plain)
    assert not (plain / "filters").exists()


def test_a_sentence_that_the_filter_would_cut_is_refused_before_anything_is_drawn(tmp_path):
    generator, encoder = FakeGenerator(), load_encoder("miniature")
    config = FilterConfig(templates=("digit " * 90 + "{class}",))
    with pytest.raises(UsageError, match=r"reads whole for the clip filter, got 2 that it would cut, e\.g\. 'digit"):
        make(tmp_path / "pets", generator, encoder, filter=config)
    assert (generator.batches, list(tmp_path.glob("pets*"))) == ([], [])
