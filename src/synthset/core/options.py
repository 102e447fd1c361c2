"""Options of a stage, each declared once: as a field of the stage's config, a dataclass.

    seed: Annotated[int, Option(at_least=0, below=2**63)] = 64
    \"\"\"Seed of the whole run; each image has its own, derived from it.\"\"\"

The check, the flag with its help, the YAML key, the variable, the entry in the job and the page in the docs follow from
that. A config within a config is a field with `Nested`. The library speaks of fields; the command line translates.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from synthset.core.errors import UnknownNameError, UsageError, setting

Config = TypeVar("Config")


@dataclass(frozen=True)
class Option:
    """What a field's name, type, default and text do not say of it.

    Attributes:
        flag: its name on the command line, where that is not the field's: `resize` for `resize_px`; several for a
            tuple whose parts are flags of their own.
        part: the field is that part of a flag that takes several values, which other fields share.
        group: heading that it stands under in the help.
        at_least, above, at_most, below: bounds of a number, or of each in a tuple.
        choices: the valid names, or what lists them; they stand for `{choices}` in the text.
        listed: the names that stand for `{choices}`, where others are valid too.
        default: the default in words, where the field's value does not say it.
        negative: flag that switches it off, beside the one that switches it on.
        inverted: help of its flag, where that says the opposite of the field: `random-start` of `text_initialisation`.
        per_unit: how much of the field is one of the flag: 1e9 where the field counts bytes and the flag gigabytes.
        job: whether another value makes another job, which may not go on in the same folder; its dotted key in the
            job, where that is not the field's name.
    """

    flag: str | tuple[str, ...] = ""
    part: int | None = None
    group: str = ""
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: Callable[[], Iterable[str]] | Iterable[str] = ()
    listed: Callable[[], Iterable[str]] | Iterable[str] = ()
    default: str = ""
    negative: str = ""
    inverted: str = ""
    per_unit: float = 1
    job: bool | str = True

    def names(self) -> tuple[str, ...]:
        """The valid names; empty where any value will do."""
        return tuple(self.choices() if callable(self.choices) else self.choices)


@dataclass(frozen=True)
class Nested:
    """A field that holds a config of its own, whose fields are options of the stage too.

    Attributes:
        group: heading of those that name none.
        flags: other flags than the inner config names, by its fields.
        without: its fields that are no options of this stage.
        switch: the inner field that brings the config about; without it there is none, and the others are refused.
        job: prefix of its entries in the job; None where they are no part of it.
    """

    group: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    switch: str = ""
    job: str | None = None


@dataclass(frozen=True)
class Declared:
    """An option as its config declares it.

    Attributes:
        config: name of the class that declares it.
        path: names of the fields that lead to it, its own last.
        type: without None of an optional field's nested config, and without annotations.
        default: MISSING where there is none.
        text: the sentences that explain it.
        option: the rest.
        switch: path of the option that brings its config about, if there must be one.
    """

    config: str
    path: tuple[str, ...]
    type: Any
    default: Any
    text: str
    option: Option
    switch: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The field's name."""
        return self.path[-1]

    @property
    def flags(self) -> tuple[str, ...]:
        """Names on the command line, without dashes in front: one, unless its parts have flags of their own."""
        flag = self.option.flag or self.name.replace("_", "-")
        return (flag,) if isinstance(flag, str) else flag

    @property
    def help(self) -> str:
        """The text, with the names that it lists, each with its summary where there is one."""
        listed = self.option.listed or self.option.choices
        names: Any = listed() if callable(listed) else listed
        summaries = {name: getattr(names[name], "summary", "") if isinstance(names, Mapping) else "" for name in names}
        words = [f"{name} ({summary})" if summary else name for name, summary in summaries.items()]
        return self.text.replace("{choices}", ", ".join(words))


@cache
def declared_options(config: type) -> tuple[Declared, ...]:
    """Every option of a config class, in order, those of nested configs in their place."""
    return tuple(_declared(config, ()))


def _declared(config: type, path: tuple[str, ...]) -> Iterator[Declared]:
    hints, texts = get_type_hints(config, include_extras=True), field_texts(config)
    for item in fields(config):
        kind, extras = _without_annotations(hints[item.name])
        nested = next((extra for extra in extras if isinstance(extra, Nested)), None)
        if nested is None:
            option = next((extra for extra in extras if isinstance(extra, Option)), Option())
            yield Declared(config.__name__, (*path, item.name), kind, _default(item), texts.get(item.name, ""), option)
            continue
        for inner in _declared(_dataclass_in(kind), (*path, item.name)):
            if inner.name in nested.without:
                continue
            option = replace(
                inner.option,
                flag=nested.flags.get(inner.name, inner.option.flag),
                group=inner.option.group or nested.group,
                job=_nested_job(inner, nested),
            )
            switch = inner.switch or ((*path, item.name, nested.switch) if nested.switch else ())
            yield replace(inner, option=option, switch=switch)


@cache
def nested_configs(config: type) -> dict[str, Any]:
    """The types of its fields that hold configs of their own."""
    hints = {name: _without_annotations(hint) for name, hint in get_type_hints(config, include_extras=True).items()}
    return {name: kind for name, (kind, extras) in hints.items() if any(isinstance(extra, Nested) for extra in extras)}


def _nested_job(inner: Declared, nested: Nested) -> bool | str:
    if nested.job is None or inner.option.job is False:
        return False
    own = inner.option.job if isinstance(inner.option.job, str) else inner.name
    return f"{nested.job}.{own}" if nested.job else own


def _default(item: Field[Any]) -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default


def _without_annotations(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    return (get_args(kind)[0], get_args(kind)[1:]) if get_origin(kind) is Annotated else (kind, ())


def _dataclass_in(kind: Any) -> type:
    return next(part for part in (kind, *get_args(kind)) if is_dataclass(part) and isinstance(part, type))


def field_texts(config: type) -> dict[str, str]:
    """The string below each field of a class, on one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(config))).body
    assert isinstance(tree, ast.ClassDef)
    texts = {}
    for line, following in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(following, ast.Expr):
            value = following.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                texts[line.target.id] = " ".join(value.value.split())
    return texts


# ---- values -----------------------------------------------------------------------------------------------


def with_options(config: Config, options: Mapping[str, Any]) -> Config:
    """The config, a dataclass, with `options` in place of its fields; a list is as good as a tuple.

    Raises:
        UnknownNameError: an option that is no field of it.
    """
    names = [item.name for item in fields(config)]  # pyright: ignore[reportArgumentType]
    for name in options:
        if name not in names:
            raise UnknownNameError("option", name, names)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return replace(config, **values)  # pyright: ignore[reportArgumentType]


def expect(condition: bool, what: str) -> None:
    """Raise UsageError, "Expected {what}.", unless the condition holds."""
    if not condition:
        raise UsageError(f"Expected {what}.")


def check_options(config: Any) -> None:
    """Hold every field of a config to its type, its bounds and its valid names; nested configs check themselves.

    Raises:
        UsageError: a value that cannot be; the message names the field.
        UnknownNameError: a name that is not among the valid ones.
    """
    kind = type(config)
    for item in declared_options(kind):
        if len(item.path) == 1:
            value = getattr(config, item.name)
            if isinstance(value, list) and is_of_type(tuple(value), item.type):
                value = tuple(value)  # a list, from YAML or JSON, is as good
                object.__setattr__(config, item.name, value)
            _check(item, value, setting(f"{kind.__name__}.{item.name}"))
    for name, inner in nested_configs(kind).items():
        value = getattr(config, name)
        if not is_of_type(value, inner):
            raise UsageError(f"Expected {setting(name)} as {describe_type(inner)}, got {value!r}.")


def _check(item: Declared, value: Any, named: str) -> None:
    if not is_of_type(value, item.type):
        raise UsageError(f"Expected {named} as {describe_type(item.type)}, got {value!r}.")
    parts = value if isinstance(value, tuple) else (value,)
    numbers = [part for part in parts if isinstance(part, Real) and not isinstance(part, bool)]
    for number in numbers:
        if not is_within(number, item.option):
            raise UsageError(f"Expected {named} {describe_bounds(item.option)}, got {brief(number)}.")
    names = item.option.names()
    for part in parts:
        if names and isinstance(part, str) and part not in names:
            raise UnknownNameError(item.name.replace("_", " "), part, names)


def is_of_type(value: Any, kind: Any) -> bool:
    """Whether a value is what a field's annotation says. Numbers are finite, integers of 64 bits; True is no number.

    >>> is_of_type(3, float), is_of_type(True, int), is_of_type(("a",), tuple[str, ...]), is_of_type(None, int | None)
    (True, False, True, True)
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(is_of_type(value, part) for part in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return all(is_of_type(part, arguments[0]) for part in value)
        return len(value) == len(arguments) and all(map(is_of_type, value, arguments))
    if kind is None or kind is types.NoneType:
        return value is None
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool) and -(2**63) <= int(value) < 2**63
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool) and _is_finite(value)
    return isinstance(value, origin or kind)


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def is_within(value: Any, bounds: Option) -> bool:
    """Whether a number keeps the bounds; NaN keeps none."""
    return (
        (bounds.at_least is None or value >= bounds.at_least)
        and (bounds.above is None or value > bounds.above)
        and (bounds.at_most is None or value <= bounds.at_most)
        and (bounds.below is None or value < bounds.below)
    )


def describe_bounds(bounds: Option) -> str:
    """Bounds in words.

    >>> describe_bounds(Option(at_least=1)), describe_bounds(Option(at_least=0, at_most=1))
    ('of at least 1', 'in 0..1')
    >>> describe_bounds(Option(above=0, at_most=1)), describe_bounds(Option(at_least=0, below=1))
    ('above 0 and at most 1', 'of at least 0 and below 1')
    """
    if bounds.at_least is not None and bounds.at_most is not None:
        return f"in {brief(bounds.at_least)}..{brief(bounds.at_most)}"
    words = {
        "of at least": bounds.at_least,
        "above": bounds.above,
        "at most": bounds.at_most,
        "below": bounds.below,
    }
    return " and ".join(f"{word} {brief(bound)}" for word, bound in words.items() if bound is not None)


def brief(number: Any) -> str:
    """A number as people write it.

    >>> brief(100_000), brief(4096), brief(0.5), brief(1.0), brief(2**63)
    ('100,000', '4096', '0.5', '1', '2^63')
    """
    if isinstance(number, Integral):
        power = int(number).bit_length() - 1
        if power >= 30 and number == 2**power:
            return f"2^{power}"
        return f"{number:,}" if abs(int(number)) >= 10_000 else f"{number}"
    return f"{number:g}"


def describe_type(kind: Any) -> str:
    """An annotation in words.

    >>> describe_type(tuple[float, float]), describe_type(tuple[str, ...]), describe_type(int | None)
    ('2 numbers', 'texts', 'an integer or nothing')
    """
    words = {int: "an integer", float: "a finite number", bool: "true or false", str: "a text", Path: "a path"}
    plural = {int: "integers", float: "numbers", str: "texts"}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(part) for part in arguments)
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin is tuple:
        several = plural.get(arguments[0], f"a tuple of {getattr(arguments[0], '__name__', arguments[0])}")
        return several if arguments[-1] is Ellipsis else f"{len(arguments)} {several}"
    if kind is types.NoneType:
        return "nothing"
    return words.get(kind) or getattr(origin or kind, "__name__", str(kind))


# ---- the job ----------------------------------------------------------------------------------------------


def job_of(config: Any) -> dict[str, Any]:
    """What of a config another run must share to go on in the same folder, as JSON can hold it; see Option.job."""
    job: dict[str, Any] = {}
    for item in declared_options(type(config)):
        if item.option.job is False:
            continue
        value: Any = config
        for name in item.path:
            value = None if value is None else getattr(value, name)
        *sections, key = (item.option.job if isinstance(item.option.job, str) else item.name).split(".")
        place = job
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return job
