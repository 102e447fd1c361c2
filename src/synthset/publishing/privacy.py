"""Paths of this machine are taken out of all texts that are published: they say who works where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

# folders in front of a name, from the root, a home or a drive on; not those of a URL, of a relative path, or of HTML
_FOLDERS = re.compile(r"(?<![\w.:/<\\-])(?:~[\w.-]*|[A-Za-z]:)?[/\\](?:[^\s/\\'\"`<>|]+[/\\])+(?=[^\s/\\'\"`<>|])")
_WHOLE = re.compile(r"(?:~[\w.-]*|[A-Za-z]:)?[/\\].+")
_WORDS = ("classes", "class_names", "columns", "prompts", "strategies", "negative_prompt")  # which name no files


def without_paths(text: str) -> str:
    """A text with the last name alone of each path that begins at the root, a home or a drive.

    >>> without_paths("a copy of '/home/ada/pets/cat/1.jpg', see https://host/a/b and and/or")
    "a copy of '1.jpg', see https://host/a/b and and/or"
    >>> without_paths("/home/ada/my models/sd-1"), without_paths("~/models/sd"), without_paths("data/train")
    ('sd-1', 'sd', 'data/train')
    """
    return _FOLDERS.sub("", _last_name(text) if _WHOLE.fullmatch(text) else text)


def json_without_paths(value: Any) -> Any:
    """What JSON holds, with the last name alone of each path; words of prompts and classes stay as they are."""
    if isinstance(value, Mapping):
        return {key: item if key in _WORDS else json_without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_without_paths(item) for item in value]
    return without_paths(value) if isinstance(value, str) else value


def _last_name(path: str) -> str:
    """The last name of a path of either kind of system."""
    kind = PureWindowsPath if "\\" in path or path[1:2] == ":" else PurePosixPath
    return kind(path).name or path
