"""Models by name: a folder here, or an id of the Hugging Face hub, with one line for all that keeps one from coming."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthset.core.errors import ModelError, SynthsetError, first_line
from synthset.core.libraries import quiet

_HUB_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9][\w.-]*/\w[\w.-]*", re.ASCII)


def is_hub_id(name: str) -> bool:
    """Whether a name has the form owner/name.

    >>> is_hub_id("CompVis/stable-diffusion-v1-4"), is_hub_id("./folder/model"), is_hub_id("folder/..")
    (True, False, False)
    """
    return _HUB_ID.fullmatch(name) is not None


def find_folder(name: str, expected: str) -> Path | None:
    """The folder of a model, "~" being the user's; None for an id of the hub, where no file is in the way.

    Raises:
        ModelError: it is neither; the message says what was expected.
    """
    path = Path(os.path.expanduser(name))  # noqa: PTH111 - which leaves "~nobody" as it is
    if path.is_dir():
        return path
    if path.exists() or path.is_symlink():
        kind = "file" if path.exists() else "dangling link"
        raise ModelError(f"Expected {expected}, got the {kind} '{name}'. Name the folder of a model.")
    if is_hub_id(name):
        return None
    raise ModelError(f"Expected {expected}, got '{name}', which is none of them. Is the path spelled correctly?")


@contextmanager
def fetching(
    kind: str, name: str, *, repository: str | None = None, revision: str | None = None, alternative: str = ""
) -> Iterator[None]:
    """Whatever keeps a model of this kind and name from coming from the hub is one ModelError, with what to do.

    `repository` is its hub id, where that is not its name; `alternative`, something else to do.
    """
    from huggingface_hub import constants

    try:
        with quiet():
            yield
    except SynthsetError:
        raise
    except Exception as error:  # hub, HTTP client and file system each have their own
        place = "no such folder, and " if repository in (None, name) else ""
        at = f" at revision {revision}" if revision else ""
        offline = " HF_HUB_OFFLINE is set." if constants.HF_HUB_OFFLINE else ""
        command = f"hf download {repository or name}" + (f" --revision {revision}" if revision else "")
        raise ModelError(
            f"Expected the {kind} '{name}'{at} to be at hand: {place}the hub gave none ({first_line(error)}).{offline} "
            f"Check the spelling, or fetch it where there is a network with: {command}"
            + (f"; or {alternative}." if alternative else "")
        ) from error
