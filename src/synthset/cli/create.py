"""`synthset create`."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from synthset.cli.arguments import Given
from synthset.cli.commands import command
from synthset.cli.compat import ShortForms
from synthset.cli.machines import MACHINES, Machines
from synthset.cli.opening import OF_REAL, image_path, real_path
from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested, Option
from synthset.create.config import CreateConfig
from synthset.generators.names import COMPILED
from synthset.images.opening import OPENING, Opening

log = logging.getLogger("synthset")


@dataclass(frozen=True)
class CreateCall:
    """Which classes, where to, and how to go about it."""

    classes: tuple[str, ...] | None = None
    """Class names, an underscore becomes a space in prompts; or one list of names: cifar100, imagenet-1k, or
    imagenet-2k, which is imagenet-1k and 1,000 more of ImageNet-21K, no persons among them."""
    classes_file: Path | None = None
    """Text file with one class a line, JSON or YAML with a list of names, or CSV or TSV with a column of them, instead
    of `classes`."""
    dataset: str | None = None
    """Known real set, instead of `classes`: its class names, image size and number of images."""
    output_dir: str = "dataset"
    """Folder of the dataset, or a URL such as s3://bucket/pets with the package that reads it (s3fs, gcsfs, …)."""
    dry_run: bool = False
    """Print counts, sample prompts and an estimate of time; write nothing."""
    resume: bool = True
    """Always on: an interrupted run is finished."""
    overwrite: bool = False
    """Replace another Synthset dataset in the folder."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)
    real_opening: Annotated[Opening, OF_REAL] = field(default_factory=Opening)


@dataclass(frozen=True)
class Price:
    """What the machines cost."""

    price_per_hour: Annotated[float | None, Option(group=MACHINES, at_least=0)] = None
    """Price of a worker's hour, for the estimate of `dry_run`."""


@command("create")
def create(call: CreateCall, given: Given[CreateConfig], machines: Machines, price: Price, short: ShortForms) -> None:
    """Draw a synthetic dataset from class names. Run again, it finishes what is missing.

    Example: `synthset create --classes one two --strategy all_combined --output-dir digits-synthetic`

    Stable Diffusion: `synthset create --dataset cifar10 --strategy all_combined --generator
    CompVis/stable-diffusion-v1-4 --output-dir cifar10-synthetic`
    """
    from synthset.cli.create_tables import print_create, print_plan
    from synthset.core.files import to_path
    from synthset.create.dry_run import rehearse
    from synthset.create.stage import create as run_create

    if not call.resume:  # from a file of flags; the command line has no switch for it
        raise UsageError(
            f"Expected {setting('resume')} to stay on. Give {setting('overwrite', True)} to begin anew, or another "
            f"{setting('output_dir')}."
        )
    classes = _class_names(call)
    names = tuple(classes)
    config = _config(call, given, short)
    _check_drawable(names, call, config, "trick" if short.trick else "strategy")
    if call.dry_run:
        run = rehearse(names, config, to_path(call.output_dir))
        print_plan(run, machines.workers, price.price_per_hour)
        return
    if price.price_per_hour is not None:
        raise UsageError(f"Expected {setting('dry_run', True)} with {setting('price_per_hour')}. Or leave it out.")
    executor = machines.load()
    print_create(run_create(classes, call.output_dir, config, executor=executor, overwrite=call.overwrite))


def _config(call: CreateCall, given: Given[CreateConfig], short: ShortForms) -> CreateConfig:
    """The config: what was given, then what goes with the real set, then the defaults."""
    if tricks := short.strategies(given.values):
        given = replace(given, values={**given.values, ("strategies",): tricks})
    strategies = given.values.get(("strategies",), CreateConfig.strategies)
    _check_details(given, strategies)
    given, defaults = _with_preset(call.dataset, given, strategies) if call.dataset else (given, {})
    values, has_count = {**defaults, **given.values}, ("images_per_class",) in given.values
    strategies = given.values.get(("strategies",), strategies)
    defaults |= short.defaults(strategies, values, has_set=bool(call.dataset) and not has_count)
    if short.compile:
        engine = given.values.get(("engine",), COMPILED)
        if engine != COMPILED:
            raise UsageError(
                f"Expected {setting('engine')} or its short form {setting('compile')}, got both "
                f"({setting('engine', engine)}). Drop one."
            )
        defaults["engine",] = COMPILED
    images, real = (given.values.get(path) for path in (("initial_images",), ("filter", "real")))
    strict = call.opening.strict
    of_real = real_path(real, call.real_opening, strict=strict)
    of_images = replace(call.opening, strict=strict and (images is not None or real is None))
    config = replace(given.build(defaults), initial_images=image_path(images, of_images, "initial_images"))
    return replace(config, filter=replace(config.filter, device=config.device, real=of_real))


def _with_preset(
    dataset: str, given: Given[CreateConfig], strategies: Sequence[str]
) -> tuple[Given[CreateConfig], dict[tuple[str, ...], Any]]:
    """What was given, its strategies as they are of the real set, and the defaults that go with it."""
    from synthset.prompts.presets import preset_for

    preset = preset_for(dataset)
    meant = preset.strategies([strategies] if isinstance(strategies, str) else strategies)
    if meant != tuple(strategies):
        log.warning(
            "all_combined of '%s' is %s, as in its paper. Name other strategies to draw them.", dataset, preset.union
        )
        given = replace(given, values={**given.values, ("strategies",): meant})
    defaults = preset.defaults(meant)
    if ("style", "satellite") in given.values:  # whoever says so means every prompt
        defaults = {path: value for path, value in defaults.items() if path[0] != "style" or "satellite" not in path[1]}
    return given, defaults


def _check_drawable(names: Sequence[str], call: CreateCall, config: CreateConfig, flag: str) -> None:
    """Say which two commands would work, where the miniature is to draw what it cannot."""
    from synthset import miniature
    from synthset.prompts.classes import check_classes, check_no_paths

    if config.generator != miniature.NAME or config.style.phrases:
        return
    check_no_paths(names := check_classes(names))
    named = {"classes": call.classes, "classes-file": call.classes_file, "dataset": call.dataset}
    words = [(name, [value] if isinstance(value, str | Path) else value) for name, value in named.items() if value]
    classes = " ".join(f"--{name} {shlex.join(map(str, values))}" for name, values in words)
    how = f"--{flag} {' '.join(config.strategies)}"
    for name in names:
        try:
            miniature.check_drawable([config.style.noun(name)])
        except UsageError as error:
            raise UsageError(
                f"The miniature cannot draw '{name}': it knows digits alone, and draws where no generator is named. "
                f"Two commands that work: 'synthset create {classes} {how} --generator CompVis/stable-diffusion-v1-4', "
                f"by Stable Diffusion; and 'synthset create --classes one two {how}', by the miniature."
            ) from error


def _check_details(given: Given[CreateConfig], strategies: Sequence[str]) -> None:
    """Refuse options of a filter or of sentences where neither is asked for, by the names that they were given."""
    from synthset.prompts.strategies import readers

    filter_options = [path[-1] for path in given.values if path[0] == "filter"]
    if filter_options and ("refill",) not in given.values:
        raise UsageError(
            f"Expected {setting('refill')} with {_and(filter_options)}, e.g. {setting('refill', 'clip')}. Or leave it "
            "out."
        )
    sentence_options = [f"SentenceConfig.{path[-1]}" for path in given.values if path[0] == "sentences"]
    if sentence_options and not readers("sentences", strategies):
        raise UsageError(
            f"Expected a strategy that reads {_and(sentence_options)} ({', '.join(readers('sentences'))}), got "
            f"{', '.join(strategies)}. Or leave it out."
        )


def _and(names: Sequence[str]) -> str:
    return " and ".join(map(setting, names))


def _class_names(call: CreateCall) -> Sequence[str] | Mapping[str, Sequence[str]]:
    """The class names; those of a file with their synonyms."""
    sources = [name for name in ("classes", "classes_file", "dataset") if getattr(call, name)]
    if len(sources) != 1:
        raise UsageError(
            f"Expected one of {setting('classes')}, {setting('classes_file')} and {setting('dataset')}, got "
            f"{_and(sources) or 'none'}. For example: {setting('classes', 'dog cat')}."
        )
    from synthset.prompts.class_lists import check_typed, expand_list, read_class_list
    from synthset.real import class_names_of

    if call.classes:
        return expand_list(check_typed(call.classes))
    if call.classes_file:
        found = read_class_list(call.classes_file)
        return {name: found.synonyms.get(name, ()) for name in found.names}
    return class_names_of(str(call.dataset))
