"""Class names: what a user types, checked, and as words in a prompt."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from synthset.errors import UsageError

MAX_LENGTH = 200  # characters; a longer name is a sentence, or a file read by mistake
_SILENT_H = ("hour", "honest", "honour", "honor", "heir")
_SOUNDS_LIKE_YOU = ("uni", "use", "usual", "uti", "ute", "eu", "ewe", "ufo", "uk", "u-", "urin", "uran")


def check_classes(names: Sequence[str]) -> tuple[str, ...]:
    """The names, stripped, if they can be the classes of a data set.

    Raises:
        UsageError: no name, an empty one, one twice (however it is spelled), one with a path or control
            character, or one longer than MAX_LENGTH characters.
    """
    cleaned = tuple(unicodedata.normalize("NFC", name).strip() for name in names)
    if not cleaned:
        raise UsageError("Expected at least one class name, got none. Give --classes, e.g. --classes dog cat.")
    seen: dict[str, str] = {}
    for name in cleaned:
        _check_one(name)
        key = as_words(name).casefold()
        if key in seen:
            raise UsageError(f"Expected each class once, got '{seen[key]}' and '{name}'. Remove one of them.")
        seen[key] = name
    return cleaned


def _check_one(name: str) -> None:
    if not as_words(name):
        raise UsageError(f"Expected class names with letters or digits, got '{name}'.")
    if len(name) > MAX_LENGTH:
        raise UsageError(f"Expected class names of at most {MAX_LENGTH} characters, got one of {len(name)}.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise UsageError(f"Expected class names without line breaks or control characters, got {name!r}.")
    if re.search(r"[/\\]", name) or name.startswith("."):
        raise UsageError(f"Expected class names, got '{name}', which looks like a path. Write it without / and \\.")


def read_classes(path: str | Path) -> tuple[str, ...]:
    """Class names from a text file, one a line; blank lines and lines that begin with # are skipped."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Expected a UTF-8 text file with one class a line, got '{path}' ({error}).") from error
    return check_classes([line for line in lines if line.strip() and not line.lstrip().startswith("#")])


def as_words(name: str) -> str:
    """A class name as words: `sea_lake` is "sea lake".

    >>> as_words("polar_bear")
    'polar bear'
    """
    return " ".join(re.sub(r"_+", " ", name).split())


def with_article(noun: str) -> str:
    """`noun` after "a" or "an", by how it sounds.

    >>> with_article("automobile"), with_article("unicorn"), with_article("hourglass"), with_article("8")
    ('an automobile', 'a unicorn', 'an hourglass', 'an 8')
    """
    word = noun.casefold()
    if word.startswith(_SILENT_H):
        article = "an"
    elif word.startswith(_SOUNDS_LIKE_YOU) or re.match(r"one\b|once\b", word):
        article = "an" if word.startswith(("unin", "unim")) else "a"  # an unimportant thing, a unit
    else:
        article = "an" if word[:1] in "aeiou" or re.match(r"8|11\b|18\b", word) else "a"
    return f"{article} {noun}"
