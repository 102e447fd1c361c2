"""Cells of CSV files, which people open in spreadsheets: no text of anybody's runs there."""

from __future__ import annotations

import json
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # a spreadsheet would run a cell that begins so


def cell(value: Any) -> Any:
    """A value as a cell: a list as JSON, and a text that a spreadsheet would run with an apostrophe in front.

    >>> cell("=1+1"), cell("a cat"), cell(-2), cell(["a", "b"])
    ("'=1+1", 'a cat', -2, '["a", "b"]')
    """
    if begins_a_formula(value):
        return f"'{value}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def begins_a_formula(value: Any) -> bool:
    """Whether a spreadsheet would take a text for a formula, or a part of it for a cell of its own."""
    return isinstance(value, str) and value.startswith(_FORMULA)
