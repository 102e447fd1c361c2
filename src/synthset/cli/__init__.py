"""The command line: thin commands over the stages. Results go to stdout, everything else to stderr.

Exit codes: 0 done, 1 failure, 2 usage, 3 finished with failures above the threshold, 130 interrupted (143 by TERM, 129
by HUP).
A flag may be written with - or _; every command reads `--config file.yaml`, and variables such as
SYNTHSET_CREATE_STEPS. Command line over environment over file over default.

    help_pages/      the help, kept as text: printed before anything else is loaded
    command_line.py  any other command line
    app.py           the application, and how flags are written
    create.py …      the commands, a file a stage: flags to a config, a stage, a table

Nothing is imported here that an empty Python has not loaded: it would be most of the time that the help takes.
"""

from __future__ import annotations

import os
import sys

from synthset.cli.help_pages import print_stored

TYPE_CHECKING = False  # as in typing, which takes longer to load than the help to print
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    came: list[int] = []
    try:
        if print_stored(tokens):
            return 0
        from synthset.core.signals import stoppable

        with stoppable(ends_process=argv is None) as came:
            from synthset.cli.command_line import run

            code = run(tokens)
        return 128 + came[0] if code and came else code
    except BrokenPipeError:  # `synthset … | head` has read enough; rich ends with 1 where it prints
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return 1
    except BaseException as error:
        if not came and not isinstance(error, KeyboardInterrupt):
            raise
        from contextlib import suppress

        with suppress(OSError):  # of a terminal that is gone
            print("error: Interrupted. Run the same command again to finish.", file=sys.stderr)
        return 128 + (came[0] if came else getattr(error, "signum", 2))
