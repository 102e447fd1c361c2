"""Shared noise: one noise a number, whatever class, strategy and scale; all else of an image stays its own draw."""

import hashlib
import json

import numpy as np
import pytest

import synthset
from small_datasets import hashes, make
from synthset.core.errors import ConfigChangedError
from synthset.core.jobs import differences
from synthset.core.seeds import ImageSeeds
from synthset.create.config import CreateConfig
from synthset.create.inputs import plan_run
from synthset.create.job import default_job, job_of_config
from synthset.create.plan import Part, make_plan
from synthset.dataset.reader import open_dataset
from synthset.prompts.strategies import PromptStyle, resolve_strategies
from synthset.testing import FakeGenerator

POOL = ("blurry", "a drawing", "text")
NAMES = ("base", "random_guidance", "multi_domain", "interpolate_all")
IMAGES = [["a", "b", "c"], ["d", "e", "f"]]


def requests(shared, names=NAMES, seed=64, part=None):
    seeds = ImageSeeds(seed, shared_noise=shared)
    runs = resolve_strategies(names, 6)
    options = {"steps": (5, 30), "part": part, "initial_images": IMAGES, "strength": 0.5}
    return list(make_plan(("cat", "dog"), runs, seeds, POOL, **options).requests())


def test_the_noise_depends_on_seed_and_number_alone():
    noises = {}
    for request in requests(True):
        noises.setdefault(request.index, set()).add(request.seed)
    assert [len(found) for found in noises.values()] == [1] * 6
    assert len(set.union(*noises.values())) == 6
    again = {request.index: request.seed for request in requests(True, ("base",), seed=65)}
    assert all(again[number] not in found for number, found in noises.items())
    assert len({request.seed for request in requests(False)}) == 6 * 2 * 4


def test_all_else_that_an_image_draws_stays_its_own():
    own, shared = requests(False), requests(True)
    for before, after in zip(own, shared, strict=True):
        assert {**vars(after), "seed": before.seed} == vars(before)
    scales = {(r.class_name, r.index): r.guidance_scale for r in shared if r.strategy == "random_guidance"}
    assert len(set(scales.values())) == 12  # not one a number
    for draw in ("negative_prompt", "num_inference_steps", "condition_weights"):
        drawn = {r.index: set() for r in shared}
        for request in shared:
            drawn[request.index].add(getattr(request, draw))
        assert max(map(len, drawn.values())) > 1


def test_a_part_and_a_retry_keep_to_the_noise():
    whole = {(r.strategy, r.class_index, r.index): r.seed for r in requests(True)}
    part = requests(True, part=Part({("base", 1): range(3, 6), ("multi_domain", 0): range(4, 5)}))
    assert len(part) == 4
    assert all(whole[r.strategy, r.class_index, r.index] == r.seed for r in part)
    one, other = (r for r in requests(True, ("base", "multi_domain")) if (r.class_index, r.index) == (0, 2))
    assert one.retried(2).seed == other.retried(2).seed != one.seed


def test_it_joins_the_job_only_where_it_is_wanted(tmp_path):
    plain, shared = (job_of_config(("cat",), CreateConfig(shared_noise=wanted)) for wanted in (False, True))
    assert "shared_noise" not in plain
    assert shared == {**plain, "shared_noise": True}
    assert differences(plain, shared, default_job()) == ["shared_noise: false there, true here"]
    own, other = (plan_run(("cat",), CreateConfig(shared_noise=wanted), None) for wanted in (False, True))
    assert own.hash != other.hash
    make(tmp_path / "own")
    with pytest.raises(ConfigChangedError, match="shared_noise: false there, true here"):
        make(tmp_path / "own", shared_noise=True)
    make(tmp_path / "shared", shared_noise=True)
    assert json.loads((tmp_path / "shared" / "manifest.json").read_text())["job"]["shared_noise"] is True
    assert make(tmp_path / "shared", shared_noise=True).drawn == 0
    cards = [(tmp_path / name / "README.md").read_text() for name in ("own", "shared")]
    assert ["noise shared by images of one number" in card for card in cards] == [False, True]


def test_a_failure_is_drawn_again_on_the_same_noise_in_each_strategy(tmp_path):
    first = {request.seed for request in requests(True) if request.index == 1}
    generator = FakeGenerator(status=lambda request: "blank" if request.seed in first else "ok")
    make(tmp_path / "pets", generator=generator, shared_noise=True)
    rows = open_dataset(tmp_path / "pets").rows.to_pylist()
    again = {row["seed"] for row in rows if row["index"] == 1}
    assert {row["attempts"] for row in rows if row["index"] == 1} == {2}
    assert len(again) == 1
    assert again.isdisjoint(first)


def test_refilled_images_go_on_with_the_noise_of_a_larger_run(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    make(small, shared_noise=True, images_per_class=3)
    make(large, shared_noise=True, images_per_class=5)
    files = set(hashes(large).values())
    assert set(hashes(small).values()) < files


@pytest.mark.parametrize("shared", [True, False])
def test_the_miniature_draws_equal_images_for_equal_prompts_and_scales(shared, tmp_path):
    # "an image of a two", once as the base prompt and once as that of a domain
    options = {"strategies": ("base@2", "multi_domain@2"), "style": PromptStyle(domains=("an image",))}
    made = synthset.create(
        ["two", "seven"], tmp_path / "digits", images_per_class=2, steps=2, shared_noise=shared, **options
    )
    rows = made.dataset.rows.to_pylist()
    assert {row["prompt"] for row in rows} == {"an image of a two", "an image of a seven"}
    base, domain = ([row["sha256"] for row in rows if row["strategy"] == name] for name in ("base@2", "multi_domain@2"))
    assert (base == domain) is shared
    assert shared or set(base).isdisjoint(domain)
    images = made.dataset.images()
    pixels = [np.asarray(images.image(row)).tobytes() for row in range(len(images))]
    assert len({hashlib.sha256(data).hexdigest() for data in pixels}) == (4 if shared else 8)
