"""How an option is named to the person who gave it: by its flag, its variable, or its key in a file."""

from __future__ import annotations

import logging
import os
from typing import Any, get_args

from cyclopts import App, ArgumentCollection, CoercionError, CycloptsError, Token, UnknownOptionError
from cyclopts.exceptions import MissingArgumentError, RepeatArgumentError, UnusedCliTokensError

from synthset.cli.arguments import Argument
from synthset.cli.commands import NAMES, PREFIX, Command, variables_of
from synthset.core.errors import UsageError, as_flag, closest
from synthset.core.options import describe_type

CACHE_VARIABLE = "SYNTHSET_CACHE"  # of all commands

logger = logging.getLogger("synthset")


def _is_rounded(value: str, kind: Any) -> bool:
    """Whether cyclopts would round a value to one that was not given: 3.5 epochs to 4."""
    parts = {kind, *get_args(kind)}
    try:
        return int in parts | {inner for part in parts for inner in get_args(part)} and not float(value).is_integer()
    except ValueError:
        return False


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
        flags = {f"--{item.flag}": item for item in self.command.arguments}
        for argument in arguments:
            item = next((flags[name] for name in argument.names if name in flags), None)
            if item is None:
                continue
            for token in argument.tokens:
                if token.source != "cli":
                    self.origins[item.flag] = token.source, _key(token)
                if _is_rounded(token.value, item.type):
                    wanted = "integers" if item.is_list else describe_type(item.type)
                    raise UsageError(f"Expected {self._origin(item)} as {wanted}, got '{token.value}'.")

    def check_variables(self) -> None:
        """Refuse a variable that looks like a flag of the command and is none, or two of one flag.

        Of others of ours that nothing reads, a warning says so.
        """
        variables, taken = self.command.variables(), dict[str, str]()
        own = variables_of(self.command.name)
        of_others = tuple(variables_of(name) for name in NAMES if name != self.command.name)
        # without what all begin with, which makes all alike, and with and without the command
        short = {name.removeprefix(prefix): name for prefix in (PREFIX, own) for name in variables}
        for name in sorted(name for name in os.environ if name.startswith(PREFIX) and not name.startswith(of_others)):
            if name in variables:
                other = taken.setdefault(variables[name].flag, name)
                if other != name:
                    raise UsageError(f"Expected one of {other} and {name}, which are the same, got both.")
            elif name != CACHE_VARIABLE:
                close = closest(name.removeprefix(own).removeprefix(PREFIX), short)
                if not close and not name.startswith(own):
                    logger.warning("No command reads the variable %s: theirs begin with their names.", name)
                    continue
                hint = f" Did you mean {short[close]}?" if close else f" See 'synthset {self.command.name} --help'."
                raise UsageError(f"No flag of 'synthset {self.command.name}' goes with the variable {name}.{hint}")

    def word(self, field: str, value: str | None) -> str:
        """A field, and a value for it if there is one, as the person would write it; see SynthsetError.worded."""
        arguments = self.command.arguments_of(field)
        if not arguments:  # of another command
            return as_flag(field, value)
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
            return self._unknown(error.token.keyword or error.token.value, command)
        if isinstance(error, UnusedCliTokensError):
            token = (error.unused_tokens or [""])[0]
            return f"Expected a flag before '{token}', got none. See '{command} --help'."
        if isinstance(error, CoercionError) and error.token is not None and error.target_type is not None:
            wanted, value = describe_type(error.target_type), error.token.value
            item = self._argument(error.token.keyword)
            joined = " Spaces stand between several, no commas." if item and item.is_list and "," in value else ""
            return f"Expected {self._named(error)} as {wanted}, got '{value}'.{joined} See '{command} --help'."
        if isinstance(error, MissingArgumentError) and error.argument is not None:
            count, got = error.argument.token_count()[0], " ".join(error.tokens_so_far) or "none"
            wanted = f"{'a value' if count == 1 else f'{count} values'} after {error.keyword}"
            return f"Expected {wanted if error.keyword else error.argument.name}, got {got}. See '{command} --help'."
        if isinstance(error, RepeatArgumentError):
            return f"Expected {error.token.keyword} once, got it twice. Drop one. See '{command} --help'."
        return f"{' '.join(str(error).split())} See '{command} --help'."

    def _argument(self, flag: str | None) -> Argument | None:
        return next((item for item in self.command.arguments if f"--{item.flag}" == flag), None)

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
        close = short[0] if short else closest(typed, names)
        hint = f" Did you mean --{close}?" if close else ""
        return f"Unknown flag '{flag}'.{hint} See '{command} --help'."
