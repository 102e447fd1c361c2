"""The licence of what a model draws is that of the model: from its own card, or the list of known ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synthset.core.hub import is_hub_id
from synthset.dataset.card import MODEL_LICENCES

UNKNOWN = "other"


@dataclass(frozen=True)
class Licence:
    """A licence, as the head of a card has it.

    Attributes:
        model: whose it is.
        id: the hub's word for it; "other" where there is none, or where it is not known.
        name, link: of one for which the hub has no word.
    """

    model: str
    id: str = UNKNOWN
    name: str = ""
    link: str = ""

    @property
    def is_known(self) -> bool:
        """Whether anybody says which it is."""
        return self.id != UNKNOWN or bool(self.name)


LookUp = Callable[[str], "dict[str, Any] | None"]
"""Gives the head of the card of a model of the hub; None where it gives none."""


def licence_of(model: str, look_up: LookUp | None = None) -> Licence:
    """The licence of a model by its name: a folder with its card, an id of the hub, or one that is known.

    Args:
        look_up: asks the hub for a card; without it none is asked for.
    """
    if model in MODEL_LICENCES:
        return Licence(model, MODEL_LICENCES[model])
    head = card_head(_read(Path(model).expanduser() / "README.md"))
    if not head and is_hub_id(model):
        head = _cached_head(model) or (look_up(model) if look_up else None) or {}
    known = head.get("license")
    if not isinstance(known, str):
        return Licence(model)
    return Licence(model, known, str(head.get("license_name") or ""), str(head.get("license_link") or ""))


def card_head(text: str) -> dict[str, Any]:
    """The YAML between the first lines of a card; empty where there is none that reads."""
    head, _ = split_card(text)
    try:
        value = yaml.safe_load(head)
    except yaml.YAMLError:
        return {}
    return value if isinstance(value, dict) else {}


def split_card(text: str) -> tuple[str, str]:
    """The YAML of a card, and its page.

    >>> split_card("---\\nlicense: mit\\n---\\n# Cats")
    ('license: mit\\n', '# Cats')
    """
    text = text.replace("\r\n", "\n")
    if text.startswith("---\n") and (end := text.find("\n---", 3)) >= 0:
        return text[4 : end + 1], text[end + 4 :].removeprefix("\n")
    return "", text


def _cached_head(model: str) -> dict[str, Any]:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(model, "README.md")
    return card_head(_read(Path(path))) if isinstance(path, str) else {}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
