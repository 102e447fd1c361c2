"""Text templates: the sentences in which a CLIP reads a class name.

They are literal, as those that CLIP was published with: "a photo of a apple." is what the model has been scored
with, so no article is put right here, unlike in the prompts that images are drawn from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from synthset.core.errors import UsageError
from synthset.core.yaml_files import read_yaml
from synthset.prompts.classes import as_words
from synthset.real.spoken import spoken_names

_PLACE = re.compile(r"\{(?:class(?::(\w+))?)?\}")  # its group is the way of naming, if one is said

# name of a list -> where open_clip keeps it; read when it is asked for, as importing open_clip takes seconds
_OF_OPEN_CLIP = {
    "imagenet": "OPENAI_IMAGENET_TEMPLATES",  # the 80 of Radford et al. 2021
    "imagenet80": "OPENAI_IMAGENET_TEMPLATES",
    "imagenet7": "SIMPLE_IMAGENET_TEMPLATES",  # those of the 80 that the same authors found enough
}

# the others, by the name of a real set or of a kind of set
_OWN = {name: tuple(texts) for name, texts in read_yaml(Path(__file__).with_suffix(".yaml"), "templates", "").items()}


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


def named_templates(name: str) -> tuple[str, ...] | None:
    """The sentences of a list, or None for a name of none; "eurosat@he2023" says the classes as He et al. 2023 do.

    >>> named_templates("eurosat@he2023"), named_templates("eurosatt")
    (('a centered satellite photo of {class:he2023}.',), None)
    """
    plain, at, way = name.partition("@")
    texts = TEMPLATES.get(plain)
    return texts if texts is None or not at else tuple(text.replace("{class}", f"{{class:{way}}}") for text in texts)


def has_place(template: str) -> bool:
    """Whether a text has a place for the class: `{class}`, `{}`, or `{class:WAY}` with a way of naming."""
    return _PLACE.search(template) is not None


def fill_templates(templates: Sequence[str], class_names: Sequence[str]) -> list[str]:
    """The sentences of each class, those of the first class first.

    Raises:
        UsageError: a template without a place for the class, or a way of naming for classes that it does not know.

    >>> fill_templates(["a {class}.", "my {class:he2023}!"], ["river", "sea or lake"])
    ['a river.', 'my river!', 'a sea or lake.', 'my lake or sea!']
    """
    ways = {way for template in templates for way in _PLACE.findall(template) if way}
    names = {way: spoken_names(class_names, way) for way in ways}
    return [
        fill_template(template, class_name, {way: names[way][i] for way in ways})
        for i, class_name in enumerate(class_names)
        for template in templates
    ]


def fill_template(template: str, class_name: str, spoken: Mapping[str, str] | None = None) -> str:
    """The sentence of a class: its name, as words, in place of each `{class}` or `{}`.

    Args:
        spoken: what stands in place of each `{class:WAY}`, by the way of naming.
    Raises:
        UsageError: a template without a place for the class.

    >>> fill_template("a photo of a {class}, a type of bird.", "house_wren")
    'a photo of a house wren, a type of bird.'
    """
    if not has_place(template):
        raise UsageError(f"Expected {{class}} in the template, got '{template}'.")
    words = {"": class_name, **(spoken or {})}
    # at once, and not one after the other: a class may well be called "{}"
    return _PLACE.sub(lambda place: as_words(words[place[1] or ""]), template)
