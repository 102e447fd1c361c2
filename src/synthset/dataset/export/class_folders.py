"""Names of class folders that every system, and every tool that reads such folders, takes for what they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from synthset.core.names import plain_name
from synthset.images.folders import LEFT_BEHIND
from synthset.images.splits import split_of

_MOST_BYTES = 100  # of a name; systems take 255 with all that tools add, some of them less
# not in names on Windows, or with a meaning in patterns
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\[\]]')
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)  # of Windows


def folders_of(class_names: Sequence[str], *, numbered: bool = False) -> list[str]:
    """A folder for each class: called as the class, where all names can be folders, else by number and slug.

    Args:
        numbered: by number and slug anyway, so that sorted folders are in label order.

    >>> folders_of(["sea lake", "Éclair"]), folders_of(["AC/DC", "cat"])
    (['sea lake', 'Éclair'], ['000_ac_dc', '001_cat'])
    """
    is_distinct = len({name.casefold() for name in class_names}) == len(class_names)
    if not numbered and is_distinct and all(map(is_safe, class_names)):
        return list(class_names)
    return [class_slug(index, name, len(class_names)) for index, name in enumerate(class_names)]


def is_safe(name: str) -> bool:
    """Whether a folder can be called so on every system, and is a class to every tool.

    `datasets` takes any folder with a word such as train or test in its name for a split.

    >>> [is_safe(name) for name in ("sea lake", "C#", "AC/DC", "nul", ".NET", "etc.", "bullet train")]
    [True, True, False, False, False, False, False]
    """
    return (
        plain_name(name) == name
        and 0 < len(name.encode("utf-8", "replace")) <= _MOST_BYTES
        and not any(unicodedata.category(character).startswith("C") for character in name)
        and not _FORBIDDEN.search(name)
        and not _DEVICES.fullmatch(name)
        and name[0] not in ".~-"
        and name[-1] != "."
        and name.casefold() not in LEFT_BEHIND
        and split_of(name) is None
    )


def class_slug(index: int, name: str, k: int) -> str:
    """A folder name for class `index` of `k`: ASCII letters, digits and `_` only, sorting by index, no split's word.

    >>> class_slug(3, "sea or lake", 10), class_slug(0, "bullet train", 2)
    ('003_sea_or_lake', '000_bullet_xtrain')
    >>> class_slug(0, "../x", 2)
    '000_x'
    """
    if not 0 <= index < k:
        raise ValueError(f"Expected a class index in 0..{k - 1}, got {index}.")
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", ascii_name)[:40].strip("_") or "class"
    slug = "_".join(f"x{word}" if split_of(word) else word for word in slug.split("_"))
    if split_of(slug):  # as a whole
        slug = f"x{slug}"
    return f"{index:0{max(3, len(str(k - 1)))}d}_{slug}"
