"""What texts call a class, apart from the name by which its folder is matched."""

import pytest
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

from synthset.core.errors import UnknownNameError, UsageError
from synthset.encoders.templates import fill_templates, named_templates
from synthset.prompts.phrases import load_phrases
from synthset.real import class_names_of
from synthset.real.matching import match_names
from synthset.real.names import imagenet_ids, read_names
from synthset.real.spoken import spoken_names
from synthset.tuning.head import resolve_templates


def others(name):
    """The classes that are called otherwise, and what."""
    return {
        own: said
        for own, said in zip(class_names_of(name), spoken_names(class_names_of(name), "he2023"), strict=True)
        if own != said
    }


@pytest.mark.parametrize(
    ("name", "count"), [("eurosat", 8), ("flowers", 2), ("caltech101", 0), ("cifar10", 0), ("digits", 0)]
)
def test_some_names_of_some_sets_are_others(name, count):
    assert len(others(name)) == count


def test_those_of_imagenet_go_by_index_for_two_stand_twice():
    names = spoken_names(class_names_of("imagenet"), "he2023")
    assert names == tuple(IMAGENET_CLASSNAMES)
    assert names[657] == names[744] == "missile"
    assert names[836] == names[837] == "sunglasses"
    ids = imagenet_ids()
    of_r = spoken_names(class_names_of("imagenet-r"), "he2023")
    assert of_r == tuple(IMAGENET_CLASSNAMES[ids.index(one)] for one in read_names("imagenet-r"))


def test_classes_are_found_in_any_spelling_and_order():
    assert spoken_names(["SeaLake", "004_highway"], "he2023") == ("lake or sea", "highway or road")


def test_what_cannot_be_told_is_refused():
    with pytest.raises(UsageError, match=r"one known set for the names of 'he2023', got cat, gnu\. Leave 'he2023' out"):
        spoken_names(["cat", "gnu"], "he2023")
    with pytest.raises(UsageError, match="got those of eurosat, sun397, which it calls otherwise"):
        spoken_names(["river", "highway"], "he2023")
    with pytest.raises(UnknownNameError, match=r"Unknown way of naming 'he2032'\. Did you mean 'he2023'\?"):
        fill_templates(["a {class:he2032}"], ["cat"])


def test_names_to_say_are_not_names_to_match():
    folders = ("AnnualCrop", "SeaLake", "Highway")
    said = spoken_names(class_names_of("eurosat"), "he2023")
    assert match_names(class_names_of("eurosat"), folders, "there").index.tolist() == [0, 9, 3]
    assert match_names(said, folders, "there").index.tolist() == [0, 9, 3]  # of a dataset under these names


def test_templates_and_phrases_say_them():
    assert named_templates("eurosat@he2023") == ("a centered satellite photo of {class:he2023}.",)
    texts = fill_templates(named_templates("sun397@he2023"), ["river", "sea or lake"])
    assert texts[2:] == ["a photo of a lake or sea.", "a photo of the lake or sea."]
    assert resolve_templates(["eurosat@he2023", "a {class:he2023}"]) == (
        "a centered satellite photo of {class:he2023}.",
        "a {class:he2023}",
    )
    assert load_phrases("he2023", ["river", "sea or lake"]) == {"sea or lake": "lake or sea"}
