"""The application: cyclopts reads the flags of the commands from their declarations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cyclopts import App, Parameter

from synthset.cli.arguments import signature_of
from synthset.cli.commands import NAMES, Command, load_command
from synthset.version import __version__

EPILOGUE = (
    "Start with `synthset demo`; every command shows its flags and an example with --help. All take --json, --quiet, "
    "--verbose and --config FILE.yaml with lines such as `steps: 20`, or --config recipe:NAME with a paper's settings, "
    "such as recipe:shipard2023/cifar10: `synthset recipes` lists them. A flag of create can also be set as "
    "SYNTHSET_CREATE_STEPS, and so on."
)


def build_app(names: Iterable[str] = NAMES, with_help: bool = True) -> App:
    """The application with these commands.

    Args:
        names: of the commands.
        with_help: without, what help alone shows is left out, some of which takes long to load.
    """
    app = App(
        name="synthset",
        version=__version__,
        help="Train image classifiers without a single real image: from class names to a tested model.",
        help_epilogue=EPILOGUE,
        help_format="markdown",
        result_action="return_value",
        suppress_keyboard_interrupt=False,  # main says how to go on
        # no --no-… for every switch, no variable after every flag: the help shall fit on a screen
        default_parameter=Parameter(negative=(), show_env_var=False),
    )
    for name in names:
        app.command(_as_function(load_command(name), with_help), name=name)
    return app


def _as_function(command: Command, with_help: bool) -> Callable[..., None]:
    def run(*places: Any, **flags: Any) -> None:
        command.run(*places, **flags)

    run.__doc__ = command.function.__doc__
    run.__name__ = command.name
    run.__signature__ = signature_of(command.name, command.arguments, with_help)  # pyright: ignore[reportFunctionMemberAccess]
    return run
