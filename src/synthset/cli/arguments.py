"""From the dataclasses that a command takes to its flags, and from flags back to the dataclasses.

A command is a function whose parameters are such dataclasses. Their fields, see core/options.py, become its flags, and
what a command line, a file and variables say becomes their values.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, is_dataclass, replace
from functools import cached_property
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter

from synthset.cli.compat import SCRIPT_NAMES
from synthset.core.errors import UsageError, setting
from synthset.core.options import Declared, Option, brief, check_options, declared_options, is_of_type

Config = TypeVar("Config")

FIRST_GROUP = "Parameters"  # the heading of flags without one


@dataclass(frozen=True)
class Positional(Option):
    """An option that is given by its place, without a flag."""


@dataclass(frozen=True)
class Given(Generic[Config]):
    """Options of a config as far as they were given: for a command that has defaults of its own for the others.

    Attributes:
        config: the class.
        values: what was given, by the paths of the fields.
    """

    config: type[Config]
    values: Mapping[tuple[str, ...], Any]

    def build(self, defaults: Mapping[tuple[str, ...], Any] | None = None) -> Config:
        """The config, with `defaults` for what was not given. Raises UsageError for values that cannot be."""
        return build_config(self.config, {**(defaults or {}), **self.values})


@dataclass(frozen=True)
class Argument:
    """A flag, or a place on the command line, and the options that it sets.

    Attributes:
        parameter: of the command's function, whose dataclass the options belong to.
        flag: without dashes in front.
        options: one; or several, which each take one of the flag's values.
        part: the only one of the option's values that the flag gives; None for the whole.
    """

    parameter: str
    flag: str
    options: tuple[Declared, ...]
    part: int | None = None

    @property
    def option(self) -> Declared:
        """The first option, which says group, default and help."""
        return self.options[0]

    @property
    def is_positional(self) -> bool:
        """Whether it is given by its place."""
        return isinstance(self.option.option, Positional)

    @property
    def is_list(self) -> bool:
        """Whether it takes any number of values."""
        return any(get_origin(kind) is list for kind in (self.type, *get_args(self.type)))

    @property
    def keyword(self) -> str:
        """Its name in the command's signature."""
        name = f"{self.flag}_place" if self.is_positional else self.flag.replace("-", "_")
        return f"{name}_" if iskeyword(name) else name

    @property
    def help(self) -> str:
        """The sentences that explain it, in fields; see `Command.worded`."""
        if self.option.option.inverted:
            return self.option.option.inverted
        if self.part is not None:
            return f"{('Lower', 'Upper')[self.part]} end of the {self.option.help[0].lower()}{self.option.help[1:]}"
        return " ".join(option.help for option in self.options)

    @cached_property
    def type(self) -> Any:
        """As the command line reads it."""
        if len(self.options) > 1:
            return tuple.__class_getitem__(tuple(option.type for option in self.options))
        if self.option.option.inverted:
            return bool
        if self.part is not None:
            return get_args(self.option.type)[self.part]
        return float | None if self.option.option.per_unit != 1 else command_type(self.option.type)

    @property
    def default(self) -> Any:
        """The value without the flag; MISSING where there must be one."""
        if self.option.option.inverted:
            return False
        if self.part is not None:
            return self.option.default[self.part]
        return self.option.default

    @property
    def default_words(self) -> str:
        """The default as help and docs say it; empty where it goes without saying."""
        if self.option.option.default:
            return self.option.option.default
        if len(self.options) > 1:
            return " ".join(f"{option.default:g}" for option in self.options)
        default = self.default
        if default is MISSING or default is None or isinstance(default, bool) or default in ("", (), {}):
            return ""
        return f"{default:g}" if isinstance(default, float) else str(default)

    def values(self, value: Any) -> dict[tuple[str, ...], Any]:
        """What it sets, by the paths of the options' fields; of a part, by path and number."""
        option = self.option
        if len(self.options) > 1:
            return {option.path: part for option, part in zip(self.options, value, strict=True)}
        if self.part is not None:
            return {(*option.path, str(self.part)): value}
        if option.option.inverted:
            return {option.path: not value}
        if option.option.per_unit != 1 and value is not None:
            return {option.path: _count_units(option, value)}
        if isinstance(value, list):  # one of a field that may be a text, or several
            value = value[0] if len(value) == 1 and is_of_type(value[0], option.type) else tuple(value)
        return {option.path: value}


def _count_units(item: Declared, value: float) -> int:
    """The field's number for a flag's, whose unit is larger: bytes for gigabytes. The bounds are told as the flag's."""
    option, named = item.option, setting(f"{item.config}.{item.name}")
    if not is_of_type(value, float):
        raise UsageError(f"Expected {named} as a finite number, got {value}.")
    least = None if option.at_least is None else option.at_least / option.per_unit
    if least is not None and value < least:
        raise UsageError(f"Expected {named} of at least {brief(least)}, got {brief(value)}.")
    return round(value * option.per_unit)


def command_type(kind: Any) -> Any:
    """A field's type as the command line reads it: of several the widest, a tuple of any length as a list.

    >>> command_type(int | str), command_type(tuple[str, ...] | None), command_type(int | None)
    (<class 'str'>, list[str] | None, int | None)
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        parts = [command_type(part) for part in arguments if part is not types.NoneType]
        several = next((part for part in parts if get_origin(part) is list), None)
        widest = several or (str if str in parts else parts[0])
        return widest | None if types.NoneType in arguments else widest
    if origin is tuple and arguments[-1] is Ellipsis:
        return list[arguments[0]]
    return str if isinstance(origin or kind, type) and issubclass(origin or kind, Mapping) else kind


def arguments_of(function: Callable[..., None]) -> tuple[Argument, ...]:
    """The flags of a command, in the order of its dataclasses and their fields."""
    arguments: dict[str, Argument] = {}
    for parameter, config in parameters_of(function).items():
        for option in declared_options(config):
            for number, flag in enumerate(option.flags):
                argument = Argument(parameter, flag, (option,), number if len(option.flags) > 1 else None)
                before = arguments.get(argument.keyword)
                if before is not None and option.option.part and before.option.path[:-1] == option.path[:-1]:
                    argument = replace(before, options=(*before.options, option))
                elif before is not None:
                    continue  # a command's own dataclass comes first, and may take a flag over
                arguments[argument.keyword] = argument
    return tuple(arguments.values())


def parameters_of(function: Callable[..., None]) -> dict[str, type]:
    """The dataclasses that a command's function takes, by the names of its parameters."""
    hints = get_type_hints(function)
    names = inspect.signature(function).parameters
    return {name: get_args(hints[name])[0] if get_origin(hints[name]) is Given else hints[name] for name in names}


def signature_of(command: str, arguments: Sequence[Argument], with_help: bool = True) -> inspect.Signature:
    """The signature that cyclopts reads the flags from.

    Args:
        command: its name, by which scripts know other names of the flags.
        arguments: of the command.
        with_help: without, what is shown in help alone is left out: some of it takes long to load.
    """
    flags = flags_by_field(arguments)
    groups: dict[str, Group | str] = {FIRST_GROUP: FIRST_GROUP}
    parameters = []
    for item in sorted(arguments, key=lambda item: not item.is_positional):
        title = item.option.option.group or FIRST_GROUP
        groups.setdefault(title, Group(title, sort_key=len(groups)))
        names = [f"--{name}" for name in (item.flag, *SCRIPT_NAMES.get(command, {}).get(item.flag, ()))]
        default_words = words_with_flags(item.default_words, flags) if with_help else ""
        described = Parameter(
            name=item.flag.upper() if item.is_positional else names,
            help=words_with_flags(item.help, flags) if with_help else "",
            group="Arguments" if item.is_positional else groups[title],
            negative=f"--{item.option.option.negative}" if item.option.option.negative else (),
            show_default=(lambda value, words=default_words: words) if default_words else False,
            consume_multiple=item.is_list,
            required=item.default is MISSING,
        )
        kind = inspect.Parameter.POSITIONAL_ONLY if item.is_positional else inspect.Parameter.KEYWORD_ONLY
        default = inspect.Parameter.empty if item.default is MISSING else item.default
        annotation = item.type
        if not with_help and item.default is not MISSING and not is_of_type(default, annotation):
            default, annotation = None, annotation | None  # pydantic, once something has loaded it, checks defaults
        if item.is_positional and item.is_list:
            kind, default, annotation = (
                inspect.Parameter.VAR_POSITIONAL,
                inspect.Parameter.empty,
                get_args(item.type)[0],
            )
        parameters.append(
            inspect.Parameter(item.keyword, kind, default=default, annotation=Annotated[annotation, described])
        )
    return inspect.Signature(parameters)


def build_config(config: type[Config], values: Mapping[tuple[str, ...], Any]) -> Config:
    """A config, and those within it, from values by the paths of their fields; a number in a path is a tuple's part.

    Raises:
        UsageError: a value that cannot be, or a detail of a nested config without the option that brings it about.
    """
    options = declared_options(config)
    for option in options:
        if option.path in values and option.switch and option.switch not in values:
            raise UsageError(f"Expected {setting(option.switch[-1])} with {setting(option.name)}. Or leave it out.")
    inner: dict[str, dict[tuple[str, ...], Any]] = {}
    for path, value in values.items():
        inner.setdefault(path[0], {})[path[1:]] = value
    hints, arguments = get_type_hints(config), {}
    for name, below in inner.items():
        nested = next((part for part in (hints[name], *get_args(hints[name])) if is_dataclass(part)), None)
        if () in below:
            arguments[name] = below[()]
        elif isinstance(nested, type):
            arguments[name] = build_config(nested, below)
        else:
            default = next(option.default for option in options if option.path == (name,))
            arguments[name] = tuple(below.get((str(i),), part) for i, part in enumerate(default))
    built = config(**arguments)
    check_options(built)
    return built


def flags_by_field(arguments: Sequence[Argument]) -> dict[str, str]:
    """How the command line spells the fields: `resize_px` as --resize; also as "CreateConfig.resize_px"."""
    flags = {}
    for item in reversed(arguments):  # where two configs have a field of one name, the first has it
        for option in item.options:
            spelled = item.flag.upper() if item.is_positional else f"--{item.flag}"
            flags[option.name] = flags[f"{option.config}.{option.name}"] = spelled
    return flags


BACKTICKED = re.compile(r"`([a-z_]+)`")


def words_with_flags(text: str, flags: Mapping[str, str]) -> str:
    """A help text with flags for the fields that it names in backticks.

    >>> words_with_flags("As `shots` says, in `PATH`.", {"shots": "--shots"})
    'As --shots says, in `PATH`.'
    """
    return BACKTICKED.sub(lambda match: flags.get(match[1], match[0]), text)


def data_before_names(data: Path | None, names: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """Data and strategies as they are meant where a list of strategies took the path behind it for one more.

    Only what is no strategy's name is taken for the path: `--strategy base out/pets`.
    """
    from synthset.prompts.strategies import strategy_name

    if data is None and len(names) > 1:
        try:
            strategy_name(names[-1])
        except UsageError:
            return Path(names[-1]), names[:-1]
    return data, names


def one_path(positional: Path | None, named: Path | None, thing: str, flag: str) -> Path | None:
    """Whichever of two ways to name a thing was taken. Raises UsageError for both at once."""
    if positional is not None and named is not None:
        raise UsageError(f"Expected {thing} once, got '{positional}' and {setting(flag)} '{named}'. Drop one.")
    return positional if named is None else named
