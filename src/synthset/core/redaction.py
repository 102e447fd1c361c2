"""Keys and tokens taken out of what is printed: a library's error may quote the request that it made."""

from __future__ import annotations

import os
import re

SECRET_VARIABLES = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "OPENAI_API_KEY",
    "RAY_AUTH_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
_SHORTEST = 8  # characters; a shorter value would be found in innocent words
# tokens of the hub, and user:password@ of a URL
_LOOKS_SECRET = re.compile(r"\bhf_[A-Za-z0-9]{16,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")


def without_secrets(text: str) -> str:
    """`text` with "…" for the values of SECRET_VARIABLES, tokens of the hub, and passwords in URLs.

    >>> without_secrets("401 for https://me:secret@host with hf_abcdefghijklmnopqrstuv")
    '401 for https://…@host with …'
    """
    for value in (os.environ.get(name, "").strip() for name in SECRET_VARIABLES):
        if len(value) >= _SHORTEST:
            text = text.replace(value, "…")
    return _LOOKS_SECRET.sub("…", text)
