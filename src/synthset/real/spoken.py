"""What texts call a class, where people choose other words than the name by which its folder is matched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from synthset.core.errors import UnknownNameError, UsageError, some
from synthset.core.yaml_files import read_yaml
from synthset.real.matching import labels_of
from synthset.real.names import imagenet_ids, openai_names
from synthset.real.sets import class_names_of, known_sets, wordnet_ids_of


@cache
def ways_of_naming() -> Mapping[str, Mapping[str, Any]]:
    """The ways by name; of each, the sets whose classes it calls otherwise."""
    return read_yaml(Path(__file__).with_suffix(".yaml"), "ways of naming", "")


def spoken_names(class_names: Sequence[str], way: str) -> tuple[str, ...]:
    """What texts call the classes of a known set; two of ImageNet's are called as two others, which is no error here.

    Args:
        class_names: all of one known set, in any of its spellings and any order.
        way: of naming, e.g. "he2023".
    Raises:
        UnknownNameError: no such way.
        UsageError: classes of no known set, or of several that call them otherwise.

    >>> spoken_names(["River", "SeaLake"], "he2023")
    ('river', 'lake or sea')
    """
    if way not in ways_of_naming():
        raise UnknownNameError("way of naming", way, ways_of_naming())
    found = {}
    for name, words in _words(way).items():
        if found and not known_sets()[name].class_names:
            break
        labels = labels_of(name, class_names).tolist()
        if min(labels) >= 0:
            found[tuple(words()[label] for label in labels)] = name
    if len(found) != 1:
        got = f"those of {some(list(found.values()))}, which it calls otherwise" if found else some(list(class_names))
        raise UsageError(
            f"Expected the classes of one known set for the names of '{way}', got {got}. Leave '{way}' out, for their "
            "own names."
        )
    return next(iter(found))


@cache
def _words(way: str) -> Mapping[str, Callable[[], tuple[str, ...]]]:
    """By the set, what the way calls its classes, in label order; those that take long to load come last."""
    others = ways_of_naming()[way]

    def own(name: str) -> Callable[[], tuple[str, ...]]:
        return cache(lambda: tuple(others.get(name, {}).get(word, word) for word in class_names_of(name)))

    def of_ids(name: str) -> Callable[[], tuple[str, ...]]:
        return cache(lambda: tuple(openai_names()[imagenet_ids().index(one)] for one in wordnet_ids_of(name)))

    late = [name for name, real in known_sets().items() if not real.class_names]
    return {name: own(name) for name in known_sets() if name not in late} | {name: of_ids(name) for name in late}
