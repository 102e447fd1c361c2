"""Class names and the phrases that stand for them in prompts: what a user types, checked, and as words."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache

from synthset.core.errors import UsageError, some
from synthset.core.names import plain_name

log = logging.getLogger("synthset")

MAX_LENGTH = 200  # characters; a longer name is a sentence, or a file read by mistake
MAX_PHRASE_LENGTH = 500  # characters; text encoders read about 77 tokens, the longest ImageNet synset has 121
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # categories of Unicode: control characters, halves of one, ends of lines
_ID = re.compile(r"n\d{8}|/[mgt]/\w+")  # of WordNet, as n02084071; of Freebase, which Open Images uses, as /m/04rmv
_PATH = re.compile(r"(\.\.?|~)/.*|\.\.?(\\.*)?|/.*\.\w+|/")  # but for those that only the place can tell
_SILENT_H = ("hour", "honest", "honour", "honor", "heir")
_SOUNDS_LIKE_YOU = ("uni", "use", "usual", "uti", "ute", "eu", "ewe", "ufo", "uk", "u-", "urin", "uran")


def check_classes(names: Sequence[str]) -> tuple[str, ...]:
    """The names as they are seen, see `plain_name`, if they can be the classes of a data set.

    They may hold / and \\ and begin with one or with a dot: no name becomes a path.

    Raises:
        UsageError: no name, an empty one, one twice (however it is spelled), one with a control character, one that
            leads to another folder, or one longer than MAX_LENGTH characters.
    """
    cleaned = tuple(map(plain_name, names))
    if not cleaned:
        raise UsageError("Expected at least one class name, such as dog, got none.")
    seen: dict[str, str] = {}
    for given, name in zip(names, cleaned, strict=True):
        _check_one(name)
        key = as_words(name).casefold()
        if key in seen:
            raise UsageError(
                f"Expected each class once, got '{_spelled(seen[key])}' and '{_spelled(given)}'. Tell the two apart by "
                "their names: without one of them the labels behind it would be others."
            )
        seen[key] = given
    return cleaned


def _spelled(name: str) -> str:
    """A name with what makes two look alike written out: marks of their own, and characters that nobody sees."""
    marks = {c for c in name if unicodedata.combining(c) or unicodedata.category(c) == "Cf"}
    is_usual = plain_name(name) == name.strip()
    return name if is_usual else "".join(f"\\u{ord(c):04x}" if c in marks else c for c in name)


def _check_one(name: str) -> None:
    if not as_words(name):
        raise UsageError(f"Expected class names with letters or digits, got '{name}'.")
    if len(name) > MAX_LENGTH:
        raise UsageError(f"Expected class names of at most {MAX_LENGTH} characters, got one of {len(name)}.")
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        raise UsageError(f"Expected class names of one line without control characters, got {name!r}.")
    if _PATH.fullmatch(name):
        raise UsageError(f"Expected class names, got '{name}', which looks like a path. Name the class.")


def check_no_paths(names: Sequence[str]) -> None:
    """Of names that begin with / say that they are taken as names: an id of Open Images is written so, /m/04rmv.

    Raises:
        UsageError: one that leads to something on this machine.
    """
    rooted = tuple(name for name in names if name.startswith("/"))
    for name in rooted:
        if os.path.exists(name):  # noqa: PTH110 - of a name too long for a path, Path.exists raises
            raise UsageError(f"Expected class names, got '{name}', a path where something lies. Name the class.")
    if rooted:
        _tell_rooted(rooted)


@cache  # a stage may ask several times, and this is said once
def _tell_rooted(names: tuple[str, ...]) -> None:
    log.warning("Taken as class names, not as paths, for nothing lies there: %s", some(names))


def codes_among(names: Sequence[str]) -> tuple[str, ...]:
    """The names that are codes and say nothing to who reads them: ids of WordNet or Freebase; bare numbers, if all are.

    >>> codes_among(["n01440764", "dog"]), codes_among(["0", "/m/04rmv"]), codes_among(["8", "dog"])
    (('n01440764',), ('0', '/m/04rmv'), ())
    """
    ids = tuple(name for name in names if _ID.fullmatch(name))
    codes = tuple(name for name in names if name.isdecimal() or _ID.fullmatch(name))
    return codes if len(codes) == len(names) else ids


def tell_codes(names: Sequence[str], reader: str, remedy: str) -> None:
    """Warn where names are codes, once for the same ones.

    Args:
        reader: of the names, in words: "a CLIP".
        remedy: a sentence that says what to do; it may name a `setting`.
    """
    if codes := codes_among(names):
        _tell_codes(codes, reader, remedy)


@cache  # as above
def _tell_codes(codes: tuple[str, ...], reader: str, remedy: str) -> None:
    text = f"{reader} reads them as they stand, and knows little of codes. {remedy}"
    log.warning("%s", UsageError(f"Expected class names in words, got {some(codes)}: {text}"))


@lru_cache(maxsize=2**15)  # a plan asks for each class once an image
def as_words(name: str) -> str:
    """A class name as words: `sea_lake` is "sea lake".

    >>> as_words("polar_bear")
    'polar bear'
    """
    return " ".join(re.sub(r"_+", " ", name).split())


def check_phrase(name: str, phrase: object) -> str:
    """The phrase of the class `name`, stripped, if it can stand in a prompt.

    Raises:
        UsageError: no text, an empty one, one with line breaks or control characters, or one longer than
            MAX_PHRASE_LENGTH characters.
    """
    phrase = "" if phrase is None else phrase  # a line of YAML that ends with its colon
    if not isinstance(phrase, str):
        raise UsageError(f"Expected text as the phrase of '{name}', got {type(phrase).__name__}. Put it in quotes.")
    phrase = plain_name(phrase)
    if not as_words(phrase):
        raise UsageError(f"Expected a phrase for '{name}', got an empty one. Fill it in, or leave the class out.")
    if len(phrase) > MAX_PHRASE_LENGTH:
        raise UsageError(
            f"Expected a phrase of at most {MAX_PHRASE_LENGTH} characters for '{name}', got one of {len(phrase)}."
        )
    if any(unicodedata.category(character) in _UNPRINTABLE for character in phrase):
        raise UsageError(f"Expected a phrase of one line without control characters for '{name}', got {phrase!r}.")
    return phrase


def split_article(noun: str) -> tuple[str, str]:
    """The article that `noun` begins with, in lower case, and the rest; an empty article where it has none.

    >>> split_article("the digit five"), split_article("crane"), split_article("A")
    (('the', 'digit five'), ('', 'crane'), ('', 'A'))
    """
    match = re.match(r"(an?|the) (?=\S)", noun, re.IGNORECASE)
    return (match[1].lower(), noun[match.end() :]) if match else ("", noun)


@lru_cache(maxsize=2**15)
def with_article(noun: str) -> str:
    """`noun` after "a" or "an", by how it sounds; as it is where it brings an article of its own.

    >>> with_article("automobile"), with_article("unicorn"), with_article("hourglass"), with_article("8")
    ('an automobile', 'a unicorn', 'an hourglass', 'an 8')
    >>> with_article("the digit five"), with_article("a crane bird")
    ('the digit five', 'a crane bird')
    """
    if split_article(noun)[0]:
        return noun
    word = noun.casefold()
    if word.startswith(_SILENT_H):
        article = "an"
    elif word.startswith(_SOUNDS_LIKE_YOU) or re.match(r"one\b|once\b", word):
        article = "an" if word.startswith(("unin", "unim")) else "a"  # an unimportant thing, a unit
    else:
        article = "an" if word[:1] in "aeiou" or re.match(r"8|11\b|18\b", word) else "a"
    return f"{article} {noun}"
