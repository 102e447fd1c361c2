"""Strategies that mix real images: what is planned, drawn, stored, resumed, and drawn again."""

import hashlib
import itertools
import math
import random
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from parity_encoder import ParityEncoder
from small_datasets import Crash, crashing, hashes, photo, photos
from synthset.cli import main
from synthset.core.errors import ConfigChangedError, UsageError
from synthset.core.seeds import derive_seed
from synthset.create import plan as create_plan
from synthset.create.plan import make_plan
from synthset.create.stage import CreateConfig, create
from synthset.dataset import plan as dataset_plan
from synthset.dataset.plan import Plan
from synthset.dataset.reader import open_dataset
from synthset.images.decoding import decode
from synthset.prompts.interpolation import MAX_MIXED
from synthset.prompts.strategies import resolve_strategies
from synthset.testing import FakeGenerator, ShuffledExecutor

CLASSES = ("cat", "sea_lake")
STRATEGIES = ("interpolate_three", "interpolate_all@1:5")


@dataclass
class ConditionedFake(FakeGenerator):
    """Draws noise about the mean colour of the mixture; without images, noise."""

    image_conditions: str = "possible"
    reads_text: bool = True
    files: list[dict[str, bytes]] = field(default_factory=list)

    def generate_from(self, requests, initial_images):
        self.files.append(dict(initial_images))
        images = self.generate(requests)
        for request, image in zip(requests, images, strict=True):
            colours = [np.asarray(decode(initial_images[name])).mean((0, 1)) for name in request.condition_images]
            if image.pixels is None:
                continue
            if colours:
                mixture = np.average(colours, axis=0, weights=request.condition_weights)
                image.pixels[:] = (image.pixels // 16 + mixture).astype(np.uint8)
            elif getattr(request, "initial_image", ""):
                image.pixels[0] = np.asarray(decode(initial_images[request.initial_image]))[0]
        return images


def make(folder, generator=None, **options):
    options = {"strategies": STRATEGIES, "images_per_class": 5, "initial_images": photos(), "shard_size": 8} | options
    return create(CLASSES, folder, generator=generator or ConditionedFake(preferred_batch_size=4), **options)


def plan(names=STRATEGIES, count=5, pools=(9, 9), classes=CLASSES, **options):
    images = [[f"{name}-{i}" for i in range(size)] for name, size in zip(classes, pools, strict=True)]
    return make_plan(classes, resolve_strategies(names, count), initial_images=images, **options)


# ---- mixtures ---------------------------------------------------------------------------------------------


def test_weights_are_those_of_an_independent_computation():
    for request in plan(count=20).requests():
        rng = random.Random(derive_seed(request.seed, "condition"))
        pool = [f"{request.class_name}-{i}" for i in range(9)]
        chosen = rng.sample(pool, 3) if request.strategy == "interpolate_three" else pool
        waiting = [-math.log(1 - rng.random()) for _ in chosen]
        assert request.condition_images == tuple(chosen)
        np.testing.assert_allclose(request.condition_weights, np.array(waiting) / sum(waiting), rtol=1e-6)
        assert request.prompt == ""


@pytest.mark.parametrize(("strategy", "count"), [("interpolate_three", 3), ("interpolate_all", 9)])
def test_mixtures_are_uniform_on_the_simplex(strategy, count):
    requests = list(plan([strategy], 3000, classes=["cat"], pools=[9]).requests())
    assert all(len(set(request.condition_images)) == count for request in requests)
    weights = np.array([request.condition_weights for request in requests])
    assert weights.shape == (3000, count)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    # of a uniform point, each coordinate is Beta(1, count - 1), and each is as often the largest
    for column in weights.T:
        assert stats.kstest(column, stats.beta(1, count - 1).cdf).pvalue > 1e-3
    assert stats.chisquare(np.bincount(weights.argmax(1))).pvalue > 1e-3
    # and the share of one in two of them is uniform
    assert stats.kstest(weights[:, 0] / weights[:, :2].sum(1), "uniform").pvalue > 1e-3


def test_all_threes_are_equally_likely():
    requests = plan(["interpolate_three"], 4200, classes=["cat"], pools=[9]).requests()
    counts = Counter(frozenset(request.condition_images) for request in requests)
    assert len(counts) == math.comb(9, 3)
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_three_points_spread_more_than_all():
    """The finding in numbers, without a network: one-hot images stand for embeddings in all directions."""
    spread = {}
    for strategy in ("interpolate_three", "interpolate_all"):
        points = np.zeros((500, 60))
        for row, request in zip(points, plan([strategy], 500, classes=["cat"], pools=[60]).requests(), strict=True):
            row[[int(name.partition("-")[2]) for name in request.condition_images]] = request.condition_weights
        spread[strategy] = points.var(0).sum()
    # the trace of the covariance: 3 · E[w²] - 1/60 of three, and of all with Dirichlet's E[w²] = 2 / (n (n + 1))
    np.testing.assert_allclose(spread["interpolate_three"], 1 / 2 - 1 / 60, rtol=0.05)
    np.testing.assert_allclose(spread["interpolate_all"], 2 / 61 - 1 / 60, rtol=0.05)


# ---- the plan ---------------------------------------------------------------------------------------------


def test_a_mixture_does_not_depend_on_the_rest_of_the_plan():
    def by_key(plan):
        return {(r.class_name, r.strategy, r.index): r for r in plan.requests() if r.condition_images}

    small = by_key(plan(["interpolate_three"], 2))
    large = by_key(plan(["base", "interpolate_all", "interpolate_three"], 9, strength=0.3))
    for key, request in small.items():
        assert large[key].condition_images == request.condition_images
        assert large[key].condition_weights == request.condition_weights
    assert request.retried(1).condition_weights == request.condition_weights


def test_a_plan_of_several_blocks_is_the_plan_of_one(monkeypatch):
    whole = plan(["base", *STRATEGIES], 20)
    for module in (create_plan, dataset_plan):
        monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    parts = plan(["base", *STRATEGIES], 20)
    assert parts.table.column("id").num_chunks > 1
    assert parts.hash == whole.hash
    assert list(parts.requests(5, 70)) == list(whole.requests(5, 70))


def test_the_hash_tells_other_mixtures_and_survives_the_file(tmp_path):
    one = plan()
    assert one.hash == plan().hash
    images = [[f"{name}-{i}" for i in (1, 0, *range(2, 9))] for name in CLASSES]
    swapped = make_plan(CLASSES, resolve_strategies(STRATEGIES, 5), initial_images=images)
    assert len({one.hash, plan(seed=65).hash, plan(pools=(9, 8)).hash, swapped.hash}) == 4
    # lists that join to the same bytes
    table = one.table
    for column in ("condition_images", "condition_weights"):
        place = table.column_names.index(column)
        values = table.column(column).combine_chunks()
        moved = type(values).from_arrays(
            [0, *values.offsets.to_pylist()[1:-1], values.offsets.to_pylist()[-1]], values.values
        )
        assert Plan(CLASSES, STRATEGIES, table.set_column(place, column, moved)).hash == one.hash
        offsets = values.offsets.to_pylist()
        offsets[1] += 1
        moved = type(values).from_arrays(offsets, values.values)
        assert Plan(CLASSES, STRATEGIES, table.set_column(place, column, moved)).hash != one.hash
    pq.write_table(table, tmp_path / "plan.parquet")
    assert Plan(CLASSES, STRATEGIES, pq.read_table(tmp_path / "plan.parquet")).hash == one.hash


def test_other_strategies_still_begin_at_the_images_and_plans_have_only_the_columns_that_they_need():
    guided = {"initial_image", "strength"}
    conditions = {"condition_images", "condition_weights"}
    assert conditions < set(plan().table.column_names)
    assert not guided & set(plan().table.column_names)
    assert not conditions & set(plan(["base"]).table.column_names)
    both = plan(["base", "interpolate_three"], strength=0.3)
    assert guided | conditions < set(both.table.column_names)
    for request, alone in zip(both.requests(0, 10), plan(["base"], strength=0.3).requests(), strict=True):
        assert request == alone
        assert (request.strength, request.condition_images) == (0.3, ())
    for request in both.requests(10):
        assert (request.initial_image, request.strength, len(request.condition_images)) == ("", 1.0, 3)


def test_a_plan_stays_columns():
    """Words as indices: sixty names and weights take 8 bytes each, not the 64 of a hash in hexadecimal."""
    table = plan(["interpolate_all"], 500, pools=(60, 60)).table
    assert table.nbytes / table.num_rows < 600


@pytest.mark.parametrize(
    ("pools", "strategies", "words"),
    [
        (
            (9, 2),
            ["interpolate_three"],
            "at least 3 different real images .* for interpolate_three, got 2 of 'sea_lake'",
        ),
        ((9, 0), ["interpolate_all"], "at least 1 different real images of each class for interpolate_all, got 0"),
        ((9, MAX_MIXED + 1), ["interpolate_all"], "at most 1,000 real images .* Give shots"),
    ],
)
def test_too_few_and_too_many_images_are_one_clear_line(pools, strategies, words):
    with pytest.raises(UsageError, match=words) as caught:
        plan(strategies, pools=pools)
    assert "\n" not in str(caught.value)


def test_the_same_image_twice_counts_once():
    with pytest.raises(UsageError, match="at least 3 different real images"):
        make_plan(["cat"], resolve_strategies(["interpolate_three"], 1), initial_images=[["a", "b", "a"]])


def test_three_of_more_than_can_be_mixed_are_fine():
    (request,) = plan(["interpolate_three"], 1, classes=["cat"], pools=[MAX_MIXED + 1]).requests()
    assert len(request.condition_images) == 3


# ---- the dataset ------------------------------------------------------------------------------------------


def test_each_image_is_stored_with_its_mixture_and_drawn_again_from_that(tmp_path):
    generator = ConditionedFake(preferred_batch_size=4)
    dataset = make(tmp_path / "pets", generator).dataset
    real = dataset.initial_images()
    assert all(files == real for files in generator.files)
    of_class = [set(), set()]
    for row in pq.read_table(tmp_path / "pets" / "real-images.parquet").to_pylist():
        assert hashlib.sha256(row["bytes"]).hexdigest() == row["sha256"]
        of_class[row["label"]].add(row["sha256"])
    requests = dataset.requests()
    for number, row in enumerate(dataset.rows.to_pylist()):
        assert set(row["condition_images"]) <= of_class[row["label"]]
        assert len(row["condition_images"]) == (3 if row["strategy"] == "interpolate_three" else 5)
        (image,) = ConditionedFake().generate_from([requests[number]], real)
        np.testing.assert_array_equal(np.asarray(dataset.images().image(number)), image.pixels)
    assert "strength" not in dataset.rows.column_names

    described = dataset.manifest["job"]["initial_images"]
    assert described["mixed"] == {"interpolate_three": 3, "interpolate_all@1:5": "all"}
    assert (described["images"], "strength" in described) == (10, False)
    card = (tmp_path / "pets" / "README.md").read_text()
    assert "`interpolate_three` is drawn from a mixture of 3 of its class" in card
    assert "begins at" not in card


def test_a_retry_has_another_seed_and_the_same_mixture(tmp_path):
    tried = set()

    def first_fails(request):
        seen = request.condition_images in tried
        tried.add(request.condition_images)
        return "ok" if seen else "blank"

    rows = make(tmp_path / "pets", ConditionedFake(status=first_fails), strategies=("interpolate_three",))
    planned = {
        request.id: request
        for request in Plan(CLASSES, (), pq.read_table(tmp_path / "pets" / "plan.parquet")).requests()
    }
    retried = [row for row in rows.dataset.rows.to_pylist() if row["attempts"] == 2]
    assert retried
    for row in retried:
        assert row["seed"] != planned[row["request_id"]].seed
        assert tuple(row["condition_images"]) == planned[row["request_id"]].condition_images
        assert tuple(row["condition_weights"]) == planned[row["request_id"]].condition_weights


def test_real_guidance_and_mixtures_in_one_job(tmp_path):
    dataset = make(tmp_path / "pets", strategies=("base", "interpolate_three"), strength=0.4).dataset
    for row in dataset.rows.to_pylist():
        mixes = row["strategy"] == "interpolate_three"
        assert (len(row["condition_images"]), row["strength"]) == ((3, 1.0) if mixes else (0, 0.4))
        assert (row["initial_image"] == "") == mixes
    card = (tmp_path / "pets" / "README.md").read_text()
    assert "from a mixture of 3 of its class; any other image begins at one of them" in card


def test_hugging_face_datasets_opens_the_folder(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    made = make(tmp_path / "pets")
    loaded = datasets.load_dataset(str(tmp_path / "pets"), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(loaded) == 20
    assert loaded[0]["condition_images"] == made.dataset.rows.to_pylist()[0]["condition_images"]
    assert loaded.features["condition_weights"].feature.dtype == "float32"


def test_an_interrupted_run_is_finished_to_the_same_images(tmp_path):
    make(tmp_path / "whole", ConditionedFake(preferred_batch_size=3), executor=ShuffledExecutor(1))
    with pytest.raises(Crash):
        make(tmp_path / "cut", crashing(ConditionedFake(preferred_batch_size=4), 3))
    make(tmp_path / "cut")
    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole")
    assert make(tmp_path / "cut").drawn == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shots": 4}, "initial_images.images: 10 there, 8 here"),
        ({"shots": 4, "shots_seed": 1}, "initial_images.hash"),
        ({"seed": 65}, "seed: 64 there, 65 here"),
        ({"strategies": ("base", "interpolate_three")}, "initial_images.strength: null there, 0.35 here"),
    ],
)
def test_another_job_is_refused(tmp_path, change, named):
    make(tmp_path / "pets")
    with pytest.raises(ConfigChangedError, match=named):
        make(tmp_path / "pets", **change)


def test_refilling_draws_further_mixtures(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path / "cache"))
    options = {"refill": "clip", "encoder": ParityEncoder(CLASSES), "images_per_class": 4, "max_draws": 40}
    options["strategies"] = ("interpolate_three",)
    result = make(tmp_path / "pets", **options)
    assert result.refill.rounds
    rows = result.dataset.rows.to_pylist()
    larger = plan_of_real_set(40)
    for row in rows:
        assert larger[row["label"], row["index"]] == (row["condition_images"], row["condition_weights"])
    assert max(row["index"] for row in rows) >= 4
    again = make(tmp_path / "pets", **options)
    assert (again.drawn, again.refill.rounds) == (0, result.refill.rounds)


def plan_of_real_set(count):
    """What a run of more images would mix."""
    names = [[hashlib.sha256(photo(i)).hexdigest() for i in part] for part in (range(5, 10), range(5))]
    planned = make_plan(CLASSES, resolve_strategies(["interpolate_three"], count), initial_images=names)
    return {(r.class_index, r.index): (list(r.condition_images), list(r.condition_weights)) for r in planned.requests()}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"initial_images": None},
            "real images for interpolate_three and interpolate_all@1:5, got none. Give initial_im",
        ),
        ({"initial_images": photos((5, 2))}, "at least 3 different real images .* got 2 of 'cat'"),
        ({"shots": 2}, "at least 3 different real images .* got 2 of 'cat'"),
        ({"strength": 0.5}, "begins at real images with strength, got .* which begin at noise"),
        ({"generator": FakeGenerator()}, "'fake' cannot be conditioned on images, as interpolate_three and"),
        ({"generator": ConditionedFake(image_conditions="none")}, "'fake' cannot be conditioned on images"),
        (
            {"generator": ConditionedFake(image_conditions="needed"), "strategies": ("base", "interpolate_three")},
            "draws from real images alone, not by base",
        ),
        (
            {"generator": ConditionedFake(image_conditions="needed"), "strategies": "base", "initial_images": None},
            "draws from real images alone, not by base. Give strategies=interpolate_three",
        ),
        (
            {
                "generator": ConditionedFake(image_conditions="needed", reads_text=False),
                "negative_prompt": ("", "blur"),
            },
            "'fake' reads images and no text",
        ),
    ],
)
def test_what_cannot_be_is_one_clear_line_and_nothing_is_written(tmp_path, options, words):
    with pytest.raises(UsageError, match=words) as caught:
        make(tmp_path / "pets", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_strategies_by_the_steps_that_are_left():
    """Few steps leave none to begin at an image with; mixtures begin at noise and take them all."""
    config = CreateConfig(strategies=("interpolate_three",), initial_images=photos(), steps=1)
    assert not config.begins_at_images
    assert CreateConfig(strategies=("base", "interpolate_all"), initial_images=photos()).begins_at_images


# ---- on the command line, with a model --------------------------------------------------------------------


def test_a_model_draws_mixtures_is_killed_finishes_and_draws_any_image_again(tmp_path, monkeypatch, capsys):
    from synthset.generators.loading import load_generator
    from tiny_image_models import build_with_adapter

    monkeypatch.chdir(tmp_path)
    model = build_with_adapter(tmp_path / "model")
    words = ["create", "--dataset", "digits", "--initial-images", "digits", "--shots", "6", "--steps", "5"]
    words += ["--generator", str(model), "--dtype", "float32", "--images-per-class", "1", "--resize", "32", "--quiet"]
    words += ["--strategy", "interpolate_three", "interpolate_all@1:5", "base", "--shard-size", "12"]
    assert main([*words, "--dry-run"]) == 0
    assert "(a mixture of 3 real images)" in capsys.readouterr().out
    assert main([*words, "--output-dir", "whole"]) == 0
    assert main([*words, "--output-dir", "cut"]) == 0
    (tmp_path / "cut" / "data" / "train-00001.parquet").unlink()  # as if killed before this shard
    assert main([*words, "--output-dir", "cut"]) == 0
    assert hashes("cut") == hashes("whole")

    dataset = open_dataset("whole")
    generator = load_generator(str(model), num_inference_steps=5, dtype="float32", image_conditions=True)
    rows = (3, 14, 25)
    drawn = generator.generate_from(dataset.requests(rows), dataset.initial_images())
    for row, image in zip(rows, drawn, strict=True):
        stored = np.asarray(dataset.images().image(row), np.int16)
        assert np.abs(stored - image.pixels.astype(np.int16)).max() <= 1
    assert main([*words, "--output-dir", "whole", "--shots-seed", "1"]) != 0
    assert "holds another job" in capsys.readouterr().err


def test_all_pairs_of_a_strategy_and_guidance_are_planned():
    names = [f"{a}@{b}" for a, b in itertools.product(("interpolate_three", "interpolate_all"), ("2.5", "1:5"))]
    scales = {name: set() for name in names}
    for request in plan(names).requests():
        scales[request.strategy].add(request.guidance_scale)
    assert {name: len(values) for name, values in scales.items()} == {
        name: 10 if name.endswith("1:5") else 1 for name in names
    }
