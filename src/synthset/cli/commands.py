"""The commands: each is declared by a function, whose dataclasses are its flags and whose docstring is its help."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, get_origin, get_type_hints

from synthset.cli.arguments import Argument, Given, arguments_of, build_config, parameters_of
from synthset.cli.compat import SCRIPT_NAMES
from synthset.core.libraries import spare_pandas

log = logging.getLogger("synthset")

PREFIX = "SYNTHSET_"


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        name: as it is typed.
        function: runs it; its parameters are dataclasses, or Given ones.
    """

    name: str
    function: Callable[..., None]

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """Its flags and places."""
        return arguments_of(self.function)

    def arguments_of(self, field: str) -> list[Argument]:
        """The flags or the place that set a field, named "resize_px" or "CreateConfig.resize_px".

        Where two configs have a field of that name, those of the first.
        """
        config, _, name = field.rpartition(".")
        setting = [
            (item, option.path)
            for item in self.arguments
            for option in item.options
            if option.name == name and config in ("", option.config)
        ]
        return [item for item, path in setting if path == setting[0][1]]

    @property
    def summary(self) -> str:
        """One sentence about it."""
        return (self.function.__doc__ or "").partition("\n")[0]

    def run(self, *places: Any, **flags: Any) -> None:
        """Call the function with what was given, by place and by keyword; the rest are defaults."""
        values: dict[str, dict[tuple[str, ...], Any]] = {name: {} for name in parameters_of(self.function)}
        positional = [item for item in self.arguments if item.is_positional]
        last = len(positional) - 1
        if positional and get_origin(positional[-1].type) is list and len(places) > last:
            places = (*places[:last], list(places[last:]))
        for item, value in zip(positional, places, strict=False):
            values[item.parameter] |= item.values(value)
        by_keyword = {item.keyword: item for item in self.arguments}
        for keyword, value in flags.items():
            values[by_keyword[keyword].parameter] |= by_keyword[keyword].values(value)
        for given in values.values():
            for path, value in given.items():
                log.debug("given: %s = %s", ".".join(path), value)
        hints = get_type_hints(self.function)
        arguments = {}
        for name, config in parameters_of(self.function).items():
            is_partial = get_origin(hints[name]) is Given
            arguments[name] = Given(config, values[name]) if is_partial else build_config(config, values[name])
        if "pyarrow" in sys.modules:
            spare_pandas()
        self.function(**arguments)

    def variables(self) -> dict[str, Argument]:
        """The environment variables that set its flags, in every spelling of them."""
        return {
            f"{variables_of(self.name)}{name}".upper().replace("-", "_"): item
            for item in self.arguments
            if not item.is_positional
            for name in (item.flag, *SCRIPT_NAMES.get(self.name, {}).get(item.flag, ()))
        }


def variables_of(name: str) -> str:
    """How the environment variables of a command begin.

    >>> variables_of("side-by-side")
    'SYNTHSET_SIDE_BY_SIDE_'
    """
    return f"{PREFIX}{name}_".upper().replace("-", "_")


# command -> the module in this package that declares it, in the order of the help
NAMES = {
    "demo": "demo",
    "create": "create",
    "filter": "filter",
    "review": "review",
    "train": "train",
    "eval": "evaluate",
    "predict": "predict",
    "compare": "compare",
    "side-by-side": "side_by_side",
    "tune": "tune",
    "pretrain": "pretrain",
    "transfer": "transfer",
    "detect": "detect",
    "diagnose": "diagnose",
    "report": "report",
    "reproduce": "reproduce",
    "show": "show",
    "redraw": "redraw",
    "relabel": "relabel",
    "merge": "merge",
    "split": "split",
    "export": "export",
    "push": "push",
    "recipes": "recipes",
    "completion": "completion",
}
_COMMANDS: dict[str, Command] = {}


def command(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a function as the command of that name."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        _COMMANDS[name] = Command(name, function)
        return function

    return register


def load_command(name: str) -> Command:
    """A command by its name in NAMES; its module is imported now."""
    import_module(f"synthset.cli.{NAMES[name]}")
    return _COMMANDS[name]
