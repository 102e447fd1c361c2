"""Numbers and texts as they stand in the page. Class names and prompts may hold anything."""

from __future__ import annotations

import html
import json
import math
import re
from typing import Any, TypeGuard

from markupsafe import Markup

NOTHING = "–"
ZERO = 1e-12
LONGEST_LABEL = 28  # characters of a name beside a chart


def percent(share: float | None) -> str:
    """A share in [0, 1] in percent.

    >>> percent(0.8194), percent(None)
    ('81.9%', '–')
    """
    return f"{share:.1%}" if is_number(share) else NOTHING


def points(difference: float | None) -> str:
    """A difference of shares in points of a hundred, with its sign.

    >>> points(0.0213), points(-0.5), points(None)
    ('+2.1', '-50.0', '–')
    """
    return f"{100 * difference:+.1f}" if is_number(difference) else NOTHING


def number(value: float | None) -> str:
    """A value of any size, with three digits that count.

    >>> number(0.0000205), number(0.5), number(12.3456), number(45678.0), number(7), number(float("nan"))
    ('2.05e-05', '0.5', '12.3', '45,678', '7', '–')
    >>> number(-3.99e-18)  # rounding's remainder of a zero
    '0'
    """
    if not is_number(value):
        return NOTHING
    if abs(value) < ZERO:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 or isinstance(value, int) else f"{value:.3g}"


def label(text: str, longest: int = LONGEST_LABEL) -> str:
    """A name for a chart: cut, and escaped, for plotly reads tags and entities in its texts.

    >>> label("<b>a & b</b>")
    '&lt;b&gt;a &amp; b&lt;/b&gt;'
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return html.escape(text if len(text) <= longest else f"{text[: longest - 1]}…", quote=False)


def unbroken_flags(text: str) -> Markup:
    """A sentence as HTML in which no line breaks within a flag.

    >>> unbroken_flags("use --phrases <file>")
    Markup('use <span class="flag">--phrases</span> &lt;file&gt;')
    """
    parts = re.split(r"(--[a-z-]+)", text)
    return Markup("").join(
        Markup('<span class="flag">{}</span>').format(p) if i % 2 else p for i, p in enumerate(parts)
    )


def page_json(value: Any) -> str:
    r"""JSON that may stand in a script element: pure ASCII, and no tag can begin or end in it.

    >>> page_json({"name": "</script>\u2028"})
    '{"name":"\\u003c/script\\u003e\\u2028"}'
    """
    text = json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def is_number(value: Any) -> TypeGuard[float]:
    """Whether there is a finite number: neither null nor another thing, nor NaN or infinite."""
    return isinstance(value, int | float) and math.isfinite(value)


def _finite(value: Any) -> Any:
    """The value with null for what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
