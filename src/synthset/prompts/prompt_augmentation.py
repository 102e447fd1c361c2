"""The words of prompt augmentation, and an order to take them in: a prompt of its own for each image.

Marwood et al. 2023, Figure 4: looks + (extent × typical) + (extent × size) + class + location + style, each
drawn from a small list. The lists stand in data/prompt_augmentation.yaml; a user may give others. Those of the first
version, without the words of appendix B, are kept for the datasets that were begun with them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from hashlib import blake2b
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any

from synthset.core.errors import UnknownNameError, setting
from synthset.core.options import expect
from synthset.core.yaml_files import read_yaml

DEFAULT_FILE = Path(__file__).parent / "data" / "prompt_augmentation.yaml"
FIRST_FILE = DEFAULT_FILE.with_name("prompt_augmentation_first.yaml")
MAX_LENGTH = 100  # characters of one entry of a list
_ROUNDS = 4


@dataclass(frozen=True)
class Augmentation:
    """Lists of words; a prompt has one of each, and of the extents two.

    Attributes:
        looks: adjectives that fit any class: "beautiful".
        extents: adverbs before `typical` and `sizes`: "very"; "" for none.
        typical: how usual the thing is: "uncommon".
        sizes: "small".
        locations: where in the picture: "partially occluded".
        styles: how it was taken: "overexposed".
    Raises:
        UsageError: an empty list, an entry that cannot be, one twice, or entries of which two combinations
            would read the same.
    """

    looks: tuple[str, ...]
    extents: tuple[str, ...]
    typical: tuple[str, ...]
    sizes: tuple[str, ...]
    locations: tuple[str, ...]
    styles: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, entries in vars(self).items():
            expect(bool(entries), f"at least one entry in '{name}' of the augmentation, got none")
            for entry in entries:
                _check_entry(name, entry)
            _check_distinct(name, entries)
        # Read from left to right, a prompt must say which entries it is made of; else two could be the same.
        _check_prefixes("looks", self.looks)
        for name, words in (("typical", self.typical), ("sizes", self.sizes)):
            pairs = [f"{extent} {word}".strip() for extent in self.extents for word in words]
            _check_distinct(f"extents and {name}", pairs)
            _check_prefixes(f"extents and {name}", pairs)
        tails = [f"{location}, {style}" for location in self.locations for style in self.styles]
        _check_distinct("locations and styles", tails)

    @property
    def num_prompts(self) -> int:
        """How many different prompts the lists give."""
        return prod(map(len, self._slots()))

    def modifiers(self, number: int) -> tuple[str, str]:
        """What stands before and after the class in prompt `number`, 0 ≤ number < num_prompts."""
        entries = []
        for slot in self._slots():
            number, digit = divmod(number, len(slot))  # a number in mixed radix, a digit a list
            entries.append(slot[digit])
        *before, location, style = entries
        return " ".join(entry for entry in before if entry), f"{location}, {style}"

    def _slots(self) -> tuple[tuple[str, ...], ...]:
        return self.looks, self.extents, self.typical, self.extents, self.sizes, self.locations, self.styles


@cache
def default_augmentation(file: Path = DEFAULT_FILE) -> Augmentation:
    """The lists that come with Synthset; those of FIRST_FILE for what was begun with them."""
    return read_augmentation(file)


def read_augmentation(path: str | Path) -> Augmentation:
    """Lists from a YAML file with the six keys of `Augmentation`.

    Raises:
        UsageError: the file does not read, a list is missing, unknown or no list of texts, or see Augmentation.
    """
    content = read_yaml(path, setting("augmentation"), "looks: [beautiful, ugly]")
    names = [item.name for item in fields(Augmentation)]
    if unknown := [name for name in content if name not in names]:
        raise UnknownNameError(f"list in '{path}':", unknown[0], names)
    missing = [name for name in names if name not in content]
    expect(not missing, f"the lists {', '.join(names)} in '{path}', found no {', '.join(missing)}")
    return Augmentation(**{name: _texts(path, name, content[name]) for name in names})


def shuffled(index: int, size: int, key: str) -> int:
    """The `index`-th of the numbers 0..size-1 in a pseudo-random order that `key` decides; nothing is stored.

    A Feistel network permutes the numbers below the next power of four; what lands at `size` or above goes
    through again until it lands below, which keeps the map one-to-one.
    Reference: Black and Rogaway 2002, "Ciphers with arbitrary finite domains", cycle walking.

    Args:
        index: 0 ≤ index < size.
        size: of the domain, at least 1.
        key: any text; another key gives another order.
    Example:
        >>> sorted(shuffled(index, 7, "owl") for index in range(7))
        [0, 1, 2, 3, 4, 5, 6]
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    number = index
    while True:
        left, right = number >> half, number & mask
        for step in range(_ROUNDS):
            digest = blake2b(f"{key}\x1f{step}\x1f{right}".encode(), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
        number = left << half | right
        if number < size:
            return number


def _texts(path: str | Path, name: str, entries: Any) -> tuple[str, ...]:
    expect(isinstance(entries, list), f"a list below '{name}' in '{path}', got {type(entries).__name__}")
    for entry in entries:
        kind = type(entry).__name__
        expect(isinstance(entry, str), f"text in '{name}' of '{path}', got {kind}. Put it in quotes")
    return tuple(re.sub(" +", " ", unicodedata.normalize("NFC", entry)).strip() for entry in entries)


def _check_entry(name: str, entry: str) -> None:
    is_filled = bool(entry.strip()) or (name == "extents" and not entry)
    expect(is_filled, f"no empty entry in '{name}' of the augmentation; only extents may have one")
    expect(len(entry) <= MAX_LENGTH, f"entries of at most {MAX_LENGTH} characters in '{name}', got one of {len(entry)}")
    is_plain = all(unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") for character in entry)
    expect(is_plain, f"entries of one line without control characters in '{name}', got {entry!r}")


def _check_distinct(name: str, entries: Sequence[str]) -> None:
    for entry, count in Counter(entries).items():
        expect(count == 1, f"different entries in '{name}' of the augmentation, got '{entry}' twice")


def _check_prefixes(name: str, entries: Sequence[str]) -> None:
    known = set(entries)
    for entry in entries:
        for beginning in accumulate(entry.split(" ")[:-1], "{} {}".format):
            expect(
                beginning not in known,
                f"no entry in '{name}' of the augmentation to begin with another, got '{entry}' and '{beginning}': "
                "prompts could repeat. Change one of them",
            )
