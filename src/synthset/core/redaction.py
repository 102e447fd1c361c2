"""What is taken out of all that is printed: keys and tokens, for a library's error may quote the request that it made,
and whatever a terminal would act on, for a name or a reason may come from anyone's file.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable

from synthset.core.errors import SynthsetError, as_field

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


# escape sequences: CSI, those that end with a string terminator, the rest
_ESCAPES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|[]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?|[ -/]*[0-~])")
# control characters but for tab and line feed, and those that turn the direction of writing
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")  # in names of files that are no Unicode


def printable(text: str) -> str:
    r"""`text` without escape sequences and control characters, so that a terminal shows it and does nothing else.

    >>> printable("a \x1b[31mred\x1b[0m cat\x07\ud800\n")
    'a red cat�\n'
    """
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _ESCAPES.sub("", text)))


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
