"""Splits told apart by the words that the field has for them, wherever they stand in names of folders and files."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from synthset.core.errors import UsageError, setting

TRAIN, VALIDATION, TEST = "train", "validation", "test"
FOR_TESTS, FOR_TRAINING = (TEST, VALIDATION), (TRAIN,)  # the splits that are taken where none is asked for

_THINGS = "(sets?|data|images?|imgs?|pics)?"
_WORDS = {
    TRAIN: re.compile(f"(train(ing|val)?|trn){_THINGS}"),
    VALIDATION: re.compile(f"(val(id|idate|idation)?{_THINGS}|dev(el|elopment)?{_THINGS}|eval(uation)?{_THINGS})"),
    TEST: re.compile(f"(tests?|testing|tst|h[eo]ldout){_THINGS}"),
}


def split_of(name: str) -> str | None:
    """The split that a word in a name speaks of.

    >>> [split_of(name) for name in ("Training", "seg_test", "cifar10-train", "TestImages", "valid", "latest")]
    ['train', 'test', 'train', 'test', 'validation', None]
    """
    words = re.split(r"[\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold())
    return next(
        (split for word in ("".join(words), *words) for split, pattern in _WORDS.items() if pattern.fullmatch(word)),
        None,
    )


def is_split_word(name: str) -> bool:
    """Whether a name is a split's word and nothing else.

    >>> is_split_word("Testing"), is_split_word("test_set"), is_split_word("test tube")
    (True, True, False)
    """
    word = re.sub(r"[\W\d_]+", "", name.casefold())
    return any(pattern.fullmatch(word) for pattern in _WORDS.values())


def choose_split(
    place: str, names: Collection[str], wanted: str | None, defaults: Sequence[str] = (), option: str = "split"
) -> str:
    """Which of the splits, by their names there, is meant.

    Args:
        place: where they are, for errors.
        names: of the splits, as folders or files spell them.
        wanted: a name, or another word for that split; None for the first of `defaults` that is there, or the only one.
        option: that says which, for errors.
    Raises:
        UsageError: none that is meant, or several.
    """
    for one in [wanted] if wanted is not None else [*defaults]:
        exact = [name for name in names if name.casefold() == one.casefold()]
        alike = exact or [name for name in names if split_of(name) == (split_of(one) or one)]
        if len(alike) == 1:
            return alike[0]
        if alike:
            names = alike
            break
    else:
        if wanted is None and len(names) == 1:
            return next(iter(names))
    listed, got = ", ".join(sorted(names)), "none of them" if wanted is None else f"'{wanted}'"
    example = next((name for name in names if split_of(name) in (defaults or (TRAIN,))), min(names))
    raise UsageError(
        f"'{place}' holds splits ({listed}), not one set of images; got {got}. Say which, e.g. "
        f"{setting(option, example)}."
    )
