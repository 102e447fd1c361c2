"""One command line to its exit code: flags, files and variables in, a command run, errors in one line."""

from __future__ import annotations

import errno
import logging
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyclopts import CycloptsError
from cyclopts.config import Env

from synthset.cli.app import build_app
from synthset.cli.commands import NAMES, load_command, variables_of
from synthset.cli.config_files import config_source
from synthset.cli.json_output import collecting
from synthset.cli.verbosity import Verbosity, saying
from synthset.cli.wording import Wording
from synthset.core.errors import SynthsetError, UnknownNameError, UsageError, as_field
from synthset.core.redaction import DiscreetFormatter, printable, without_secrets

_FULL = (errno.ENOSPC, errno.EDQUOT)
HELP = ("--help", "-h", "--version")


def run(tokens: list[str]) -> int:
    """Run one command line and return its exit code; KeyboardInterrupt and BrokenPipeError are raised."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter := DiscreetFormatter(Verbosity.NORMAL.line_format))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # of PIL, about images that images.decode refuses in one line
    warnings.filterwarnings("ignore", "Image size .* could be decompression bomb")
    word = as_field
    try:
        tokens = [_dashed(token) for token in tokens]
        tokens, common = _take_common(tokens)
        formatter = DiscreetFormatter(common.verbosity.line_format, "%H:%M:%S")
        handler.setFormatter(formatter)
        if not tokens or tokens[0] in HELP:
            build_app(with_help=False)(tokens, exit_on_error=False, print_error=False)
            return 0
        if tokens[0] not in NAMES:
            raise UnknownNameError("command", tokens[0], NAMES, "See 'synthset --help'.")
        wording = Wording(load_command(tokens[0]))
        word = formatter.word = wording.word
        return _run_command(tokens, common, wording)
    except SynthsetError as error:
        return _complain(error.worded(word), error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f": '{error.filename}'" if error.filename else ""
        advice = " Make room, and run the same command again." if error.errno in _FULL else ""
        return _complain(f"{error.strerror or error}{where}.{advice}", 1)


def _run_command(tokens: list[str], common: _Common, wording: Wording) -> int:
    wording.check_variables()
    app = build_app([tokens[0]], with_help=any(token in HELP for token in tokens))
    variables = Env(variables_of(tokens[0]), command=False)
    sources: list[Any] = [variables, *(config_source(path, NAMES) for path in common.files), wording]
    app.config = tuple(sources)
    try:
        with saying(common.verbosity, tokens[0]), collecting(common.as_json):
            app(tokens, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        return _complain(wording.complaint(error), 2)
    return 0


@dataclass
class _Common:
    """What every command has: files with values for its flags, whether it prints JSON, and how much else it says."""

    files: list[Path] = field(default_factory=list)
    as_json: bool = False
    verbosity: Verbosity = Verbosity.NORMAL


def _take_common(tokens: list[str]) -> tuple[list[str], _Common]:
    """The line without --config, --json, --quiet and --verbose, which every command has."""
    common, rest, said = _Common(), list[str](), set[str]()
    remaining = iter(tokens)
    for token in remaining:
        if token in ("--quiet", "--verbose"):
            said.add(token)
        elif token == "--json":
            common.as_json = True
        elif token == "--config" or token.startswith("--config="):
            value = token.partition("=")[2] or next(remaining, "")
            if not value:
                raise UsageError("Expected a file after --config, e.g. --config create.yaml.")
            common.files.append(Path(value))
        else:
            rest.append(token)
    common.verbosity = Verbosity.of(quiet="--quiet" in said, verbose="--verbose" in said)
    return rest, common


def _dashed(token: str) -> str:
    """A flag with - for _; values stay as they are."""
    if not token.startswith("--"):
        return token
    flag, equals, value = token.partition("=")
    return flag.replace("_", "-") + equals + value


def _complain(message: str, code: int) -> int:
    print(f"error: {' '.join(printable(without_secrets(message)).split())}", file=sys.stderr)
    return code
