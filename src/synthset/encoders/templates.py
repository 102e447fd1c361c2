"""Text templates: the sentences in which a CLIP reads a class name.

They are literal, as those that CLIP was published with: "a photo of a apple." is what the model has been scored
with, so no article is put right here, unlike in the prompts that images are drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from synthset.core.errors import UsageError
from synthset.prompts.classes import as_words

# name of a list -> where open_clip keeps it; read when it is asked for, as importing open_clip takes seconds
_OF_OPEN_CLIP = {
    "imagenet": "OPENAI_IMAGENET_TEMPLATES",  # the 80 of Radford et al. 2021
    "imagenet80": "OPENAI_IMAGENET_TEMPLATES",
    "imagenet7": "SIMPLE_IMAGENET_TEMPLATES",  # those of the 80 that the same authors found enough
}

# name of a real set, or of a kind of set -> its sentences; those of He et al. 2023 (released code) but for `default`,
# `digits` and `caltech101`, which are Radford et al.'s (2021): the first for any set, the second for digits that are
# written
_OWN: dict[str, tuple[str, ...]] = {
    "default": ("a photo of a {class}.",),
    "digits": ('a photo of the number: "{class}".',),
    "aircraft": ("a photo of a {class}, a type of aircraft.",),
    "birds": ("a photo of a {class}, a type of bird.",),
    "flowers": ("a photo of a {class}, a type of flower.",),
    "food": ("a photo of a {class}, a type of food.",),
    "pets": ("a photo of a {class}, a type of pet.",),
    "eurosat": ("a centered satellite photo of {class}.",),
    "dtd": ("{class} texture.",),
    "sun397": ("a photo of a {class}.", "a photo of the {class}."),
    "cars": (
        "a photo of a {class}.",
        "a photo of the {class}.",
        "a photo of my {class}.",
        "i love my {class}!",
        "a photo of my dirty {class}.",
        "a photo of my clean {class}.",
        "a photo of my new {class}.",
        "a photo of my old {class}.",
    ),
    "cifar": (
        "a photo of a {class}.",
        "a blurry photo of a {class}.",
        "a black and white photo of a {class}.",
        "a low contrast photo of a {class}.",
        "a high contrast photo of a {class}.",
        "a bad photo of a {class}.",
        "a good photo of a {class}.",
        "a photo of a small {class}.",
        "a photo of a big {class}.",
        "a photo of the {class}.",
        "a blurry photo of the {class}.",
        "a black and white photo of the {class}.",
        "a low contrast photo of the {class}.",
        "a high contrast photo of the {class}.",
        "a bad photo of the {class}.",
        "a good photo of the {class}.",
        "a photo of the small {class}.",
        "a photo of the big {class}.",
    ),
    "caltech101": (
        "a photo of a {class}.",
        "a painting of a {class}.",
        "a plastic {class}.",
        "a sculpture of a {class}.",
        "a sketch of a {class}.",
        "a tattoo of a {class}.",
        "a toy {class}.",
        "a rendition of a {class}.",
        "a embroidered {class}.",
        "a cartoon {class}.",
        "a {class} in a video game.",
        "a plushie {class}.",
        "a origami {class}.",
        "art of a {class}.",
        "graffiti of a {class}.",
        "a drawing of a {class}.",
        "a doodle of a {class}.",
        "a photo of the {class}.",
        "a painting of the {class}.",
        "the plastic {class}.",
        "a sculpture of the {class}.",
        "a sketch of the {class}.",
        "a tattoo of the {class}.",
        "the toy {class}.",
        "a rendition of the {class}.",
        "the embroidered {class}.",
        "the cartoon {class}.",
        "the {class} in a video game.",
        "the plushie {class}.",
        "the origami {class}.",
        "art of the {class}.",
        "graffiti of the {class}.",
        "a drawing of the {class}.",
        "a doodle of the {class}.",
    ),
}


class _Templates(Mapping[str, tuple[str, ...]]):
    """_OWN and _OF_OPEN_CLIP as one mapping; its names are known without open_clip."""

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return _OWN[name] if name in _OWN else _from_open_clip(_OF_OPEN_CLIP[name])

    def __contains__(self, name: object) -> bool:
        return name in _OWN or name in _OF_OPEN_CLIP

    def __iter__(self) -> Iterator[str]:
        return iter((*_OWN, *_OF_OPEN_CLIP))

    def __len__(self) -> int:
        return len(_OWN) + len(_OF_OPEN_CLIP)


TEMPLATES: Mapping[str, tuple[str, ...]] = _Templates()


@cache
def _from_open_clip(name: str) -> tuple[str, ...]:
    """Its functions of a class name, as sentences with a place for one."""
    from open_clip import zero_shot_metadata

    return tuple(template("{class}") for template in getattr(zero_shot_metadata, name))


def fill_template(template: str, class_name: str) -> str:
    """The sentence of a class: its name, as words, in place of each `{class}` or `{}`.

    Raises:
        UsageError: a template without a place for the class.

    >>> fill_template("a photo of a {class}, a type of bird.", "house_wren")
    'a photo of a house wren, a type of bird.'
    """
    if "{class}" not in template and "{}" not in template:
        raise UsageError(f"Expected {{class}} in the template, got '{template}'.")
    # at once, and not one after the other: a class may well be called "{}"
    sentence = template.replace("{}", "{class}").split("{class}")
    return as_words(class_name).join(sentence)
