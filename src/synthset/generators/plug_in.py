"""Generators of other packages: which name means one, and what it is given."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from typing import Any

from synthset import miniature
from synthset.core.hub import is_hub_id
from synthset.core.plug_ins import PlugIn, find_plug_in
from synthset.generators.base import GenerationConfig, Generator


def plug_in_of(name: str) -> PlugIn | None:
    """The plug-in that a generator's name means; None for the miniature, a path or a hub id.

    Raises:
        UsageError: as `find_plug_in`.
    """
    if name == miniature.NAME or is_hub_id(name) or os.path.exists(os.path.expanduser(name)):  # noqa: PTH110, PTH111
        return None
    return find_plug_in("generator", name)


def describe_generation(generation: GenerationConfig, name: str) -> dict[str, Any]:
    """The entry in a job of the generator that a name means, with its package if another has added it."""
    plug_in = plug_in_of(name)
    added = {"plugin": {"name": plug_in.name, **plug_in.record()}} if plug_in else {}
    return {**generation.describe(), **added}


def load_plug_in(plug_in: PlugIn, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Generator:
    """The generator that a package's function gives for those options that depart from their defaults.

    Raises:
        UsageError: it takes one of them not, or gives no generator.
        ModelError: it fails.
    """
    given = {name: value for name, value in options.items() if value != defaults[name]}
    generator = plug_in.make(given)
    if not isinstance(getattr(generator, "config", None), GenerationConfig) or not hasattr(generator, "generate"):
        expected = "a function that gives an object with 'config', a GenerationConfig, and 'generate'"
        raise plug_in.is_wrong(expected, f"one that gives {type(generator).__name__}")
    return generator
