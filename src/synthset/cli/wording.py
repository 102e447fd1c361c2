"""How an option is named to the person who gave it: by its flag, its variable, or its key in a file."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Any

from cyclopts import App, ArgumentCollection, CoercionError, CycloptsError, Token, UnknownOptionError
from cyclopts.exceptions import RepeatArgumentError, UnusedCliTokensError

from synthset.cli.arguments import Argument
from synthset.cli.commands import PREFIX, Command
from synthset.core.errors import UsageError
from synthset.core.options import describe_type


def _key(token: Token) -> str:
    """A variable, or a key of a file, which cyclopts puts into brackets."""
    return (token.keyword or "").strip("[]")


class Wording:
    """Words the errors of one command, which speak of fields, for its user. It is a source of cyclopts, the last one.

    Attributes:
        command: that runs.
        origins: by flag, where its value comes from: a file or "env", and the name that it has there.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self.origins: dict[str, tuple[str, str]] = {}

    def __call__(self, app: App, names: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Look where each value comes from."""
        flags = {f"--{item.flag}": item.flag for item in self.command.arguments}
        for argument in arguments:
            flag = next((flags[name] for name in argument.names if name in flags), None)
            for token in argument.tokens:
                if flag and token.source != "cli":
                    self.origins[flag] = token.source, _key(token)

    def check_variables(self) -> None:
        """Raise UsageError for a variable that looks like a flag of the command and is none, or for two of one flag."""
        variables, taken = self.command.variables(), dict[str, str]()
        for name in sorted(os.environ):
            if not name.startswith(f"{PREFIX}{self.command.name}_".upper()):
                continue
            if name not in variables:
                close = get_close_matches(name, variables, n=1)
                hint = f" Did you mean {close[0]}?" if close else f" See 'synthset {self.command.name} --help'."
                raise UsageError(f"No flag of 'synthset {self.command.name}' goes with the variable {name}.{hint}")
            other = taken.setdefault(variables[name].flag, name)
            if other != name:
                raise UsageError(f"Expected one of {other} and {name}, which are the same, got both.")

    def word(self, field: str, value: str | None) -> str:
        """A field, and a value for it if there is one, as the person would write it; see SynthsetError.worded."""
        arguments = self.command.arguments_of(field)
        if not arguments:
            flag = f"--{field.rpartition('.')[2].replace('_', '-')}"
            return f"{flag} {value}" if value not in (None, "True") else flag
        if value is None:
            return " and ".join(map(self._origin, arguments))
        argument = arguments[0]
        flag = f"--{argument.flag}"
        if value == "False" and argument.option.option.negative:
            return f"--{argument.option.option.negative}"
        return flag if value in ("True", "False") else f"{flag} {value}"

    def _origin(self, argument: Argument) -> str:
        source, keyword = self.origins.get(argument.flag, ("", ""))
        if source == "env":
            return keyword
        if source:
            return f"'{keyword or argument.flag}' in '{source}'"
        return argument.flag.upper() if argument.is_positional else f"--{argument.flag}"

    def complaint(self, error: CycloptsError) -> str:
        """An error of the command line's parser in one line of ours."""
        command = f"synthset {self.command.name}"
        if isinstance(error, UnknownOptionError):
            return self._unknown(str(error.token.keyword), command)
        if isinstance(error, UnusedCliTokensError):
            token = (error.unused_tokens or [""])[0]
            return f"Expected a flag before '{token}', got none. See '{command} --help'."
        if isinstance(error, CoercionError) and error.token is not None and error.target_type is not None:
            wanted = describe_type(error.target_type)
            return f"Expected {self._named(error)} as {wanted}, got '{error.token.value}'. See '{command} --help'."
        if isinstance(error, RepeatArgumentError):
            return f"Expected {error.token.keyword} once, got it twice. Drop one. See '{command} --help'."
        return f"{' '.join(str(error).split())} See '{command} --help'."

    def _named(self, error: CoercionError) -> str:
        token: Any = error.token
        if token.source == "env":
            return token.keyword
        if token.source != "cli":
            return f"'{_key(token)}' in '{token.source}'"
        return token.keyword or (error.argument.name if error.argument else "")

    def _unknown(self, flag: str, command: str) -> str:
        names = [item.flag for item in self.command.arguments if not item.is_positional]
        typed = flag.lstrip("-")
        short = [name for name in names if "".join(word[0] for word in name.split("-")) == typed]
        close = short or get_close_matches(typed, names, n=1)
        hint = f" Did you mean --{close[0]}?" if close else ""
        return f"Unknown flag '{flag}'.{hint} See '{command} --help'."
