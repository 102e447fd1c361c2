"""`--json`: results as one JSON object on stdout, in place of tables; each result under a name of its own."""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, ParamSpec

from synthset.cli.verbosity import is_quiet
from synthset.core.errors import FailureThresholdError

Parameters = ParamSpec("Parameters")

_collected: dict[str, Any] | None = None


@contextmanager
def collecting(wanted: bool) -> Iterator[None]:
    """Print what is shown meanwhile as JSON at the end, if that is wanted; not if the block raises halfway."""
    global _collected
    _collected = {} if wanted else None
    try:
        try:
            yield
        except FailureThresholdError:
            _print_collected()
            raise
        _print_collected()
    finally:
        _collected = None


def _print_collected() -> None:
    if _collected:
        print(json.dumps(_collected, ensure_ascii=True, allow_nan=False))
        sys.stdout.flush()


def is_wanted() -> bool:
    """Whether this run prints JSON."""
    return _collected is not None


def add(name: str, value: Any) -> None:
    """Put something beside the results, where JSON is printed."""
    if _collected is not None:
        _collected[name] = as_plain(value)


def shows(name: str, *, is_result: bool = True) -> Callable[[Callable[Parameters, None]], Callable[Parameters, None]]:
    """For a function that prints a result, its first argument: with `--json` that is collected under a name.

    Args:
        is_result: of what the command is for; `--quiet` prints nothing else.
    """

    def wrap(function: Callable[Parameters, None]) -> Callable[Parameters, None]:
        @functools.wraps(function)
        def show(*arguments: Parameters.args, **options: Parameters.kwargs) -> None:
            if _collected is not None:
                add(name, arguments[0])
            elif is_result or not is_quiet():
                function(*arguments, **options)

        return show

    return wrap


def as_plain(value: Any) -> Any:
    """A result as JSON can hold it: dataclasses by their fields, paths as text, numbers that are none as null.

    >>> as_plain({"a": (1, float("nan")), Path("x"): Path("y")})
    {'a': [1, None], 'x': 'y'}
    """
    if hasattr(value, "to_json"):
        value = value.to_json()
    if hasattr(value, "tolist"):  # of numpy or torch, neither of which is imported for this
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value):
        plain = {item.name: getattr(value, item.name) for item in fields(value) if not item.name.startswith("_")}
        return {name: as_plain(item) for name, item in plain.items() if not callable(item)}
    return as_plain(getattr(value, "folder", None) or getattr(value, "name", None) or str(value))
