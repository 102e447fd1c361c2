"""Names as people see them: accents in one of the two ways to spell them, and no characters that nobody sees."""

from __future__ import annotations

import re
import unicodedata

# zero-width joiners between letters beyond ASCII are part of how these look: in Persian, in Hindi, in emoji
_NEEDLESS_JOINER = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])")


def plain_name(text: str) -> str:
    """The name that is seen: composed (NFC), without invisible characters, and without space around it.

    >>> plain_name("\\ufeffcat\\u200b "), plain_name("cafe\\u0301") == "caf\\u00e9", plain_name("\\u202edog\\u202c")
    ('cat', True, 'dog')
    """
    if text.isascii():
        return text.strip()
    composed = unicodedata.normalize("NFC", text)
    seen = (c for c in composed if unicodedata.category(c) != "Cf" or c in "\u200c\u200d")
    return _NEEDLESS_JOINER.sub("", "".join(seen)).strip()


def shown(name: object) -> str:
    """A name or path as it can be printed and written: one from the file system need not be UTF-8.

    >>> shown("caf\\udce9")
    'caf\\\\udce9'
    """
    return str(name).encode("utf-8", "backslashreplace").decode()
