"""Strategies: prompts as in the papers, guidance, names, combinations, and views of a dataset."""

import random

import pytest

from synthset.core.errors import UnknownNameError, UsageError
from synthset.prompts.strategies import (
    PHOTO_DOMAINS,
    SATELLITE_DOMAINS,
    Guidance,
    PromptStyle,
    resolve_strategies,
    select_rows,
    strategy_name,
)


def prompts_of(strategy, class_name, count, style=None):
    (run,) = resolve_strategies([strategy], count, style)
    return [run.prompt(class_name, index) for index in range(count)]


def test_the_bag_of_tricks_is_worded_as_in_the_paper():
    # Shipard et al. 2023, section 4.3
    assert prompts_of("base", "dog", 1) == ["an image of a dog"]
    assert prompts_of("class_prompt", "dog", 1) == ["dog"]
    assert prompts_of("random_guidance", "dog", 1) == ["an image of a dog"]
    assert prompts_of("multi_domain", "car", 10) == [
        "a photo of a car",
        "a drawing of a car",
        "a painting of a car",
        "a sketch of a car",
        "a collage of a car",
        "a poster of a car",
        "a digital art image of a car",
        "a rock drawing of a car",
        "a stick figure of a car",
        "a 3D rendering of a car",
    ]


def test_the_satellite_form_of_the_paper():
    assert prompts_of("multi_domain", "forest", 5, PromptStyle(satellite=True)) == [
        "a satellite photo of a forest in the style of a realistic photo",
        "a satellite photo of a forest in the style of a drawing",
        "a satellite photo of a forest in the style of a painting",
        "a satellite photo of a forest in the style of a sketch",
        "a satellite photo of a forest in the style of a 3D rendering",
    ]
    assert prompts_of("base", "river", 1, PromptStyle(satellite=True)) == ["a satellite photo of a river"]
    with pytest.raises(UsageError, match="Expected satellite=True with satellite_base=False, which has no effect"):
        PromptStyle(satellite_base=False)
    style = PromptStyle(satellite=True, satellite_base=False)
    assert prompts_of("base", "river", 1, style) == ["an image of a river"]


def test_articles_are_correct_unless_the_papers_form_is_asked_for():
    assert prompts_of("base", "airplane", 1) == ["an image of an airplane"]
    assert prompts_of("base", "airplane", 1, PromptStyle(literal_articles=True)) == ["an image of a airplane"]
    own = PromptStyle(domains=("etching",))
    assert prompts_of("multi_domain", "owl", 1, own) == ["an etching of an owl"]


def test_underscores_become_words_in_every_strategy():
    for strategy in ("base", "class_prompt", "multi_domain", "random_guidance"):
        assert "polar bear" in prompts_of(strategy, "polar_bear", 1)[0]


def test_a_template_replaces_the_base_sentence():
    style = PromptStyle(template="a microscope image of {class}")
    assert prompts_of("base", "red_blood_cell", 1, style) == ["a microscope image of red blood cell"]
    with pytest.raises(UsageError, match=r"\{class\}"):
        PromptStyle(template="a photo")


# ---- phrases ----------------------------------------------------------------------------------------------


STRATEGY_PROMPTS = {
    "base": "an image of {}",
    "class_prompt": "{}",
    "multi_domain": "a photo of {}",
    "random_guidance": "an image of {}",
}


@pytest.mark.parametrize(("strategy", "form"), STRATEGY_PROMPTS.items())
def test_a_phrase_with_an_article_of_its_own_gets_no_second_one(strategy, form):
    for literal in (False, True):
        for phrase in ("the digit five", "a crane bird", "An owl of stone"):
            style = PromptStyle(phrases={"five": phrase}, literal_articles=literal)
            assert prompts_of(strategy, "five", 1, style) == [form.format(phrase)]


def test_a_phrase_without_an_article_gets_the_one_that_fits():
    style = PromptStyle(phrases={"jay": "owl_like bird", "five": "digit five"})
    assert prompts_of("base", "jay", 1, style) == ["an image of an owl like bird"]
    assert prompts_of("base", "five", 1, style) == ["an image of a digit five"]
    assert prompts_of("base", "six", 1, style) == ["an image of a six"]  # has no phrase


def test_a_phrase_in_the_satellite_form_and_in_a_template():
    style = PromptStyle(satellite=True, phrases={"river": "the river Rhine"})
    assert prompts_of("base", "river", 1, style) == ["a satellite photo of the river Rhine"]
    assert prompts_of("multi_domain", "river", 2, style)[1] == (
        "a satellite photo of the river Rhine in the style of a drawing"
    )
    template = "a photo of a {class} by a {class}"
    style = PromptStyle(template=template, phrases={"five": "the digit five", "jay": "blue jay"})
    assert prompts_of("base", "five", 1, style) == ["a photo of the digit five by the digit five"]
    assert prompts_of("base", "jay", 1, style) == ["a photo of a blue jay by a blue jay"]


@pytest.mark.parametrize("phrase", ["", "  ", "_", "two\nlines", "x" * 501, 5, None, ["a"]])
def test_a_phrase_that_cannot_be_is_refused(phrase):
    with pytest.raises(UsageError, match="'five'"):
        PromptStyle(phrases={"five": phrase})


# ---- guidance, names, combinations ------------------------------------------------------------------------


def test_each_domain_is_drawn_equally_often():
    drawn = prompts_of("multi_domain", "car", 30)
    assert all(sum(f"a {domain} of" in prompt for prompt in drawn) == 3 for domain in PHOTO_DOMAINS)
    assert len(PHOTO_DOMAINS) == 10
    assert len(SATELLITE_DOMAINS) == 5


def test_random_guidance_is_drawn_for_each_image_within_its_range():
    (run,) = resolve_strategies(["random_guidance"], 5)
    scales = [run.guidance.draw(random.Random(seed)) for seed in range(500)]
    assert len(set(scales)) == 500
    assert 1 <= min(scales) < 1.1
    assert 4.9 < max(scales) <= 5
    assert abs(sum(scales) / 500 - 3) < 0.15  # uniform


def test_guidance_of_prompt_augmentation_is_low_unless_another_is_given():
    def guidance(*names, **options):
        return [str(run.guidance) for run in resolve_strategies(names, 1, **options)]

    names = ("prompt_augmentation", "base", "random_guidance")
    assert guidance(*names) == ["2.5", "7.5", "1:5"]
    assert guidance(*names, guidance=Guidance(4, 4)) == ["4", "4", "1:5"]
    assert guidance(*names, random_guidance=Guidance(2, 9)) == ["2.5", "7.5", "2:9"]
    assert guidance("prompt_augmentation@7.5") == ["7.5"]


def test_guidance_fills_in_only_where_a_strategy_has_none():
    runs = resolve_strategies(["base", "random_guidance"], 5, guidance=Guidance.parse("2.5"))
    assert [str(run.guidance) for run in runs] == ["2.5", "1:5"]
    (run,) = resolve_strategies(["random_guidance"], 5, random_guidance=Guidance(2, 9))
    assert str(run.guidance) == "2:9"
    (run,) = resolve_strategies(["base"], 5)
    assert str(run.guidance) == "7.5"


def test_any_prompts_cross_with_any_guidance():
    runs = resolve_strategies(["multi_domain@1:5", "class_prompt@2.5", "random_guidance@3"], 1)
    assert [(run.name, str(run.guidance)) for run in runs] == [
        ("multi_domain@1:5", "1:5"),
        ("class_prompt@2.5", "2.5"),
        ("random_guidance@3", "3"),
    ]
    assert runs[0].prompt("car", 0) == "a photo of a car"


@pytest.mark.parametrize("text", ["", "a", "5:1", "-1", "nan", "1:inf", "1:2:3"])
def test_guidance_that_cannot_be_is_refused(text):
    with pytest.raises(UsageError):
        Guidance.parse(text)


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("Multi-Domain", "multi_domain"),
        ("multidomain", "multi_domain"),
        ("random_scale", "random_guidance"),
        ("base_class", "base"),
    ],
)
def test_the_papers_names_are_understood(name, standard):
    assert strategy_name(name) == standard


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'multi_domain'.*all_combined_equal"):
        strategy_name("multi_domian")
    with pytest.raises(UsageError, match="Name its members"):
        strategy_name("all_combined@3")


def test_all_combined_is_the_union_and_shares_its_members_with_others():
    runs = resolve_strategies(["base", "all_combined"], 8)
    assert {run.name: run.images_per_class for run in runs} == {
        "base": 8,
        "class_prompt": 8,
        "multi_domain": 8,
        "random_guidance": 8,
    }


def test_equal_budget_shares_the_budget_of_one_exactly():
    for budget in range(1, 12):
        runs = resolve_strategies(["all_combined_equal"], budget)
        assert sum(run.images_per_class for run in runs) == budget
        counts = [run.images_per_class for run in runs]
        assert max(counts) - min(counts) <= 1


def test_views_of_a_dataset():
    strategies = ["base"] * 4 + ["class_prompt"] * 4 + ["multi_domain"] * 4 + ["random_guidance"] * 4
    indices = [0, 1, 2, 3] * 4
    assert select_rows(strategies, indices, "class_prompt") == [4, 5, 6, 7]
    assert select_rows(strategies, indices, "all_combined") == list(range(16))
    assert select_rows(strategies, indices, "all_combined_equal") == [0, 4, 8, 12]
    with pytest.raises(UsageError, match="none of multi_domain"):
        select_rows(["base"], [0], "multi_domain")


def test_nothing_to_draw_is_refused():
    with pytest.raises(UsageError):
        resolve_strategies([], 10)
    with pytest.raises(UsageError):
        resolve_strategies(["base"], 0)
    with pytest.raises(UsageError):
        PromptStyle(domains=())
