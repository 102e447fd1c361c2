"""Comparison of jobs, which two runs must share to go on in one folder, by dotted keys.

What an older record lacks counts as the default, so that an option that came later refuses no older folder.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from synthset.core.errors import ConfigChangedError, setting


def flatten(job: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A job by dotted keys, its values as they come back from JSON.

    >>> flatten({"seed": 64, "images": {"format": "png"}, "classes": ("one", "two")})
    {'seed': 64, 'images.format': 'png', 'classes': ['one', 'two']}
    """
    flat: dict[str, Any] = {}
    for key, value in job.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = _plain(value)
    return flat


def differences(
    recorded: Mapping[str, Any],
    wanted: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    derived: Collection[str] = (),
    identified: Mapping[str, str] | None = None,
) -> list[str]:
    """Where two jobs differ, as "seed: 64 there, 65 here"; empty where they are one.

    Args:
        recorded: the job of the folder ("there").
        wanted: the job of this run ("here"); its keys come first.
        defaults: values that a job has where it does not say otherwise.
        derived: keys that differ with others, such as a hash of it all: they are named only alone.
        identified: keys that name a thing, with that of its hash, which counts instead where both jobs have one; else
            two paths of one folder count as one.
    """
    filled, identified = flatten(defaults or {}), identified or {}
    there, here = flatten(recorded), flatten(wanted)
    pairs = {key: (there.get(key, filled.get(key)), here.get(key, filled.get(key))) for key in {**here, **there}}
    both = there.keys() & here.keys()
    texts = {
        key: f"{key}: {_brief(old)} there, {_brief(new)} here"
        for key, (old, new) in pairs.items()
        if old != new and not (key in identified and (identified[key] in both or _is_one_folder(old, new)))
    }
    return [text for key, text in texts.items() if key not in derived] or list(texts.values())


def refuse(folder: Path, kind: str, texts: Collection[str], advice: str = "") -> None:
    """Raise ConfigChangedError, "'folder' holds another {kind}", where there are differences to name.

    Args:
        advice: a further sentence: what else can be done.
    """
    if texts:
        raise ConfigChangedError(
            f"'{folder}' holds another {kind} ({'; '.join(list(texts)[:4])}); nothing was changed. "
            f"Choose another {setting('output_dir')}, or give {setting('overwrite')} to replace it. {advice}".rstrip()
        )


def _is_one_folder(old: Any, new: Any) -> bool:
    """Whether two values are spellings of one path: absolute or not, by a link, with "~"."""
    try:
        return Path(old).expanduser().samefile(Path(new).expanduser())
    except (OSError, TypeError, ValueError, RuntimeError):
        return False


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"
