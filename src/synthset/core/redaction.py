"""What is taken out of all that is printed: keys and tokens, for a library may quote the request behind its error."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable

from synthset.core.errors import SynthsetError, as_field, printable

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


class DiscreetFormatter(logging.Formatter):
    """Writes log lines without keys and tokens, and without what a terminal would act on.

    Attributes:
        word: how options are named in our own errors that are logged, see SynthsetError.worded.
    """

    word: Callable[[str, str | None], str] = staticmethod(as_field)

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        if isinstance(record.args, tuple):
            args = (arg.worded(self.word) if isinstance(arg, SynthsetError) else arg for arg in record.args)
            record = logging.makeLogRecord({**record.__dict__, "args": tuple(args)})
        return printable(without_secrets(super().format(record)))
