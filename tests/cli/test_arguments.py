from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest

from synthset.cli.arguments import Given, Positional, arguments_of, build_config, command_type, signature_of
from synthset.cli.commands import NAMES, Command, load_command
from synthset.cli.compat import SCRIPT_NAMES
from synthset.core.errors import UsageError
from synthset.core.options import Nested, Option, declared_options


@dataclass(frozen=True)
class Noise:
    level: Annotated[float, Option(flag="noise")] = 0.25
    """Noise of it."""
    first: Annotated[float, Option(flag="times", part=0)] = 0.6
    """From then on."""
    last: Annotated[float, Option(flag="times", part=1)] = 0.9
    """Until then."""


@dataclass(frozen=True)
class Config:
    span: Annotated[tuple[float, float], Option(flag=("min-span", "max-span"))] = (1.0, 5.0)
    """Range of the numbers."""
    memory_bytes: Annotated[int | None, Option(flag="memory", per_unit=1e9, default="all")] = None
    """Memory, as `span` has it."""
    warm: Annotated[bool, Option(flag="cold-start", inverted="Start cold.")] = True
    """Start warm."""
    texts: tuple[str, ...] | None = None
    noise: Annotated[Noise | None, Nested(switch="level")] = None
    inner: Annotated[Noise, Nested(flags={"level": "inner-level"}, without=("first", "last"))] = field(
        default_factory=Noise
    )


@dataclass(frozen=True)
class Call:
    data: Annotated[tuple[Path, ...], Positional()] = ()
    """Sets."""
    texts: tuple[str, ...] = ("own",)
    """Texts of the command itself."""


RAN = []


def run(call: Call, config: Config, given: Given[Noise]) -> None:
    """Run it."""
    RAN.append((call, config, given))


COMMAND = Command("run", run)


def test_flags_follow_from_fields():
    assert [item.flag for item in arguments_of(run)] == [
        "data", "texts", "min-span", "max-span", "memory", "cold-start", "noise", "times", "inner-level",
    ]  # fmt: skip
    signature = signature_of("run", COMMAND.arguments)
    assert list(signature.parameters)[:4] == ["data_place", "texts", "min_span", "max_span"]
    assert signature.parameters["max_span"].default == 5.0
    assert signature.parameters["cold_start"].default is False


def test_help_speaks_of_flags():
    helps = {
        name: item.annotation.__metadata__[0].help
        for name, item in signature_of("run", COMMAND.arguments).parameters.items()
    }
    assert helps["min_span"] == "Lower end of the range of the numbers."
    assert helps["memory"] == "Memory, as --min-span has it."
    assert helps["cold_start"] == "Start cold."
    assert helps["times"] == "From then on. Until then."


def test_values_find_their_fields():
    RAN.clear()
    COMMAND.run(
        Path("a"),
        Path("b"),
        max_span=9.0,
        memory=1.5,
        cold_start=True,
        texts=["x"],
        noise=0.5,
        times=(0.1, 0.2),
        inner_level=1.0,
    )
    call, config, given = RAN[0]
    assert call == Call((Path("a"), Path("b")), ("x",))
    assert config.span == (1.0, 9.0)
    assert config.memory_bytes == 1_500_000_000
    assert config.warm is False
    assert config.texts is None  # the command's own took the flag over
    assert config.noise == Noise(0.5, 0.1, 0.2)
    assert config.inner == Noise(1.0)
    assert given.values == {}
    assert given.build({("level",): 0.7}) == Noise(0.7)


def test_without_flags_all_is_default():
    RAN.clear()
    COMMAND.run()
    assert RAN[0][:2] == (Call(), Config())


def test_a_detail_without_what_brings_it_about_is_refused():
    with pytest.raises(UsageError, match="Expected level with first"):
        build_config(Config, {("noise", "first"): 0.1})


def test_types_of_the_command_line():
    assert command_type(str | tuple[str, ...]) == list[str]
    assert command_type(str | float | None) == str | None
    assert command_type(dict[str, str] | str) is str
    assert command_type(tuple[float, float]) == tuple[float, float]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_scripts_belong_to_flags(name):
    flags = {item.flag for item in load_command(name).arguments}
    assert SCRIPT_NAMES.get(name, {}).keys() <= flags


@pytest.mark.parametrize("name", NAMES)
def test_every_flag_is_explained(name):
    for item in load_command(name).arguments:
        assert item.help.strip(), item.flag
        assert item.help.rstrip()[-1] in ".…)", item.help
        assert "{choices}" not in item.help


@pytest.mark.parametrize(
    ("command", "config"),
    [
        ("create", "CreateConfig"),
        ("train", "TrainConfig"),
        ("tune", "TuneConfig"),
        ("filter", "FilterConfig"),
        ("diagnose", "DiagnoseConfig"),
    ],
)
def test_every_field_of_a_config_has_a_flag(command, config):
    import synthset

    reached = {option.name for item in load_command(command).arguments for option in item.options}
    fields = {option.name for option in declared_options(getattr(synthset, config))}
    assert fields <= reached
