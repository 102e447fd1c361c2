"""The options of a stage in Python: a config, and fields of it given by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from synthset.errors import UnknownNameError, UsageError

Config = TypeVar("Config")


def with_options(config: Config, options: Mapping[str, Any]) -> Config:
    """The config, a dataclass, with `options` in place of its fields. Raises UnknownNameError for no field of it."""
    names = [item.name for item in fields(config)]  # pyright: ignore[reportArgumentType]
    for name in options:
        if name not in names:
            raise UnknownNameError("option", name, names)
    return replace(config, **options)  # pyright: ignore[reportArgumentType]


def expect(condition: bool, what: str) -> None:
    """Raise UsageError, "Expected {what}.", unless the condition holds."""
    if not condition:
        raise UsageError(f"Expected {what}.")
