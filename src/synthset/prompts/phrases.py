"""Phrases: what stands in prompts for a class whose bare name means something else to a generator.

Marwood et al. 2023, Reason 1: "drake" is a duck in ImageNet and a singer on the web. A phrase, "a drake, the male
duck", replaces the name in the prompts of every strategy; class names and labels stay those of the user.

A file of phrases is YAML, one class a line; classes that it leaves out keep their names:

    jay: a bird of type jay
    crane: the wading bird crane

ImageNet's own words stand ready by name, for classes named as `synthset create --dataset imagenet` names them:

    imagenet-synsets      all words of the synset: "tench, Tinca tinca", the prompts of the paper's set Synset
    imagenet-lemmas       its first word: "tench"
    imagenet-definitions  the first word and the definition: "tench, freshwater dace-like game fish of Europe …"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import yaml

from synthset.core.errors import UsageError, setting, some
from synthset.core.files import write_text
from synthset.core.names import plain_name
from synthset.core.yaml_files import read_yaml
from synthset.prompts.classes import as_words, check_classes, check_phrase, split_article
from synthset.real.spoken import spoken_names, ways_of_naming

# (all words of the synset, its definition) -> phrase
READY: dict[str, Callable[[str, str], str]] = {
    "imagenet-synsets": lambda words, definition: words,
    "imagenet-lemmas": lambda words, definition: words.split(", ")[0],
    "imagenet-definitions": lambda words, definition: f"{words.split(', ')[0]}, {definition}",
}


def load_phrases(source: str | Path, class_names: Sequence[str]) -> dict[str, str]:
    """The phrases of classes, from a file or by a name of READY; a name wins over a file called the same.

    Args:
        source: path of a YAML file, or a name such as "imagenet-synsets" or, of a way of naming, "he2023".
        class_names: of the data set.
    Returns:
        Phrases by class name, spelled as in `class_names`; without those that only repeat the name.
    Raises:
        UsageError: the file does not read, a phrase cannot be, or a class is unknown.
    """
    if str(source) in READY:
        return _imagenet_phrases(str(source), class_names)
    if str(source) in ways_of_naming():
        spoken = spoken_names(class_names, str(source))
        return match_phrases(dict(zip(class_names, spoken, strict=True)), class_names, str(source))
    if not Path(source).exists():
        raise UsageError(
            f"Expected a YAML file of phrases or one of {', '.join((*READY, *ways_of_naming()))} for "
            f"{setting('phrases')}, found nothing at '{source}'."
        )
    return match_phrases(read_yaml(source, setting("phrases"), "jay: a bird of type jay"), class_names, f"'{source}'")


def nouns_of(class_names: Sequence[str], phrases: Mapping[str, str]) -> list[str]:
    """What to call each class in a template with an article of its own: its phrase, or its name as words.

    >>> nouns_of(["five", "polar_bear"], {"five": "the digit five"})
    ['digit five', 'polar bear']
    """
    return [split_article(phrases.get(name, as_words(name)))[1] for name in class_names]


def match_phrases(phrases: Mapping[str, object], class_names: Sequence[str], origin: str) -> dict[str, str]:
    """The phrases under the class names that they are meant for, however case and underscores are spelled.

    Args:
        phrases: by class name, unchecked.
        class_names: of the data set.
        origin: where the phrases are from, for errors.
    Returns:
        Phrases by class name, spelled as in `class_names`; without those that only repeat the name.
    Raises:
        UsageError: an unknown class, one that is named twice, or a phrase that cannot be.
    """
    known = {name_key(name): name for name in check_classes(class_names)}
    matched: dict[str, str] = {}
    for spelled, phrase in phrases.items():
        name = known.get(name_key(spelled))
        if name is None:
            raise UsageError(_unknown_class(spelled, list(known.values()), origin))
        if name in matched:
            raise UsageError(f"Expected one phrase for '{name}' in {origin}, got two. Remove one of them.")
        matched[name] = check_phrase(name, phrase)
    return {name: phrase for name, phrase in matched.items() if as_words(phrase) != as_words(name)}


def _imagenet_phrases(name: str, class_names: Sequence[str]) -> dict[str, str]:
    """ImageNet's own words for some or all of its classes, from timm's tables. Raises UsageError for other classes.

    They are looked up by the index of the class, for two synsets share "crane" and two "maillot"; the names of
    `real.class_names_of("imagenet")` are all different, and so lead to one index each.
    """
    from timm.data import ImageNetInfo

    from synthset.real import class_names_of

    info, labels = ImageNetInfo("imagenet-1k"), class_names_of("imagenet")
    index_of = {name_key(label): index for index, label in enumerate(labels)}
    phrases = {}
    for class_name in check_classes(class_names):
        index = index_of.get(name_key(class_name))
        if index is None:
            raise UsageError(
                f"{_unknown_class(class_name, labels, 'ImageNet')} '{name}' goes with ImageNet's class names, as "
                f"{setting('dataset', 'imagenet')} has them."
            )
        words = info.index_to_description(index)
        definition = info.index_to_description(index, detailed=True).removeprefix(f"{words}: ")
        phrases[class_name] = READY[name](words, definition)
    return match_phrases(phrases, class_names, name)


def write_phrases(path: str | Path, phrases: Mapping[str, str], comments: Mapping[str, str] | None = None) -> None:
    """Write a file that `load_phrases` reads, whole or not at all.

    Args:
        path: of the file.
        phrases: by class name; may be empty.
        comments: what to say above a class; under the empty name, on top of the file.
    """
    comments = comments or {}
    parts = [_comment(comments[""])] if "" in comments else []
    for name, phrase in phrases.items():
        parts += [_comment(comments[name])] if name in comments else []
        parts.append(yaml.safe_dump({name: phrase}, allow_unicode=True, width=2**20))
    write_text(Path(path), "".join(parts))


def _comment(text: str) -> str:
    # a line break in a name that someone else chose must not end the comment
    lines = ("".join(c if c.isprintable() else " " for c in line) for line in text.split("\n"))
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def name_key(name: str) -> str:
    """What the spellings of one class name have in common: case and underscores aside."""
    return as_words(plain_name(name)).casefold()


def _unknown_class(name: str, known: Sequence[str], origin: str) -> str:
    """One line that does not list a thousand classes."""
    close = get_close_matches(name, known, n=1)
    hint = f"Did you mean '{close[0]}'?" if close else f"Classes: {some(known, 8)}."
    return f"Unknown class '{name}' in {origin}. {hint}"
