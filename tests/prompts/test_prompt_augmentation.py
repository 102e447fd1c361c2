"""Prompt augmentation: another prompt for each image, from lists of words, in an order that the class decides."""

import pytest

from synthset.core.errors import UsageError
from synthset.prompts.prompt_augmentation import Augmentation, default_augmentation, read_augmentation, shuffled
from synthset.prompts.strategies import PromptStyle, resolve_strategies


def prompts_of(class_name, count, style=None, strategy="prompt_augmentation"):
    (run,) = resolve_strategies([strategy], count, style)
    return [run.prompt(class_name, index) for index in range(count)]


TINY = Augmentation(("old", "ugly"), ("", "very"), ("common",), ("small", "large"), ("centered",), ("sharp", "dark"))


def test_prompt_augmentation_is_in_the_order_of_the_paper():
    # Marwood et al. 2023, Figure 4: looks + extent typical + extent size + class + location + style
    style = PromptStyle(augmentation=TINY)
    drawn = prompts_of("quail", 32, style)
    assert "an old common very large quail centered, sharp" in drawn
    assert "an ugly very common small quail centered, dark" in drawn
    lists = default_augmentation()
    prompt = prompts_of("sea_lake", 1)[0]
    lead, tail = prompt.split(" sea lake ")
    assert lead.split()[0] in ("a", "an")
    assert lead.split()[1] in lists.looks
    assert lead.endswith(lists.sizes)
    location, style = tail.split(", ")
    assert location in lists.locations
    assert style in lists.styles


def test_every_augmented_prompt_of_a_class_is_another_one():
    assert TINY.num_prompts == 32
    assert len(set(prompts_of("quail", 32, PromptStyle(augmentation=TINY)))) == 32
    assert len(set(prompts_of("quail", 2500))) == 2500  # twice the paper's number


def test_more_images_than_prompts_are_refused_before_anything_is_planned():
    with pytest.raises(UsageError, match=r"at most 32 images a class .* got 33\. .*longer lists as augmentation\."):
        resolve_strategies(["prompt_augmentation"], 33, PromptStyle(augmentation=TINY))
    with pytest.raises(UsageError, match="at most 2,488,320 images"):
        resolve_strategies(["base", "prompt_augmentation"], 3_000_000)


def test_an_augmented_prompt_depends_on_class_and_index_alone():
    first = prompts_of("quail", 5)
    assert prompts_of("quail", 50, strategy="prompt_augmentation@7.5")[:5] == first
    other = prompts_of("owl", 5)
    assert all(a != b.replace("owl", "quail") for a, b in zip(first, other, strict=True))
    # pinned: a dataset that was begun must be finished with the same prompts
    assert first[:2] == PINNED_PROMPTS
    assert prompts_of("quail", 2, PromptStyle(first_words=True)) == PINNED_FIRST_PROMPTS


def test_the_words_have_those_of_appendix_b():
    """Age, clutter, snapshot, size: Marwood et al. 2023, Figure 10."""
    drawn = prompts_of("quail", 2000)
    for words in (" old ", " large size quail", "quail with many other objects visible, ", ", typical snapshot"):
        assert any(words in prompt for prompt in drawn), words
        assert not any(words in prompt for prompt in prompts_of("quail", 2000, PromptStyle(first_words=True)))
    assert any("quail centered in the image, hyper-sharp" in prompt for prompt in drawn)


def test_augmented_satellite_images_keep_their_form():
    plain = prompts_of("forest", 5)
    assert prompts_of("forest", 5, PromptStyle(satellite=True)) == [f"a satellite photo of {text}" for text in plain]
    first = PromptStyle(first_words=True, satellite=True)  # which had none
    assert prompts_of("forest", 5, first) == prompts_of("forest", 5, PromptStyle(first_words=True))


def test_a_phrase_changes_the_class_in_an_augmented_prompt_and_nothing_else():
    plain = prompts_of("five", 20)
    for phrase, article, noun in (("the digit five", "the", "digit five"), ("an Arabic five", None, "Arabic five")):
        clear = prompts_of("five", 20, PromptStyle(phrases={"five": phrase}))
        for before, after in zip(plain, clear, strict=True):
            own, rest = before.split(" ", 1)
            assert after == f"{article or own} {rest.replace('five', noun)}"


def test_all_words_of_augmentation_are_drawn_about_equally_often():
    drawn = prompts_of("x", 1000)
    for looks in default_augmentation().looks:
        assert 55 <= sum(prompt.split()[1] == looks for prompt in drawn) <= 115
    for style in default_augmentation().styles:
        assert 80 <= sum(prompt.endswith(f", {style}") for prompt in drawn) <= 145


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 1000])
def test_shuffled_is_a_permutation_that_its_key_decides(size):
    order = [shuffled(index, size, "owl") for index in range(size)]
    assert sorted(order) == list(range(size))
    if size >= 16:
        assert order != list(range(size))
        assert order != [shuffled(index, size, "cat") for index in range(size)]


LISTS = """
looks: [old]
extents: ["", very]
typical: [common]
sizes: [small]
locations: [centered, at the  edge]
styles: ["no", sharp]
"""


def test_augmentation_from_a_file(tmp_path):
    file = tmp_path / "lists.yaml"
    file.write_text(LISTS, encoding="utf-8")
    assert read_augmentation(file) == Augmentation(
        ("old",), ("", "very"), ("common",), ("small",), ("centered", "at the edge"), ("no", "sharp")
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("looks: [old]", "", "found no looks"),
        ("looks: [old]", "look: [old]", "Did you mean 'looks'"),
        ("looks: [old]", "looks: old", "Expected a list below 'looks' in '.*', got str"),
        ("looks: [old]", "looks: []", "at least one entry in 'looks'"),
        ("looks: [old]", "looks: [old, no]", "Expected text in 'looks' of '.*', got bool. Put it in quotes"),
        ("looks: [old]", 'looks: [""]', "no empty entry in 'looks'"),
        ("looks: [old]", "looks: [old, old]", "got 'old' twice"),
        ("looks: [old]", "looks: [old, old looking]", "got 'old looking' and 'old': prompts could repeat"),
        ("looks: [old]", 'looks: ["o\\nld"]', "without control characters in 'looks'"),
        ("looks: [old]", f"looks: [{'x' * 101}]", "at most 100 characters in 'looks', got one of 101"),
        ("looks: [old]", "looks: [old]\nlooks: [new]", "'looks' stands twice, line 3"),
        ("looks: [old]", "looks: [old", "does not read"),
        ("typical: [common]", "typical: [common, very common]", "got 'very common' twice"),
        ("styles:", "styles: [x]\n5:", "Expected text before each colon in '.*', got 5"),
    ],
)
def test_lists_that_cannot_be_are_refused(tmp_path, old, new, message):
    file = tmp_path / "lists.yaml"
    file.write_text(LISTS.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError, match=message) as caught:
        read_augmentation(file)
    assert "\n" not in str(caught.value)


def test_a_file_of_lists_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"Expected a YAML file for augmentation, .*No such file"):
        read_augmentation(tmp_path / "none.yaml")


PINNED_FIRST_PROMPTS = [
    "a plain very uncommon very tiny quail centered, tilted",
    "a lovely slightly common somewhat tiny quail partially occluded, rotated",
]

PINNED_PROMPTS = [
    "an awkward extremely uncommon fairly tiny quail with many other objects visible, typical snapshot",
    "a beautiful somewhat rare extremely big quail partially covered, hyper-sharp",
]
