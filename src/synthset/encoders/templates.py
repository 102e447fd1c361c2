"""Text templates: the sentences in which a CLIP reads a class name.

They are literal, as those that CLIP was published with: "a photo of a apple." is what the model has been scored
with, so no article is put right here, unlike in the prompts that images are drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from synthset.core.errors import UsageError
from synthset.core.yaml_files import read_yaml
from synthset.prompts.classes import as_words

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
