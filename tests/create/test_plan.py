from collections import Counter
from dataclasses import MISSING, fields, replace

from synthset.create import plan as create_plan
from synthset.create.plan import Part, make_plan
from synthset.dataset import plan as dataset_plan
from synthset.dataset.records import Request
from synthset.miniature import DIGITS
from synthset.prompts.strategies import TRICKS, Guidance, PromptStyle, resolve_strategies


def plan(classes=("cat", "dog"), names=("base", "random_guidance"), count=3, seed=64, **options):
    return make_plan(classes, resolve_strategies(names, count), seed, **options)


def test_a_plan_is_deterministic_and_its_hash_says_so():
    assert plan().table.equals(plan().table)
    assert plan().hash == plan().hash
    others = [
        plan(seed=65),
        plan(count=4),
        plan(classes=("dog", "cat")),
        plan(names=("base",)),
        plan(negative_prompt="x"),
    ]
    assert len({plan().hash, *(other.hash for other in others)}) == 6


def test_a_plan_is_balanced_by_class_at_every_strategy_and_prefix():
    table = plan(count=5).table
    names, strategies = table.column("class_name").to_pylist(), table.column("strategy").to_pylist()
    assert set(Counter(zip(names, strategies, strict=True)).values()) == {5}
    for stop in range(0, len(names), 2):
        assert len(set(Counter(names[:stop]).values())) <= 1


def test_the_seed_of_an_image_does_not_depend_on_the_rest_of_the_plan():
    small = {(r.class_name, r.strategy, r.index): r for r in plan(count=2).requests()}
    large = {
        (r.class_name, r.strategy, r.index): r
        for r in plan(
            classes=("owl", "dog", "cat"), names=("class_prompt", "random_guidance", "base"), count=9
        ).requests()
    }
    for key, request in small.items():
        assert large[key].seed == request.seed
        assert large[key].guidance_scale == request.guidance_scale
        assert large[key].prompt == request.prompt


def test_all_seeds_differ_and_fit_the_column():
    seeds = plan(count=500).table.column("seed").to_pylist()
    assert len(set(seeds)) == len(seeds) == 2000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_retry_changes_the_seed_and_nothing_else():
    request = next(plan().requests())
    assert request.retried(0) == request
    first, second = request.retried(1), request.retried(2)
    assert len({request.seed, first.seed, second.seed}) == 3
    assert request.retried(1) == first
    assert {**vars(first), "seed": request.seed} == vars(request)


def test_requests_can_be_sliced():
    whole = list(plan().requests())
    assert list(plan().requests(3, 7)) == whole[3:7]
    assert [request.id for request in whole] == list(range(12))


def test_pinned_values_keep_old_datasets_resumable():
    request = next(make_plan(("cat",), resolve_strategies(["random_guidance"], 1)).requests())
    assert (request.seed, round(request.guidance_scale, 6)) == (PINNED_SEED, PINNED_SCALE)


def test_pinned_hashes_keep_old_datasets_resumable():
    assert make_plan(DIGITS, resolve_strategies(TRICKS, 20)).hash == PINNED_HASH_OF_DIGITS
    names = ["all_combined", "multi_domain@1:5", "base@2.5"]
    runs = resolve_strategies(names, 7, random_guidance=Guidance(1, 5))
    assert make_plan(("cat", "airplane", "sea_lake"), runs).hash == PINNED_HASH_OF_OTHERS


def test_a_phrase_changes_prompts_and_nothing_else():
    def drawn(phrases):
        runs = resolve_strategies(["base", "prompt_augmentation"], 2, PromptStyle(phrases=phrases))
        return make_plan(("crane", "jay"), runs)

    plain, clear = drawn({}), drawn({"jay": "a bird of type jay"})
    assert plain.hash != clear.hash == drawn({"jay": "a bird of type jay"}).hash
    for before, after in zip(plain.requests(), clear.requests(), strict=True):
        assert (before.prompt == after.prompt) == (before.class_name == "crane")
        assert {**vars(after), "prompt": before.prompt} == vars(before)


def test_a_phrase_that_prompts_do_not_show_leaves_the_hash():
    assert (
        plan().hash
        == make_plan(
            ("cat", "dog"), resolve_strategies(("base", "random_guidance"), 3, PromptStyle(phrases={"cat": "cat"}))
        ).hash
    )


PINNED_HASH_OF_DIGITS = "84bdc814ac777ac696d0f85c2db56d24776ac3f67b52281d53c43805567e5e70"
PINNED_HASH_OF_OTHERS = "81e2ac0d2917d423b6ba629c0028a91a3fec049d2759325b360dc4354c7c3966"
PINNED_SEED, PINNED_SCALE = 7136296637646199353, 1.334991


def test_each_image_draws_its_negative_prompt_and_its_steps_whatever_else_is_planned():
    pool = ("blurry", "a drawing", "text")
    one, other = (
        plan(classes, ("base",), 50, negative_prompt=pool, steps=(5, 9)) for classes in (("cat",), ("dog", "cat"))
    )
    rows = {r.index: r for r in one.requests()}
    assert {r.negative_prompt for r in rows.values()} == set(pool)
    assert {r.num_inference_steps for r in rows.values()} == set(range(5, 10))
    for request in other.requests():
        if request.class_name == "cat":
            same = rows[request.index]
            assert (request.negative_prompt, request.num_inference_steps) == (
                same.negative_prompt,
                same.num_inference_steps,
            )
    assert "num_inference_steps" not in plan().table.column_names


def test_a_plan_of_several_blocks_is_the_plan_of_one(monkeypatch):
    whole = plan(count=20)
    for module in (create_plan, dataset_plan):
        monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    parts = plan(count=20)
    assert parts.table.column("id").num_chunks > 1
    assert parts.hash == whole.hash
    assert list(parts.requests(5, 30)) == list(whole.requests(5, 30))


def test_a_part_of_a_plan_has_the_images_of_the_whole():
    whole = {(r.strategy, r.class_index, r.index): r for r in plan(count=6, steps=(2, 9)).requests()}
    indices = {("base", 1): range(2, 6, 2), ("random_guidance", 0): range(5, 6)}
    part = plan(count=6, steps=(2, 9), part=Part(indices, first_id=7))
    assert [request.id for request in part.requests()] == [7, 8, 9]
    assert [replace(whole[r.strategy, r.class_index, r.index], id=r.id) for r in part.requests()] == list(
        part.requests()
    )
    nothing = plan(part=Part({}))
    assert (len(nothing), nothing.table.schema) == (0, plan().table.schema)


def test_a_plan_has_the_columns_that_some_image_needs():
    images = [["a", "b"], ["c", "d"]]
    always = [field.name for field in fields(Request) if field.default is MISSING]
    assert plan().table.column_names == always
    assert plan(steps=(2, 9)).table.column_names == [*always, "num_inference_steps"]
    assert plan(initial_images=images, steps=(2, 9)).table.column_names == [
        *always,
        "initial_image",
        "strength",
        "num_inference_steps",
    ]
    mixing = plan(names=("interpolate_all",), initial_images=images)
    assert mixing.table.column_names == [*always, "condition_images", "condition_weights"]
    both = plan(names=("base", "interpolate_all"), initial_images=images, steps=(2, 9))
    assert both.table.column_names == [field.name for field in fields(Request)]
