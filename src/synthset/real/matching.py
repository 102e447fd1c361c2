"""Classes matched by their names: those of images to those that are expected, of a model, a dataset or a known set.

By the name itself, by its letters and digits, without the numbers in front by which folders are sorted, by another
name that a known set is published with, or by number, where the numbers can mean one thing only. What can be read in
two ways is refused, with both lists.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path

import numpy as np

from synthset.core.errors import UsageError
from synthset.core.names import plain_name
from synthset.core.yaml_files import read_yaml
from synthset.images.imageset import ImageSet
from synthset.real.names import imagenet_texts
from synthset.real.sets import class_names_of, known_sets, wordnet_ids_of

log = logging.getLogger("synthset")

_NUMBERED = re.compile(r"\d+[\W_]+(?=\S)")  # 001.Black_footed_Albatross, 0 - zero, 003_sea_or_lake
_INITIAL = re.compile(r"/?([a-z])/(?=\1)")  # a/abbey: SUN397 sorts its folders by their first letters


@dataclass(frozen=True, eq=False)
class ClassMatch:
    """Which of the expected classes each class of some images is.

    Attributes:
        expected: the k names that are expected, in label order.
        classes: the m names of the images, in label order.
        index: int64 (m,), in 0..k-1; -1 for a class that is none of them.
        ways: how many were found in each way, in words: "by name", "by number, from 1", …
    """

    expected: tuple[str, ...]
    classes: tuple[str, ...]
    index: np.ndarray
    ways: Mapping[str, int]

    @property
    def missing(self) -> tuple[str, ...]:
        """The expected classes that the images do not have."""
        found = set(self.index.tolist())
        return tuple(name for i, name in enumerate(self.expected) if i not in found)

    def check_complete(self, place: str) -> None:
        """Raise UsageError unless each class of one side is one of the other."""
        if self.missing or self.extra:
            raise _other_classes(self, place, self.missing, self.extra)

    @property
    def extra(self) -> tuple[str, ...]:
        """The classes of the images that are not expected."""
        return tuple(name for name, place in zip(self.classes, self.index.tolist(), strict=True) if place < 0)


def match_names(expected: Sequence[str], classes: Sequence[str], place: str) -> ClassMatch:
    """Match two lists of class names; equal lists are matched by position, whatever they hold.

    Args:
        place: what has the second list, for errors.
    Raises:
        UsageError: names that stand twice, or numbers that could mean several classes.
    """
    ours, theirs = tuple(map(plain_name, expected)), tuple(map(plain_name, classes))
    if ours == theirs:
        return ClassMatch(tuple(expected), tuple(classes), np.arange(len(ours)), {"by name": len(ours)})
    for names, where in ((ours, "the expected classes"), (theirs, f"'{place}'")):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UsageError(
                f"Expected class names that differ, or two equal lists, got '{twice[0]}' twice in {where}: its images "
                "could be of either class. Tell the two apart by their names."
            )
    search = _Search(ours, theirs)
    search.take("by name", lambda name: name)
    search.take("by name, but for case and underscores", _words)
    search.take("by letters and digits", fold)
    search.take_bare()
    if not search.is_complete:
        search.take_by_known_set()
    if not search.is_complete:
        search.take_by_number(place)
    return ClassMatch(tuple(expected), tuple(classes), np.array(search.index, np.int64), search.ways)


def with_classes(
    images: ImageSet, class_names: Sequence[str], *, strict: bool = False, every: bool = False
) -> ImageSet:
    """The images under the labels of `class_names`; those of other classes are left out, with a warning.

    Args:
        strict: refuse where a class is missing or added.
        every: refuse where a class is missing.
    Raises:
        UsageError: the classes are others, or cannot be told.
    """
    match = match_names(class_names, images.class_names, images.name)
    counts = np.bincount(images.labels, minlength=len(match.classes)) if len(images) else np.ones(len(match.classes))
    present = counts > 0
    found = set(match.index[present & (match.index >= 0)].tolist())
    missing = [name for i, name in enumerate(match.expected) if i not in found]
    extra = [match.classes[i] for i in np.flatnonzero(present & (match.index < 0))]
    is_other = not found or 2 * len(found) < min(len(match.expected), int(present.sum()))
    if is_other or (strict and (missing or extra)) or (every and match.missing):
        raise _other_classes(match, images.name, missing, extra)
    _tell(match, images.name, missing, extra, int(counts[match.index < 0].sum()) if len(images) else 0)
    labels = match.index[images.labels]
    kept = images if not extra else images.select(labels >= 0)
    return replace(kept, labels=labels[labels >= 0], class_names=tuple(class_names))


def _tell(match: ClassMatch, place: str, missing: Sequence[str], extra: Sequence[str], left_out: int) -> None:
    for way, count in match.ways.items():
        level = logging.WARNING if way.startswith("by number") else logging.INFO
        log.log(level, "'%s': %d classes matched %s", place, count, way)
    if missing:
        log.warning("'%s' has no images of %s", place, _list(missing))
    if extra:
        images = "1 image" if left_out == 1 else f"{left_out:,} images"
        log.warning("'%s': left out %s of further classes: %s", place, images, _list(extra))


def _other_classes(match: ClassMatch, place: str, missing: Sequence[str], extra: Sequence[str]) -> UsageError:
    return UsageError(
        f"Expected images of the {len(match.expected)} classes {_list(match.expected)} in '{place}', got "
        f"{len(match.classes)}: {_list(match.classes)} (missing: {_list(missing)}; extra: {_list(extra)}). "
        "Give images of the same classes, or name them alike."
    )


def _list(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "") if names else "none"


# ---- keys of a name ---------------------------------------------------------------------------------------


def fold(name: str) -> str:
    """A name as letters and digits: what spellings of one name have in common. A number is its value.

    >>> fold("SeaLake"), fold("sea_lake"), fold("Speed limit (20km/h)"), fold("007")
    ('sealake', 'sealake', 'speedlimit20kmh', '7')
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    letters = "".join(c for c in text if c.isalnum() or unicodedata.category(c).startswith("M"))
    return str(int(letters)) if letters.isdecimal() else letters


def _words(name: str) -> str:
    return " ".join(re.sub(r"[_\s]+", " ", name.casefold()).split())


def _bare(names: Sequence[str]) -> list[str] | None:
    """Names without the number, or the folder of their first letter, in front of every one of them; else None."""
    for pattern in (_NUMBERED, _INITIAL):
        if all(pattern.match(name) for name in names):
            return [fold(pattern.sub("", name, count=1)) for name in names]
    return None


@dataclass
class _Search:
    """Two lists of names, and what was found so far."""

    ours: Sequence[str]
    theirs: Sequence[str]

    def __post_init__(self) -> None:
        self.index = [-1] * len(self.theirs)
        self.ways: dict[str, int] = {}

    @property
    def is_complete(self) -> bool:
        """Whether no name is left over on one of the sides."""
        return -1 not in self.index or len(set(self.index) - {-1}) == len(self.ours)

    def take(self, way: str, key: Callable[[str], str]) -> None:
        """Match what is left by a key."""
        self._take(way, [key(name) for name in self.ours], [key(name) for name in self.theirs])

    def _take(self, way: str, ours: Sequence[str], theirs: Sequence[str]) -> None:
        """Match what is left by keys, each of which stands for one name alone in both lists."""
        counts = Counter(ours), Counter(theirs)
        taken = set(self.index)
        places = {key: i for i, key in enumerate(ours) if counts[0][key] == 1 and i not in taken and key}
        for i, key in enumerate(theirs):
            if self.index[i] < 0 and counts[1][key] == 1 and key in places:
                self.index[i] = places[key]
                self.ways[way] = self.ways.get(way, 0) + 1

    def take_bare(self) -> None:
        """Match what is left where one of the lists numbers its names: "003_sea_or_lake"."""
        for ours, theirs in ((None, _bare(self.theirs)), (_bare(self.ours), None)):
            if ours or theirs:
                keys = ours or [fold(name) for name in self.ours], theirs or [fold(name) for name in self.theirs]
                self._take("by letters and digits, without numbers in front", *keys)

    def take_by_known_set(self) -> None:
        """Match what is left by the names that a known set is published with, where all of ours are of one."""
        best: list[int] = []
        for name in dict.fromkeys(_lists_of_names().values()):
            ours, theirs = labels_of(name, self.ours), labels_of(name, self.theirs)
            if ours.min() >= 0 and len(set(ours.tolist())) == len(ours):
                place = {label: i for i, label in enumerate(ours.tolist())}
                found = [place.get(label, -1) for label in theirs.tolist()]
                best = max(best, found, key=lambda places: sum(one >= 0 for one in places))
            if best and -1 not in best:
                break
        keys = [str(place) if place >= 0 else "" for place in best]
        self._take("by the names of a known set", list(map(str, range(len(self.ours)))), keys)

    def take_by_number(self, place: str) -> None:
        """Match numbers to the classes of a whole known set, or refuse them."""
        if not all(name.isdecimal() for name in self.theirs):
            return
        numbers = [int(name) for name in self.theirs]
        if all(name.isdecimal() for name in self.ours):
            ours = {int(name) for name in self.ours}
            if ours.issubset(numbers) or ours.issuperset(numbers):
                return
            raise self._ambiguous(place)
        if self.ways:  # some are names of ours as they are
            return
        for name in dict.fromkeys(_lists_of_names().values()):
            ours, k = labels_of(name, self.ours).tolist(), known_sets()[name].num_classes
            first = 0 if 0 in numbers else 1 if max(numbers) == k else None
            if sorted(ours) == list(range(k)) and first is not None and max(numbers) < k + first:
                self.index = [ours.index(number - first) for number in numbers]
                self.ways[f"by number, from {first}, in the order of '{name}'"] = len(numbers)
                return
        raise self._ambiguous(place)

    def _ambiguous(self, place: str) -> UsageError:
        return UsageError(
            f"Expected images of the classes {_list(self.ours, 20)} in '{place}', got the numbers "
            f"{_list(self.theirs, 20)}, which may count them from 0 or from 1 and in any order. Name the classes."
        )


# ---- known sets -------------------------------------------------------------------------------------------


@cache
def _lists_of_names() -> Mapping[str, str]:
    """For each known set the first one that has the same names; those whose names take long to load come last."""
    first: dict[tuple[str, ...], str] = {}
    sets = {name: real.class_names for name, real in known_sets().items() if real.class_names}
    late = {name: name.replace("-sketch", "") for name in known_sets() if name not in sets}
    return {name: first.setdefault(names, name) for name, names in sets.items()} | late


@cache
def _labels_by_name(name: str) -> Mapping[str, int]:
    """The labels of a known set by the folded forms of its names: its own first, then others that one class has."""
    others = read_yaml(Path(__file__).parent / "other_names.yaml", "other names", "").get(name, {})
    ids, own = wordnet_ids_of(name), class_names_of(name)
    texts = imagenet_texts() if ids else {}
    more = [(one, *texts[one]) for one in ids] if ids else [tuple(others.get(word, ())) for word in own]
    labels: dict[str, int] = {}
    for names in zip_longest(*((word, *rest) for word, rest in zip(own, more, strict=True)), fillvalue=""):
        keys = [fold(word) for word in names]
        counts = Counter(keys)
        for label, key in enumerate(keys):
            if key and counts[key] == 1:
                labels.setdefault(key, label)
    return labels


def labels_of(name: str, words: Sequence[str]) -> np.ndarray:
    """The label in a known set of each of its class names, however it is published: int64, -1 for other names."""
    labels = _labels_by_name(_lists_of_names()[name])
    bare = (_INITIAL.sub("", _NUMBERED.sub("", word, count=1), count=1) for word in words)
    found = (labels.get(fold(word), labels.get(fold(rest), -1)) for word, rest in zip(words, bare, strict=True))
    return np.fromiter(found, np.int64, len(words))
