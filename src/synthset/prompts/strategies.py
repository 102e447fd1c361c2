"""Strategies: how a class becomes prompts, and how strongly each image follows its prompt.

A strategy is a prompt source plus a guidance policy: the tricks of Shipard et al. 2023, section 4.3, the prompts of
Marwood et al. 2023, Figure 4, and those of He et al. 2023, section 3.1. Any prompt source takes any guidance:
`multi_domain@1:5` is multi-domain prompts at random scales, `base@2.5` the base prompt at a fixed one (the low guidance
of Marwood et al. 2023, Reason 2).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from synthset.core.errors import UnknownNameError, UsageError, setting
from synthset.core.options import Option, check_options
from synthset.core.plug_ins import find_plug_in, is_unicode, plug_in_names
from synthset.prompts.classes import as_words, check_phrase, split_article, with_article
from synthset.prompts.interpolation import Count
from synthset.prompts.prompt_augmentation import (
    DEFAULT_FILE,
    FIRST_FILE,
    Augmentation,
    default_augmentation,
    read_augmentation,
    shuffled,
)

PHOTO_DOMAINS = (
    *("photo", "drawing", "painting", "sketch", "collage", "poster"),
    *("digital art image", "rock drawing", "stick figure", "3D rendering"),
)
SATELLITE_DOMAINS = ("realistic photo", "drawing", "painting", "sketch", "3D rendering")
SATELLITE_SENTENCE = "a centered satellite photo of {sentence}"  # of the code of He et al. 2023
DEFAULT_GUIDANCE_SCALE = 7.5
RANDOM_GUIDANCE = (1.0, 5.0)
LOW_GUIDANCE = 2.5  # the lowest at which Marwood et al. 2023 found images to be coherent


@dataclass(frozen=True)
class PromptStyle:
    """How prompts are worded."""

    domains: Annotated[tuple[str, ...] | None, Option(default="the ten of the paper")] = None
    """Styles of multi_domain."""
    template: str | None = None
    """Sentence of the base prompt, e.g. "a microscope image of {class}"."""
    phrases: Annotated[Mapping[str, str] | str, Option(default="the class names")] = field(default_factory=dict)
    """Phrases that stand for classes in all prompts: a YAML file with lines such as `jay: a bird of type jay`; for
    ImageNet also imagenet-synsets, imagenet-lemmas or imagenet-definitions; for known sets he2023, the words by which
    the code of He et al. asks a CLIP."""
    augmentation: Annotated[
        Augmentation | str | None, Option(flag="augmentation-file", default="those that come with Synthset")
    ] = None
    """Words of prompt_augmentation: a YAML file with the lists looks, extents, typical, sizes, locations and styles."""
    satellite: Annotated[bool, Option(negative="no-satellite", default="on for `dataset` eurosat")] = False
    """Satellite prompts, as the paper has them: "a satellite photo of a {class} in the style of a {domain}"."""
    satellite_base: Annotated[
        bool, Option(negative="no-satellite-base", default="on with `satellite`, off for `dataset` eurosat by itself")
    ] = True
    """Base prompt in the form of `satellite` too, "a satellite photo of a {class}"; off, it is the paper's, "an image
    of a {class}"."""
    sentence_template: Annotated[
        str | None, Option(default="the sentence alone; the paper's for `dataset` birdsnap, cub and imagenet-sketch")
    ] = None
    """Words around a sentence of language_enhancement, e.g. "a photo of {sentence}, a type of bird"."""
    literal_articles: bool = False
    """Articles as in the paper, "a {class}" even where English has "an"."""
    sentences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Prompts of language_enhancement by class name; `create` has them written, see SentenceConfig."""
    first_words: bool = False
    """Prompts of prompt_augmentation as the first version worded them: without the words of appendix B, and without the
    form for satellite images. `create` goes on with them in a dataset that was begun so."""

    def __post_init__(self) -> None:
        check_options(self)
        if isinstance(self.augmentation, str):
            object.__setattr__(self, "augmentation", read_augmentation(self.augmentation))
        if self.domains is not None and (not self.domains or not all(d.strip() for d in self.domains)):
            raise UsageError(
                f"Expected {setting('domains')} such as photo and sketch, none of them empty, got {self.domains}."
            )
        if self.template is not None and "{class}" not in self.template:
            raise UsageError(f"Expected {setting('template')} with {{class}} in it, got '{self.template}'.")
        if not self.satellite and not self.satellite_base:
            raise UsageError(
                f"Expected {setting('satellite', True)} with {setting('satellite_base', False)}, which has no effect "
                "without. Or leave it out."
            )
        if self.sentence_template == "{sentence}":  # the sentence alone, spelled out
            object.__setattr__(self, "sentence_template", None)
        if self.sentence_template is not None and "{sentence}" not in self.sentence_template:
            raise UsageError(
                f"Expected {setting('sentence_template')} with {{sentence}} in it, got '{self.sentence_template}'."
            )
        for name, phrase in self.phrases_by_class().items():
            check_phrase(name, phrase)
        for name, texts in self.sentences.items():
            if not texts or isinstance(texts, str):
                raise UsageError(f"Expected a list of sentences about '{name}', got {texts!r}.")

    def phrases_by_class(self) -> Mapping[str, str]:
        """The phrases; none as long as only their file is named, for which `create` reads them."""
        return {} if isinstance(self.phrases, str) else self.phrases

    def domain_list(self) -> tuple[str, ...]:
        """The domains in use."""
        return self.domains or (SATELLITE_DOMAINS if self.satellite else PHOTO_DOMAINS)

    def word_lists(self) -> Augmentation:
        """The words of prompt_augmentation in use."""
        if isinstance(self.augmentation, Augmentation):
            return self.augmentation
        return default_augmentation(FIRST_FILE if self.first_words else DEFAULT_FILE)

    def noun(self, class_name: str) -> str:
        """What stands for the class in prompts: its phrase, or its name, as words."""
        return as_words(self.phrases_by_class().get(class_name, class_name))

    def article(self, noun: str) -> str:
        """The noun with its article, or with the papers' literal "a"; never with a second one."""
        return f"a {noun}" if self.literal_articles and not split_article(noun)[0] else with_article(noun)


# ---- prompt sources: (class name, index of the image in its class) -> prompt ------------------------------

PromptSource = Callable[[str, int, PromptStyle], str]


def base_prompt(class_name: str, index: int, style: PromptStyle) -> str:
    """ "an image of a {class}"; for satellite images "a satellite photo of a {class}", unless that is off."""
    noun = style.noun(class_name)
    if style.template is not None:
        return _fill(style.template, noun)
    lead = "a satellite photo of" if style.satellite and style.satellite_base else "an image of"
    return f"{lead} {style.article(noun)}"


def _fill(template: str, noun: str) -> str:
    """The template with the noun in it; "a {class}" gives way to the article of "the digit five"."""
    if split_article(noun)[0]:
        template = re.sub(r"\b(an?|the) \{class\}", "{class}", template, flags=re.IGNORECASE)
    return template.replace("{class}", noun)


def class_prompt(class_name: str, index: int, style: PromptStyle) -> str:
    """The class name alone, as words."""
    return style.noun(class_name)


def domain_prompt(class_name: str, index: int, style: PromptStyle) -> str:
    """ "a {domain} of a {class}"; the domains follow each other, so each is drawn equally often."""
    domains = style.domain_list()
    domain, noun = domains[index % len(domains)], style.article(style.noun(class_name))
    if style.satellite:
        return f"a satellite photo of {noun} in the style of {style.article(domain)}"
    return f"{style.article(domain)} of {noun}"


def augmented_prompt(class_name: str, index: int, style: PromptStyle) -> str:
    """ "an odd slightly uncommon very small {class} partially occluded, overexposed": another one for each index.

    The order of the prompts is decided by the class name, so that a phrase changes the class and not the rest. For
    satellite images "a satellite photo of" stands before it.
    Raises:
        UsageError: an index beyond the number of prompts that the lists give.
    """
    lists = style.word_lists()
    if index >= lists.num_prompts:
        raise UsageError(
            f"Expected at most {lists.num_prompts:,} images a class of prompt_augmentation, which has that many "
            f"prompts, got {index + 1:,}. Draw fewer, or give longer lists as {setting('augmentation')}."
        )
    before, after = lists.modifiers(shuffled(index, lists.num_prompts, class_name))
    article, noun = split_article(style.noun(class_name))
    # "the digit five" is "the ugly common small digit five"; "a" or "an" goes by the first adjective
    lead = f"the {before} {noun}" if article == "the" else style.article(f"{before} {noun}")
    satellite = "a satellite photo of " if style.satellite and not style.first_words else ""
    return f"{satellite}{lead} {after}"


def sentence_prompt(class_name: str, index: int, style: PromptStyle) -> str:
    """A sentence about the class; they follow each other, so each is drawn equally often.

    For satellite images "a centered satellite photo of" stands before it, for others the words that are given. A class
    without sentences is called by its name: so are the prompts counted before there are any; `create` plans no such
    class.
    """
    sentences = style.sentences.get(class_name, (style.noun(class_name),))
    template = style.sentence_template or (SATELLITE_SENTENCE if style.satellite else "{sentence}")
    return template.replace("{sentence}", sentences[index % len(sentences)])


def no_prompt(class_name: str, index: int, style: PromptStyle) -> str:
    """The empty text: real images say what to draw."""
    return ""


# ---- guidance policies: a generator seeded for one image -> its scale -------------------------------------


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance scales: fixed where `low` equals `high`, else uniform in [low, high]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 100:  # also refuses NaN
            raise UsageError(
                f"Expected guidance as a scale or LOW:HIGH within 0 and 100, got {self.low:g}:{self.high:g}."
            )

    @classmethod
    def parse(cls, text: str | float) -> Guidance:
        """Read `7.5` or `1:5`. Raises UsageError for anything else."""
        low, _, high = str(text).partition(":")
        try:
            return cls(float(low), float(high or low))
        except ValueError as error:
            raise UsageError(f"Expected {setting('guidance_scale')} as 7.5 or 1:5, got '{text}'.") from error

    @property
    def is_range(self) -> bool:
        """Whether each image has a scale of its own."""
        return self.low < self.high

    def draw(self, rng: random.Random) -> float:
        """The scale of one image."""
        return rng.uniform(self.low, self.high) if self.is_range else self.low

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}" if self.is_range else f"{self.low:g}"


# ---- strategies -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strategy:
    """A named way to draw a class: a prompt source, and its guidance unless the user gives another.

    Attributes:
        summary: one line about it, for help and tables.
        guidance: a range is the point of the strategy, and stays; one scale is a default of its own, which the
            scale of the run replaces; None has no other default than the run.
        mixed_images: how many real images of the class each image is conditioned on, by a mixture of their
            embeddings; they are drawn for each image. 0 for none: such a strategy draws from its prompts.
        reads: options of `create` that its prompts depend on; others are refused where no strategy reads them.
    """

    name: str
    summary: str
    prompt: PromptSource
    guidance: Guidance | None = None
    mixed_images: Count = 0
    aliases: tuple[str, ...] = ()
    reads: tuple[str, ...] = ("phrases", "literal_articles")

    def reads_option(self, option: str, has_own_scale: bool) -> bool:
        """Whether an option has an effect on it; `has_own_scale`: its name says the guidance, as in base@2.5."""
        if option in ("guidance_scale", "random_guidance"):
            has_range = self.guidance is not None and self.guidance.is_range
            return not has_own_scale and has_range == (option == "random_guidance")
        return option in self.reads


@dataclass(frozen=True)
class Combination:
    """Several strategies as one: their union, or their equal parts within the budget of one."""

    name: str
    summary: str
    members: tuple[str, ...]
    equal_budget: bool = False
    aliases: tuple[str, ...] = ()


_SENTENCE = ("template", "satellite", "satellite_base", "literal_articles", "phrases")
TRICKS = ("base", "class_prompt", "multi_domain", "random_guidance")
STRATEGIES: dict[str, Strategy | Combination] = {
    strategy.name: strategy
    for strategy in (
        Strategy("base", "“an image of a {class}”", base_prompt, aliases=("base_class",), reads=_SENTENCE),
        Strategy("class_prompt", "“{class}”, the name alone", class_prompt, reads=("phrases",)),
        Strategy(
            "multi_domain",
            "“a {domain} of a {class}”, for photo, drawing, sketch, …",
            domain_prompt,
            aliases=("multidomain",),
            reads=("domains", "satellite", "literal_articles", "phrases"),
        ),
        Strategy(
            "random_guidance",
            "the base prompt, a guidance scale in 1 to 5 for each image",
            base_prompt,
            Guidance(*RANDOM_GUIDANCE),
            aliases=("random_scale",),
            reads=_SENTENCE,
        ),
        Strategy(
            "prompt_augmentation",
            "a prompt of its own for each image, from lists of words; low guidance",
            augmented_prompt,
            Guidance(LOW_GUIDANCE, LOW_GUIDANCE),
            aliases=("promptaug",),
            reads=("augmentation", "satellite", "literal_articles", "phrases"),
        ),
        Strategy(
            "language_enhancement",
            "sentences about the class, from a language model, a server or a file",
            sentence_prompt,
            aliases=("le",),
            reads=("sentences", "sentence_template", "satellite", "phrases"),
        ),
        Strategy(
            "interpolate_three",
            "no words: the CLIP embeddings of three real images, mixed",
            no_prompt,
            mixed_images=3,
            reads=(),
        ),
        Strategy(
            "interpolate_all",
            "no words: those of all real images of the class, mixed",
            no_prompt,
            mixed_images="all",
            reads=(),
        ),
        Combination("all_combined", "the first four together: four times the images", TRICKS),
        Combination(
            "all_but_class_prompt",
            "the first four but class_prompt, for names that mean several things",
            ("base", "multi_domain", "random_guidance"),
        ),
        Combination("all_combined_equal", "the first four in equal parts: no more images", TRICKS, equal_budget=True),
    )
}


def find_strategy(name: str) -> Strategy | Combination | None:
    """The strategy of a plain name: Synthset's, or one that another package adds; None for neither.

    Raises:
        UsageError: one of a package that cannot be loaded, or that is no strategy.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    plug_in = find_plug_in("strategy", name)
    if plug_in is None:
        return None
    if not isinstance(plug_in.value, Strategy):
        raise plug_in.is_wrong("a synthset.prompts.strategies.Strategy")
    strategy = plug_in.value

    def prompt(class_name: str, index: int, style: PromptStyle) -> str:
        text = plug_in.call(strategy.prompt, class_name, index, style)
        if not is_unicode(text):
            raise plug_in.is_wrong("prompts that are text in Unicode", type(text).__name__)
        return text

    return replace(strategy, name=name, prompt=prompt, aliases=())


def known_strategies() -> list[str]:
    """The names of all strategies, those that other packages add behind Synthset's own."""
    return [*STRATEGIES, *(name for name in plug_in_names("strategy") if name not in STRATEGIES)]


ALIASES = {alias: strategy.name for strategy in STRATEGIES.values() for alias in strategy.aliases}


def strategy_name(name: str) -> str:
    """The name of a strategy in its standard spelling, with its own guidance behind an @ if it has one.

    Raises:
        UnknownNameError: no strategy of that name.
        UsageError: guidance that is none, or one given to a combination.

    >>> strategy_name("Multi-Domain"), strategy_name("multidomain@1:5")
    ('multi_domain', 'multi_domain@1:5')
    """
    source, at, scales = name.partition("@")
    plain = source.strip().lower().replace("-", "_")
    plain = ALIASES.get(plain, plain)
    strategy = find_strategy(plain)
    if strategy is None:
        raise UnknownNameError("strategy", source, known_strategies())
    if not at:
        return plain
    if isinstance(strategy, Combination):
        raise UsageError(f"Expected guidance with a single strategy, got '{name}'. Name its members instead.")
    return f"{plain}@{Guidance.parse(scales)}"


def mixing_strategies(names: Sequence[str]) -> list[str]:
    """Those of the strategies that mix real images. Raises as `strategy_name`.

    >>> mixing_strategies(["base", "interpolate_three@1:5", "all_combined"])
    ['interpolate_three@1:5']
    """
    return [name for name in names if any(strategy.mixed_images for strategy in _strategies_of(name))]


def readers(option: str, names: Sequence[str] = tuple(STRATEGIES)) -> list[str]:
    """Those of the strategies that an option of `create` has an effect on. Raises as `strategy_name`.

    >>> readers("domains"), readers("guidance_scale", ["random_guidance", "base@2.5"])
    (['multi_domain', 'all_combined', 'all_but_class_prompt', 'all_combined_equal'], [])
    """
    return [name for name in names if any(one.reads_option(option, "@" in name) for one in _strategies_of(name))]


def _strategies_of(name: str) -> list[Strategy]:
    """The strategy, or the members of the combination, of any name."""
    found = [find_strategy(member.partition("@")[0]) for member in _members(strategy_name(name))]
    return [strategy for strategy in found if isinstance(strategy, Strategy)]


def _members(name: str) -> tuple[str, ...]:
    """The names of a combination's members, or the name itself, all in standard spelling."""
    strategy = find_strategy(name.partition("@")[0])
    return strategy.members if isinstance(strategy, Combination) else (name,)


def _shares(name: str, images_per_class: int) -> dict[str, int]:
    """How many images of a class each member draws."""
    members, strategy = _members(name), find_strategy(name.partition("@")[0])
    if not (isinstance(strategy, Combination) and strategy.equal_budget):
        return dict.fromkeys(members, images_per_class)
    share, rest = divmod(images_per_class, len(members))
    counts = {member: share + (i < rest) for i, member in enumerate(members)}
    return {member: count for member, count in counts.items() if count}


@dataclass(frozen=True)
class StrategyRun:
    """One strategy at its number of images a class, ready to be planned."""

    name: str
    images_per_class: int
    source: PromptSource
    style: PromptStyle
    guidance: Guidance
    mixed_images: Count = 0

    def prompt(self, class_name: str, index: int) -> str:
        """The prompt of an image, by its number in its class."""
        return self.source(class_name, index, self.style)


def resolve_strategies(
    names: Sequence[str],
    images_per_class: int,
    style: PromptStyle | None = None,
    guidance: Guidance | None = None,
    random_guidance: Guidance | None = None,
) -> list[StrategyRun]:
    """The plain strategies behind `names`, each once, in the order given, combinations taken apart.

    Args:
        names: strategies and combinations; a union adds its members, an equal budget shares one among them.
        images_per_class: images that each strategy draws of each class.
        style: wording of the prompts.
        guidance: for all but random_guidance; if not given, 2.5 for prompt_augmentation and 7.5 for others.
        random_guidance: the range of random_guidance, instead of [1, 5].
    Raises:
        UsageError: no strategy, an unknown one, fewer than one image, or more than there are prompts.
    """
    if not names:
        raise UsageError(f"Expected at least one strategy. Valid: {', '.join(known_strategies())}.")
    if images_per_class < 1:
        raise UsageError(f"Expected at least 1 image a class, got {images_per_class}.")
    counts: dict[str, int] = {}
    for name in dict.fromkeys(map(strategy_name, names)):
        for member, count in _shares(name, images_per_class).items():
            counts[member] = max(count, counts.get(member, 0))
    runs = []
    for name, count in counts.items():
        (strategy,), (_, at, scales) = _strategies_of(name), name.partition("@")
        own = strategy.guidance or Guidance(DEFAULT_GUIDANCE_SCALE, DEFAULT_GUIDANCE_SCALE)
        given = Guidance.parse(scales) if at else random_guidance if own.is_range else guidance
        run = StrategyRun(name, count, strategy.prompt, style or PromptStyle(), given or own, strategy.mixed_images)
        run.prompt("class", count - 1)  # a source that runs out of prompts says so now, not after a million rows
        runs.append(run)
    return runs


def select_rows(strategies: Sequence[str], indices: Sequence[int], name: str) -> list[int]:
    """Rows of a dataset that make up the strategy or combination `name`.

    A dataset stores plain strategies; a combination is a view of it. The equal budget takes the first images
    of each member, so that both views come from one drawing.

    Args:
        strategies: the plain strategy of each row.
        indices: the index of each row within its class and strategy.
        name: any name in STRATEGIES.
    Raises:
        UsageError: the dataset lacks images of one of the members.
    """
    present = set(strategies)
    # a dataset that was drawn by a package's strategy is read where that package is not
    name = name if name in present else strategy_name(name)
    members = _members(name)
    missing = [member for member in members if member not in present]
    if missing:
        raise UsageError(
            f"Expected images of {', '.join(members)} for '{name}', found none of {', '.join(missing)}. "
            f"Draw them with 'synthset create --strategy {name}'."
        )
    drawn = [1 + index for member, index in zip(strategies, indices, strict=True) if member in members]
    limits = _shares(name, max(drawn))
    return [row for row, member in enumerate(strategies) if indices[row] < limits.get(member, 0)]
