"""YAML files that people write by hand, read strictly: lines `key: value`, each key once, in one-line errors."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.constructor import BaseConstructor, SafeConstructor
from yaml.resolver import BaseResolver, Resolver

from synthset.core.errors import UsageError

MAX_BYTES = 4 * 2**20  # phrases for 10,000 classes; anything longer is another file


try:  # in C: of a long file a fifth of the time
    from yaml.cyaml import CParser as Parser  # pyright: ignore[reportAttributeAccessIssue]
except ImportError:  # PyYAML was built without it
    from yaml.loader import BaseLoader as Parser


class UniqueKeys(BaseConstructor):
    """A loader's part: a key that stands twice is an error, where YAML would keep the last silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of a node, as the loader makes it. Raises ConstructorError for a key that stands twice."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"'{key.value}' stands twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class NoAliases(Composer, Parser):  # pyright: ignore[reportGeneralTypeIssues]
    """A loader's part: an alias is an error, for a few lines of them stand for more text than a machine has memory."""

    def __init__(self, stream: str) -> None:
        Parser.__init__(self, stream)
        Composer.__init__(self)
        BaseConstructor.__init__(self)  # pyright: ignore[reportArgumentType]
        BaseResolver.__init__(self)  # pyright: ignore[reportArgumentType]

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node, as the loader composes it. Raises ComposerError for an alias."""
        # a loader has a parser beside this part, which has these two
        if self.check_event(yaml.AliasEvent):  # pyright: ignore[reportAttributeAccessIssue]
            mark = self.peek_event().start_mark  # pyright: ignore[reportAttributeAccessIssue]
            raise ComposerError(problem="aliases (*name) are not read here", problem_mark=mark)
        return super().compose_node(parent, index)


class _StrictLoader(NoAliases, UniqueKeys, SafeConstructor, Resolver):
    """What yaml.safe_load uses, with each key once and no aliases."""


class TextLoader(NoAliases, UniqueKeys, BaseResolver):
    """Leaves words as they stand: `1:5` is no number of minutes, and `no` may be a class."""


def load_yaml(path: str | Path, flag: str, loader: type[Any] = _StrictLoader) -> Any:
    """What a YAML file holds; None for an empty one.

    Args:
        path: of the file, UTF-8.
        flag: that the file was given with, for errors.
        loader: of yaml, made of the parts above.
    Raises:
        UsageError: no file, one of more than MAX_BYTES, or one that is not UTF-8 or YAML.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)  # no more: a device has no end
        if len(data) > MAX_BYTES:
            raise UsageError(f"Expected at most {MAX_BYTES:,} bytes of YAML for {flag}, '{path}' has more.")
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"Expected a YAML file for {flag}, '{path}' does not read ({_reason(error)}).") from error
    return parse_yaml(text, path, flag, loader)


def parse_yaml(text: str, path: str | Path, flag: str, loader: type[Any] = _StrictLoader) -> Any:
    """What the text of a YAML file holds. Arguments and errors as for `load_yaml`."""
    try:
        return yaml.load(text, loader)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"Expected a YAML file for {flag}, '{path}' does not read ({_reason(error)}).") from error


def read_yaml(path: str | Path, flag: str, example: str) -> dict[str, Any]:
    """The keys and values of a YAML file; an empty file has none.

    Args:
        path: of the file, UTF-8.
        flag: that the file was given with, for errors.
        example: a line such as the file should hold, for errors.
    Raises:
        UsageError: no file, not UTF-8 or YAML, a key twice, keys that are no text, or no keys at all.
    """
    content = load_yaml(path, flag)
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise UsageError(f"Expected lines such as '{example}' in '{path}', got a {type(content).__name__}.")
    for key in content:
        if not isinstance(key, str):
            raise UsageError(f"Expected text before each colon in '{path}', got {key!r}. Put it in quotes.")
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, RecursionError):
        return "too deep"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        return f"{error.problem}{f', line {mark.line + 1}' if mark else ''}"
    return (str(error).splitlines() or [type(error).__name__])[0]
