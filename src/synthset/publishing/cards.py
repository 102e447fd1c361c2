"""The card as it is published: with the licence of the models, without paths, and with what was left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from synthset.publishing.licences import UNKNOWN, Licence, card_head, split_card
from synthset.publishing.privacy import without_paths

_LICENCE = re.compile(r"^license(_name|_link)?:.*\n(?:- .*\n|  .*\n)*", re.MULTILINE)


def published_card(text: str, licences: Sequence[Licence], remarks: Sequence[str] = ()) -> str:
    """A card with its licence put right, and with remarks at its end.

    Args:
        text: of the card as it lies in the folder.
        licences: of the models behind it.
        remarks: sentences on what is published otherwise than it lies there.
    """
    head, page = split_card(text)
    is_known = all(licence.is_known for licence in licences)
    if not is_known and card_head(text).get("license") not in (None, UNKNOWN):
        licences = ()  # somebody looked it up, and wrote it there
    if licences:
        head = yaml.safe_dump(_entries(licences), sort_keys=False, allow_unicode=True) + _LICENCE.sub("", head)
    page = "\n".join(map(without_paths, page.split("\n")))
    if notes := [*remarks, *_notes(licences)]:
        page = f"{page.rstrip()}\n\n**As published:** {' '.join(notes)}\n"
    return f"---\n{head}---\n{page}"


def with_configs(text: str, fresh: str) -> str:
    """A card that names the rows to leave out as a fresh one does: verdicts may have changed since it was written.

    Args:
        text: of the card as it lies in the folder; what a person changed in it stays.
        fresh: of the card as Synthset would write it now.
    """
    head, configs = card_head(text), card_head(fresh).get("configs")
    if not head or head.get("configs") == configs:
        return text
    whole = yaml.safe_dump(
        {**head, "configs": configs}, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120
    )
    return f"---\n{whole}---\n{split_card(text)[1]}"


def _entries(licences: Sequence[Licence]) -> dict[str, Any]:
    ids = list(dict.fromkeys(licence.id for licence in licences))
    entries: dict[str, Any] = {"license": ids[0] if len(ids) == 1 else ids}
    if len(licences) == 1:
        (licence,) = licences
        entries |= {f"license_{key}": getattr(licence, key) for key in ("name", "link") if getattr(licence, key)}
    return entries


def _notes(licences: Sequence[Licence]) -> list[str]:
    unknown = [f"`{without_paths(licence.model)}`" for licence in licences if not licence.is_known]
    if not unknown:
        return []
    return [f"The licence of {', '.join(unknown)} is not known here: look it up before you use this."]
