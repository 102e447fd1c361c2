"""The application that the commands register with, and how their flags are written."""

from __future__ import annotations

from cyclopts import App, Group, Parameter

from synthset.version import __version__

app = App(
    name="synthset",
    version=__version__,
    help="Train image classifiers without a single real image: from class names to a tested model.",
    help_epilogue=(
        "Start with `synthset demo`; every command shows its flags and an example with --help. All take --quiet, "
        "--verbose and --config FILE.yaml with lines such as `steps: 20`. A flag of create can also be set as "
        "SYNTHSET_CREATE_STEPS, and so on."
    ),
    help_format="markdown",
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # main says how to go on
    # no --no-… for every switch, no variable after every flag: the help shall fit on a screen
    default_parameter=Parameter(negative=(), show_env_var=False),
)

GENERAL = "Parameters"  # the group that cyclopts puts flags into
WORDING = Group("Prompts and guidance", sort_key=1)
SAMPLING = Group("Model and sampling", sort_key=2)
SHORTCUTS = Group("Shortcuts and diversity, which change the images", sort_key=2.7)
STORAGE = Group("Stored images", sort_key=3)
MACHINES = Group("GPUs and machines", sort_key=3.7)
SCRIPT = Group("As in the script of Shipard et al. 2023", sort_key=4)


def flag(*names: str, several: bool = False, negative: str = "", group: Group | str = GENERAL) -> Parameter:
    """A flag with its names, how to switch it off, and its place in the help; `several`: --classes dog cat."""
    return Parameter(name=names or None, consume_multiple=several, negative=negative or (), group=group)


def switch(group: Group | str = GENERAL) -> Parameter:
    """A flag without a value, off by default, which goes without saying."""
    return Parameter(show_default=False, group=group)
