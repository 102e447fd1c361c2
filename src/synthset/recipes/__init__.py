"""Recipes: the papers' runs as config files that anyone can read and copy, by name, for `--config recipe:NAME`.

A file of a folder here is a recipe: shipard2023/cifar10. Where one run is repeated over many sets, it is written once,
with places for what differs, and a table of the sets stands beside it: he2023/sets.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from synthset.core.errors import UnknownNameError
from synthset.core.yaml_files import read_yaml

PREFIX = "recipe:"  # before a name, where a path may stand too
_FOLDER = Path(__file__).parent
_TABLE = "sets.yaml"
_MAX_NAMED = 8  # recipes in a message, the nearest
_COLUMN = 42  # two columns before the comments behind values
_COMMENT = re.compile(r"^(  \S.*?) +(# .*)$", re.MULTILINE)


@dataclass(frozen=True)
class PaperRecipe:
    """A run of a paper, as a config file.

    Attributes:
        name: e.g. "shipard2023/cifar10".
        text: of the file, YAML with comments that say where in the paper a value stands.
    """

    name: str
    text: str

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that it has options for, in the order of their use."""
        return tuple(line.removesuffix(":") for line in self.text.splitlines() if line[:1].isalpha())

    @property
    def title(self) -> str:
        """What it is, in a line: the first comment of the file."""
        return self.text.partition("\n")[0].removeprefix("# ")


@dataclass(frozen=True)
class RecipeUse:
    """That a command runs by a recipe.

    Attributes:
        recipe: its name.
        title: what it is.
        overridden: its options that were given otherwise.
    """

    recipe: str
    title: str
    overridden: tuple[str, ...]


@cache
def known_recipes() -> Mapping[str, PaperRecipe]:
    """The recipes by name, those of a paper together."""
    texts: dict[str, str] = {}
    for path in sorted(_FOLDER.glob("*/*.yaml")):
        paper, text = path.parent.name, path.read_text(encoding="utf-8")
        if path.name == _TABLE:
            continue
        table = path.parent / _TABLE
        sets = read_yaml(table, "sets", "") if table.exists() else {}
        filled = {name: values for name, values in sets.items() if path.stem in values["runs"]}
        for name, values in filled.items():
            texts[f"{paper}/{name}-{path.stem}"] = _fill(text, {"dataset": name, **values})
        if not filled:
            texts[f"{paper}/{path.stem}"] = text
    return {name: PaperRecipe(name, text) for name, text in texts.items()}


def _fill(text: str, values: Mapping[str, Any]) -> str:
    """The file of a set, its comments below each other again."""
    return _COMMENT.sub(lambda line: f"{line[1]:{_COLUMN}}  {line[2]}", Template(text).substitute(values))


def find_recipe(name: str) -> PaperRecipe:
    """The recipe of that name, with PREFIX before it or not. Raises UnknownNameError."""
    key = name.removeprefix(PREFIX).strip().lower().removesuffix(".yaml")
    if key not in known_recipes():
        near = [other for other in known_recipes() if key and key in other]
        near = near or [other for other in known_recipes() if other.startswith(key.partition("/")[0])]
        nearest = get_close_matches(key, near or known_recipes(), n=_MAX_NAMED, cutoff=0)
        named = [other for other in known_recipes() if other in nearest]
        raise UnknownNameError("recipe", key, named, "'synthset recipes' lists all.")
    return known_recipes()[key]
