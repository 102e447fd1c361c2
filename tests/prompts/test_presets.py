"""Defaults of `create --dataset` are those of the paper that drew the set."""

import pytest

from synthset.core.errors import UnknownNameError
from synthset.prompts.presets import Preset, preset_for


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("CIFAR-10", Preset(5000, 32)),
        ("cifar-100", Preset(500, 32)),
        # Shipard et al. 2023, sections 4.3 and 5.3
        ("eurosat", Preset(2700, 64, satellite=True, antialias=False, union="all_but_class_prompt")),
        ("Oxford Pets", Preset(2000, None)),  # images of many sizes
        ("imagenet", Preset(2000, None)),  # He et al. 2023, section 3.1
        ("CUB-200-2011", Preset(2000, None, sentence_template="a photo of {sentence}, a type of bird")),
        ("imagenet_sketch", Preset(2000, None, sentence_template="sketch of {sentence}")),
        ("digits", Preset(100, 32)),  # of eight pixels, shown large
    ],
)
def test_presets_follow_the_paper_that_drew_the_set(name, preset):
    assert preset_for(name) == preset


@pytest.mark.parametrize(
    ("strategies", "style"),
    [
        (["base"], {}),
        (["random_guidance", "base@2.5", "class_prompt"], {}),
        (["multi_domain"], {"satellite": True}),
        (["le@1:5"], {"satellite": True}),
        (["all_but_class_prompt"], {"satellite": True, "satellite_base": False}),
    ],
)
def test_the_satellite_form_is_of_the_strategies_that_the_papers_say(strategies, style):
    found = {path[1]: value for path, value in preset_for("eurosat").defaults(strategies).items() if path[0] == "style"}
    assert found == style


def test_all_combined_is_the_papers_union():
    names = ["All-Combined", "base@2.5"]
    assert preset_for("eurosat").strategies(names) == ("all_but_class_prompt", "base@2.5")
    assert preset_for("cifar10").strategies(names) == ("all_combined", "base@2.5")


def test_words_around_sentences_are_for_the_strategy_that_has_sentences():
    assert ("style", "sentence_template") not in preset_for("cub").defaults(["base"])
    assert preset_for("cub").defaults(["le"])["style", "sentence_template"] == "a photo of {sentence}, a type of bird"


def test_an_unknown_set_is_refused_by_its_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'eurosat'"):
        preset_for("eurosatt")
