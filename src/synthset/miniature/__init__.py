"""The embedded default model: where it lies, and what it can draw.

It is a teaching and testing model of digits, not a general generator; README.md beside this file is its card.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from synthset.core.errors import UsageError, setting

NAME = "miniature"
FOLDER = Path(__file__).parent
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def check_drawable(class_names: Sequence[str]) -> None:
    """Raise UsageError if a class, as words, names none of the ten digits, by word or numeral."""
    for name in class_names:
        words = re.findall(r"[a-z]+|\d+", name.lower())
        if not any(word in DIGITS or (word.isdigit() and len(word) == 1) for word in words):
            raise UsageError(
                f"The miniature cannot draw '{name}': it knows the digits {', '.join(DIGITS)} only. For other "
                f"classes name a Stable Diffusion model, e.g. {setting('generator', 'CompVis/stable-diffusion-v1-4')}, "
                "or the folder of one."
            )
