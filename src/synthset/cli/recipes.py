"""`synthset recipes`: the papers' runs, as config files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.recipes import find_recipe, known_recipes


@dataclass(frozen=True)
class RecipesCall:
    """Which of them."""

    name: Annotated[str | None, Positional(default="a list of all")] = None
    """Recipe to print, to read or to copy."""


@command("recipes")
def recipes(call: RecipesCall) -> None:
    """List the papers' runs that `--config recipe:NAME` takes, or print one: a config file to read, copy and change.

    Example: `synthset recipes shipard2023/cifar10 > mine.yaml`, for --config mine.yaml with your changes in it
    """
    from synthset.cli.create_tables import print_recipe, print_recipes

    if call.name is None:
        print_recipes(tuple(known_recipes().values()))
    else:
        print_recipe(find_recipe(call.name))
