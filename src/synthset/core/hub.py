"""Models of the Hugging Face hub: the form of an id, and one message for all that keeps a model from coming."""

from __future__ import annotations

import re

from synthset.core.errors import ModelError, first_line

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/name.

    >>> is_hub_id("CompVis/stable-diffusion-v1-4"), is_hub_id("./folder/model"), is_hub_id("miniature")
    (True, False, False)
    """
    return _HUB_ID.fullmatch(name) is not None


def hub_error(
    kind: str,
    name: str,
    error: Exception,
    *,
    repository: str | None = None,
    revision: str | None = None,
    alternative: str = "",
) -> ModelError:
    """The error to raise for a model of this kind and name that the hub did not give, but some `error`.

    `repository` is its hub id, where that is not its name; `alternative`, something else to do.
    """
    from huggingface_hub import constants

    place = "no such folder, and " if repository in (None, name) else ""
    at = f" at revision {revision}" if revision else ""
    offline = " HF_HUB_OFFLINE is set." if constants.HF_HUB_OFFLINE else ""
    command = f"hf download {repository or name}" + (f" --revision {revision}" if revision else "")
    return ModelError(
        f"Expected the {kind} '{name}'{at} to be at hand: {place}the hub gave none ({first_line(error)}).{offline} "
        f"Check the spelling, or fetch it where there is a network with: {command}"
        + (f"; or {alternative}." if alternative else "")
    )
