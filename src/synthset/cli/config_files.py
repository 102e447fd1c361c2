"""Flags from a YAML file: lines such as `steps: 20`, or such lines below the name of a command.

    images_per_class: 500
    create:
      classes: [yes, no]
      guidance_scale: 1:5

What stands below a command's name wins over what stands on top. `recipe:NAME` is a file of recipes/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import yaml
from cyclopts import App, ArgumentCollection
from cyclopts.config import Dict

from synthset.core.errors import UnknownNameError, UsageError
from synthset.core.yaml_files import TextLoader, load_yaml
from synthset.recipes import PREFIX, RecipeUse, find_recipe

Source = Callable[[App, tuple[str, ...], ArgumentCollection], None]


class _FlagsLoader(TextLoader):
    """Leaves words as they stand, except for null."""


_FlagsLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(~|null|)$"), ["~", "n", ""])
_FlagsLoader.add_constructor("tag:yaml.org,2002:null", lambda loader, node: None)


def config_source(path: Path, commands: Collection[str]) -> Source:
    """The file as a source of flags for cyclopts.

    Args:
        path: of the YAML file, or PREFIX and the name of a recipe.
        commands: names that may stand on top of the file with flags below them.
    Raises:
        UsageError: the file cannot be read, or holds no flags. A flag that the command does not have, is an
            UnknownNameError, and two spellings of one, or a recipe without flags for the command, a UsageError, when
            the command is known, as cyclopts calls the source.
        UnknownNameError: no recipe of that name.
    """
    if str(path).startswith(PREFIX):
        return _recipe_source(str(path))
    content = load_yaml(path, "--config", _FlagsLoader)
    content = {} if content is None else content  # an empty file
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"Expected lines such as 'steps: 20' in '{path}', got a {type(content).__name__}.")

    def apply(command: App, names: tuple[str, ...], arguments: ArgumentCollection) -> None:
        common = {key: content[key] for key in content if key not in commands}
        flags = _flags_of(names, common, content, path)
        _check_names(common, arguments, path)
        _check_names(flags, arguments, path)
        Dict(flags, use_commands_as_keys=False, source=str(path))(command, names, arguments)

    return apply


def _recipe_source(place: str) -> Source:
    """A recipe as a source of flags; it says in a line that it is used, and which of its flags were given otherwise."""
    recipe = find_recipe(place)
    content = yaml.load(recipe.text, _FlagsLoader)  # of the package

    def apply(command: App, names: tuple[str, ...], arguments: ArgumentCollection) -> None:
        from synthset.cli.create_tables import print_recipe_use

        (name,) = names
        if name not in content:
            raise UsageError(
                f"Expected one of {', '.join(content)} with 'recipe:{recipe.name}', which has nothing for {name}. "
                "Leave it out."
            )
        flags = _flags_of(names, {}, content, Path(place))
        _check_names(flags, arguments, Path(place))
        taken = {_spelling(spelled) for argument in arguments if argument.tokens for spelled in argument.names}
        own = tuple(key for key in flags if _spelling(key) in taken)
        Dict(flags, use_commands_as_keys=False, source=place)(command, names, arguments)
        print_recipe_use(RecipeUse(recipe.name, recipe.title, own))

    return apply


def _flags_of(names: Sequence[str], common: dict[str, Any], content: dict[str, Any], path: Path) -> dict[str, Any]:
    """The flags for one command: the common ones, and over them those below its name."""
    flags = dict(common)
    for name in names:
        section = content.get(name) or {}
        if not isinstance(section, dict):
            raise UsageError(
                f"Expected lines such as 'steps: 20' below '{name}:' in '{path}', got a {type(section).__name__}."
            )
        spelled = {_spelling(key) for key in section}
        flags = {key: value for key, value in flags.items() if _spelling(key) not in spelled} | section
    for key, value in flags.items():
        if isinstance(value, dict):
            raise UsageError(f"Expected a value for '{key}' in '{path}', got lines below it. It is no command.")
    return {key: value for key, value in flags.items() if value is not None}


def _check_names(flags: Collection[str], arguments: ArgumentCollection, path: Path) -> None:
    numbers = {_spelling(name): i for i, argument in enumerate(arguments) for name in argument.names if name[0] == "-"}
    keys: dict[int, str] = {}
    for key in flags:
        if _spelling(key) not in numbers:
            raise UnknownNameError(f"flag in '{path}':", key, sorted(numbers))
        other = keys.setdefault(numbers[_spelling(key)], key)
        if other != key:
            raise UsageError(f"Expected one of '{other}' and '{key}' in '{path}', which are the same, got both.")


def _spelling(key: str) -> str:
    return key.lstrip("-").replace("_", "-").lower()
