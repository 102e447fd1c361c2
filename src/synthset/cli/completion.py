"""`synthset completion`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

from synthset.cli.app import build_app
from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.core.errors import UsageError
from synthset.core.options import check_options

SHELLS = ("bash", "zsh", "fish", "powershell")


@dataclass(frozen=True)
class CompletionCall:
    """Which shell."""

    shell: Annotated[str | None, Positional(choices=SHELLS, default="the shell of this terminal")] = None
    """Shell: {choices}."""

    def __post_init__(self) -> None:
        check_options(self)


@command("completion")
def completion(call: CompletionCall) -> None:
    """Print the script by which a shell completes commands and flags.

    Example: `synthset completion bash > synthset.bash`, and `source synthset.bash` in your .bashrc
    """
    shell: Any = call.shell
    try:
        script = build_app(with_help=False).generate_completion(shell=shell)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"Expected the name of a shell ({', '.join(SHELLS)}), for this one cannot be told.") from error
    sys.stdout.write(script)
