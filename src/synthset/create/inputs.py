"""From what `create` is asked for to its plan: class names, phrases and real images, read and checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute

from synthset import miniature
from synthset.core.errors import UsageError, setting, some
from synthset.core.locks import reading
from synthset.core.names import plain_name
from synthset.core.seeds import ImageSeeds
from synthset.create.config import CreateConfig
from synthset.create.plan import Part, make_plan
from synthset.create.real_guidance import InitialImages, choose_initial_images
from synthset.dataset.plan import Plan
from synthset.generators.base import Generator, steps_to_pass
from synthset.generators.source import Description
from synthset.prompts.class_lists import expand_list
from synthset.prompts.classes import check_classes, check_no_paths, tell_codes
from synthset.prompts.phrases import load_phrases, match_phrases
from synthset.prompts.strategies import readers
from synthset.real.sets import path_of

log = logging.getLogger("synthset")

pc: Any = pyarrow.compute  # whose functions are made when it is imported


@dataclass(frozen=True)
class CreateInputs:
    """All that a run is planned from, read once.

    Attributes:
        class_names: as they are seen, in label order.
        config: with its phrases under the names as these are spelled.
        initial_images: real images that drawing makes use of; None for none.
    """

    class_names: tuple[str, ...]
    config: CreateConfig
    initial_images: InitialImages | None = None

    def plan(self, part: Part | None = None) -> Plan:
        """The plan of the first round of the run, or of a part of it. Raises as `make_plan`."""
        return plan_run(self.class_names, self.config, self.initial_images, part)

    def with_sentences(self, texts: Mapping[str, Sequence[str]]) -> CreateInputs:
        """The same, with sentences by class in the style."""
        return replace(self, config=replace(self.config, style=replace(self.config.style, sentences=texts)))


def read_inputs(classes: Sequence[str], config: CreateConfig, generator: Generator | None = None) -> CreateInputs:
    """What `create` is asked for, checked as far as that is possible before a model is loaded.

    Args:
        generator: an object of your own to draw with.
    Raises:
        UsageError: classes, phrases or options that cannot be, or classes that the miniature cannot draw, where it is
            to draw them (no `generator` is given and the config names no other).
        DataError: as `choose_initial_images`.
    """
    classes = expand_list(classes)
    config = with_matched_phrases(config, classes)
    names = check_names(classes, config, generator)
    return CreateInputs(names, config, read_initial_images(names, config))


def synonyms_of(classes: Sequence[str] | Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Other names of those classes that have any, by class name as it is seen."""
    pairs = classes.items() if isinstance(classes, Mapping) else ()
    return {plain_name(name): list(others) for name, others in pairs if others}


def check_names(classes: Sequence[str], config: CreateConfig, generator: Generator | None = None) -> tuple[str, ...]:
    """The class names, if they can be drawn as far as can be told without a model. Arguments as for `read_inputs`."""
    names = check_classes(classes)
    check_no_paths(names)
    nouns = [config.style.noun(name) for name in names]
    if generator is None and config.generator == miniature.NAME:
        miniature.check_drawable(nouns)
    elif readers("phrases", config.strategies):
        remedy = f"Name the classes, or say in words what each is by {setting('phrases')}, a file with '{names[0]}: …'"
        tell_codes(nouns, "a generator", f"{remedy}.")
    return names


def with_matched_phrases(config: CreateConfig, class_names: Sequence[str]) -> CreateConfig:
    """The config with its phrases under the names as the data set spells them, so that the prompts find them."""
    source = config.style.phrases
    is_named = isinstance(source, str)
    phrases = load_phrases(source, class_names) if is_named else match_phrases(source, class_names, "the phrases")
    return replace(config, style=replace(config.style, phrases=phrases))


def read_initial_images(classes: Sequence[str], config: CreateConfig) -> InitialImages | None:
    """The real images that drawing makes use of, if the config names any. Raises as `choose_initial_images`."""
    if config.initial_images is None:
        return None
    names = check_classes(classes)
    with reading(path_of(config.initial_images)):
        images = choose_initial_images(config.initial_images, names, config.shots, config.shots_seed, config.strength)
    if config.begins_at_images:
        steps_to_pass(images.strength, config.steps_range[0])  # raises where no step is left
    return images


def texts_of(requests: pa.Table) -> pa.Array:
    """The prompts and negative prompts of a plan's table, each once."""
    columns = [requests.column(name).cast(pa.string()).unique() for name in ("prompt", "negative_prompt")]
    return pa.concat_arrays(columns).unique()


def tell_texts(requests: pa.Table, described: Description) -> None:
    """Warn of what the generator does not read of the prompts of a plan's table, as it was described."""
    tell_cut(requests, described)
    tell_tokens(described)


def tell_cut(requests: pa.Table, described: Description) -> None:
    """Warn of prompts of a plan's table of which the generator reads the beginning alone."""
    if not (cut := described.cut_texts):
        return
    texts = pa.array(cut, pa.string())
    is_cut = [pc.is_in(requests.column(name).cast(pa.string()), texts) for name in ("prompt", "negative_prompt")]
    log.warning(
        "'%s' reads %d tokens of a prompt: of %s of %s images it ignores the rest, e.g. of '%s'. Shorten phrases, "
        "templates or sentences, or draw with a model that reads more.",
        described.config.model,
        described.most_tokens,
        f"{pc.sum(pc.or_(*is_cut)).as_py():,}",
        f"{requests.num_rows:,}",
        cut[0],
    )


def tell_tokens(described: Description) -> None:
    """Warn of tokens in prompts that no embedding brought, and of embeddings that no prompt names."""
    if unknown := described.unknown_tokens:
        log.warning(
            "%s",
            UsageError(
                f"'{described.config.model}' reads {some(unknown)} letter by letter: no {setting('embedding')} has "
                "that token."
            ),
        )
    if unused := described.unused_tokens:
        log.warning(
            "%s",
            UsageError(
                f"No prompt has {some(unused)}, so {setting('embedding')} changes nothing. Put it into "
                f"{setting('phrases')}, e.g. 'cat: {unused[0]}'."
            ),
        )


def plan_run(
    names: Sequence[str], config: CreateConfig, initial_images: InitialImages | None, part: Part | None = None
) -> Plan:
    """The plan of the first round of a run, or of a part of it. Raises as `make_plan`."""
    low, high = config.steps_range
    return make_plan(
        names,
        config.runs(),
        ImageSeeds(config.seed, config.shared_noise),
        config.negative_prompt,
        steps=(low, high) if low < high else None,
        part=part,
        initial_images=initial_images.hashes if initial_images else None,
        strength=initial_images.strength if initial_images else 1.0,
    )
