"""Every error that Synthset raises on purpose, and the exit code that the command line gives it.

    SynthsetError                  1  something failed; the message says what to do
    ├── UsageError                 2  a bad argument: nothing was written
    │   ├── UnknownNameError       2  a name that is not in the list; the message lists the valid ones
    │   └── ConfigChangedError     2  a folder already holds another job; the message names the difference
    ├── DataError                  1  images or tables that cannot be read
    ├── ModelError                 1  a model that cannot be loaded, or is not at hand offline
    └── FailureThresholdError      3  finished, but more images failed than the threshold allows

A message says what was expected, what came, and what to do, in one line. Where it names an option it does so by
`setting`: in Python it reads as the field, on the command line as the flag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

_SETTING = re.compile("⟦([^⟦⟧=]+)(?:=([^⟦⟧]*))?⟧")
# escape sequences: CSI, those that end with a string terminator, the rest
_ESCAPES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|[]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?|[ -/]*[0-~])")
# control characters but for tab and line feed, and those that turn the direction of writing
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")  # in names of files that are no Unicode


def setting(name: str, value: Any = None) -> str:
    """An option in a message, by the name of its field, with a value that it should have.

    Where two configs of a stage have a field of that name, "SentenceConfig.revision" tells which. Whoever shows the
    message words it for the reader, see `SynthsetError.worded`.
    """
    return f"⟦{name}⟧" if value is None else f"⟦{name}={value}⟧"


def as_field(name: str, value: str | None) -> str:
    """An option as Python has it.

    >>> as_field("resize_px", "32"), as_field("overwrite", None)
    ('resize_px=32', 'overwrite')
    """
    name = name.rpartition(".")[2]
    return name if value is None else f"{name}={value}"


def as_flag(name: str, value: str | None) -> str:
    """An option as the command line has it, of a command that is not looked up: on a page, or of another command.

    >>> as_flag("resize_px", "32"), as_flag("open_browser", "False"), as_flag("overwrite", None)
    ('--resize-px 32', '--no-open-browser', '--overwrite')
    """
    flag = f"--{'no-' * (value == 'False')}{name.rpartition('.')[2].replace('_', '-')}"
    return f"{flag} {value}" if value not in (None, "True", "False") else flag


def printable(text: str) -> str:
    r"""`text` without escape sequences and control characters, so that a terminal shows it and does nothing else.

    >>> printable("a \x1b[31mred\x1b[0m cat\x07\ud800\n")
    'a red cat�\n'
    """
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _ESCAPES.sub("", text)))


class SynthsetError(Exception):
    """Base of all errors that a user can act on."""

    exit_code = 1

    def __str__(self) -> str:
        return self.worded(as_field)

    def worded(self, word: Callable[[str, str | None], str]) -> str:
        """The message with each option, given by its field and its value if it has one, in the reader's words."""
        text = _SETTING.sub(lambda match: word(match[1], match[2]), super().__str__())
        return printable(text)  # a name or a reason may come from anyone's file


class UsageError(SynthsetError):
    """An argument that cannot be right; raised before anything is written."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not among the valid ones, which the message lists."""

    def __init__(self, kind: str, name: str, valid: Iterable[str], hint: str = "") -> None:
        valid = list(valid)
        close = closest(name, valid)
        suggestion = f" Did you mean '{close}'?" if close else ""
        if "," in name:  # whatever of them is nearest, another was meant too
            suggestion = " Names are not joined by commas; where several can be given, spaces stand between them."
        message = f"Unknown {kind} '{name}'.{suggestion} Valid: {', '.join(valid)}."
        super().__init__(f"{message} {hint}".rstrip())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).__new__, (type(self), *self.args)  # from another process comes the message alone


class ConfigChangedError(UsageError):
    """A folder holds a job with another configuration; nothing in it was changed."""


class DataError(SynthsetError):
    """Images, tables or folders that are missing, unreadable or inconsistent."""


class ModelError(SynthsetError):
    """A model that cannot be loaded: not there, not safe, or not at hand offline."""


class FailureThresholdError(SynthsetError):
    """The work finished, but the share of failed images exceeds the threshold."""

    exit_code = 3


def closest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that is most like one, whatever the case, or the only one that begins so; None for none.

    >>> closest("DDIM", ["ddpm", "ddim"]), closest("tsne", ["tsne-images", "seed"]), closest("lr", ["real", "clear"])
    ('ddim', 'tsne-images', None)
    """
    name, spelled = name.casefold(), {known.casefold(): known for known in valid}
    begun = [known for known in spelled if name and known.startswith(name)]
    close = begun if len(begun) == 1 else get_close_matches(name, spelled, n=1, cutoff=0.66)
    return spelled[close[0]] if close else None


def some(names: Sequence[str], most: int = 5) -> str:
    """The first of many names, in a message."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def first_line(error: BaseException) -> str:
    """What another library's error says, as the part in brackets of one of ours: its first line, or its name.

    >>> first_line(ValueError("no such file.\\nAt length: …")), first_line(KeyboardInterrupt())
    ('no such file', 'KeyboardInterrupt')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
