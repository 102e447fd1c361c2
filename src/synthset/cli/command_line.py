"""One command line to its exit code: flags, files and variables in, a command run, errors in one line."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from cyclopts import CycloptsError
from cyclopts.config import Env

from synthset.cli import classify, create, data, demo, diagnose, report, tune
from synthset.cli.app import app
from synthset.core.errors import SynthsetError, UsageError
from synthset.core.redaction import without_secrets

# importing them registers their commands with the app
COMMANDS = (create, classify, tune, data, demo, diagnose, report)


def run(tokens: list[str]) -> int:
    """Run one command line and return its exit code; KeyboardInterrupt and BrokenPipeError are raised."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_DiscreetFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # of PIL, about images that images.decode refuses in one line
    warnings.filterwarnings("ignore", "Image size .* could be decompression bomb")
    try:
        app(_prepare(tokens), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except SynthsetError as error:
        return _complain(str(error), error.exit_code)
    except CycloptsError as error:
        return _complain(_one_line(error), 2)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f": '{error.filename}'" if error.filename else ""
        return _complain(f"{error.strerror or error}{where}.", 1)
    return 0


def _prepare(tokens: list[str]) -> list[str]:
    """Unify - and _ in flags, and take --config, --quiet and --verbose, which every command has, out."""
    from synthset.cli.config_files import config_source
    from synthset.core.progress import set_progress

    tokens = [_dashed(token) for token in tokens]
    sources: list[Any] = [Env("SYNTHSET_")]
    rest: list[str] = []
    remaining = iter(tokens)
    for token in remaining:
        if token == "--quiet":
            set_progress(False)
        elif token == "--verbose":
            logging.getLogger("synthset").setLevel(logging.INFO)
        elif token == "--config" or token.startswith("--config="):
            value = token.partition("=")[2] or next(remaining, "")
            if not value:
                raise UsageError("Expected a file after --config, e.g. --config create.yaml.")
            sources.append(config_source(Path(value), tuple(app)))
        else:
            rest.append(token)
    app.config = tuple(sources)
    return rest


def _dashed(token: str) -> str:
    if not token.startswith("--"):
        return token
    flag, equals, value = token.partition("=")
    return flag.replace("_", "-") + equals + value


def _complain(message: str, code: int) -> int:
    print(f"error: {' '.join(without_secrets(message).split())}", file=sys.stderr)
    return code


class _DiscreetFormatter(logging.Formatter):
    """Writes log lines without keys and tokens."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def _one_line(error: CycloptsError) -> str:
    command = " ".join(["synthset", *(error.command_chain or ())])
    return f"{' '.join(str(error).split())} See '{command} --help'."
