"""What a dataset depends on, beside its classes and its folder: every option of `create`, declared once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from synthset import miniature
from synthset.core.devices import DTYPES
from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested, Option, check_options, expect
from synthset.filters import FILTERS, FilterConfig
from synthset.filters.run import check_read, find_filter
from synthset.generators.additions import Additions
from synthset.generators.base import EAGER, steps_to_pass
from synthset.generators.families import describe_auto_scheduler, family_titles
from synthset.generators.memory import MemoryOptions
from synthset.generators.names import ENGINES, SCHEDULERS
from synthset.generators.sampling import SamplingOptions
from synthset.generators.single_file import LAYOUTS
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath
from synthset.prompts.language_enhancement import SentenceConfig
from synthset.prompts.strategies import (
    RANDOM_GUIDANCE,
    STRATEGIES,
    Guidance,
    PromptStyle,
    StrategyRun,
    mixing_strategies,
    readers,
    resolve_strategies,
)

STYLE_OPTIONS = (
    *("domains", "template", "phrases", "augmentation", "satellite", "satellite_base", "sentence_template"),
    "literal_articles",
)
IMAGE_FORMATS = ("auto", "png", "jpeg", "webp")

WORDING = "Prompts and guidance"
SENTENCES = "Sentences"
SAMPLING = "Model and sampling"
MEMORY = "Memory, for small GPUs"
REAL_IMAGES = "Real guidance"
SHORTCUTS = "Shortcuts and diversity, which change the images"
STORAGE = "Stored images"
REFILL = "Filter and refill"


@dataclass(frozen=True)
class CreateConfig:
    """How a dataset is drawn: all that it depends on, beside its classes and its folder."""

    strategies: Annotated[tuple[str, ...], Option(flag="strategy", listed=STRATEGIES, default="base", job=False)] = (
        "base",
    )
    """Strategies to draw by: {choices}. Several may be given, and any prompts crossed with any guidance:
    multi_domain@1:5, or base@2.5 for low guidance. Those named interpolate draw from `initial_images`, not
    from words."""
    images_per_class: Annotated[int, Option(at_least=1, default="100, or as many as `dataset` has")] = 100
    """Images of each class that each strategy draws."""
    seed: Annotated[int, Option(at_least=0, below=2**63)] = 64
    """Seed of the whole run; each image has its own, derived from it."""
    shared_noise: Annotated[bool, Option(job=False)] = False
    """Noise that depends on `seed` and an image's number alone: strategies, scales, prompts and classes are drawn on
    the same noise, so that they can be compared image by image."""
    max_failures: Annotated[float, Option(at_least=0, at_most=1, job=False)] = 0.01
    """Share of images that may fail before the exit code is 3."""

    guidance_scale: Annotated[
        str | float | None, Option(group=WORDING, default="7.5; 2.5 for prompt_augmentation", job=False)
    ] = None
    """Classifier-free guidance: 7.5, or 1:5 for a draw for each image."""
    random_guidance: Annotated[
        tuple[float, float], Option(flag=("min-scale", "max-scale"), group=WORDING, job=False)
    ] = RANDOM_GUIDANCE
    """Range that random_guidance draws its scales from."""
    style: Annotated[PromptStyle, Nested(group=WORDING, without=("sentences", "first_words"), job="prompts")] = field(
        default_factory=PromptStyle
    )
    negative_prompt: Annotated[str | tuple[str, ...], Option(group=WORDING)] = ""
    """Text of what no image shall show; of several, each image draws one."""

    sentences: Annotated[
        SentenceConfig | None,
        Nested(
            group=SENTENCES,
            flags={
                "count": "sentences",
                "source": "sentences-from",
                "model": "sentence-model",
                "revision": "sentences-revision",
            },
        ),
    ] = None

    generator: Annotated[str, Option(group=SAMPLING, listed=family_titles, job=False)] = miniature.NAME
    """Generator: miniature (ten digits), or the hub id or folder of a diffusers checkpoint, or a single safetensors
    file. Known: {choices}."""
    revision: Annotated[str | None, Option(group=SAMPLING, job=False)] = None
    """Branch, tag or commit of the hub id."""
    layout: Annotated[
        str | None, Option(group=SAMPLING, listed=LAYOUTS, default="told by the file's tensors", job=False)
    ] = None
    """Layout of a single file, {choices}, or the folder of a checkpoint by whose configurations it is read."""
    additions: Annotated[Additions, Nested(group=SAMPLING)] = field(default_factory=Additions)
    scheduler: Annotated[
        str, Option(group=SAMPLING, listed=SCHEDULERS, default=f"auto: {describe_auto_scheduler()}", job=False)
    ] = "auto"
    """Scheduler: auto, or {choices}."""
    steps: Annotated[int | str, Option(group=SAMPLING, job=False)] = 40
    """Sampling steps: 40, or 20:40 for a number for each image."""
    height_px: Annotated[
        int | None, Option(flag="height", group=SAMPLING, at_least=1, default="the model's own", job=False)
    ] = None
    """Height of the drawn images in pixels."""
    width_px: Annotated[
        int | None, Option(flag="width", group=SAMPLING, at_least=1, default="the model's own", job=False)
    ] = None
    """Width of the drawn images in pixels."""
    batch_size: Annotated[
        int | None, Option(group=SAMPLING, at_least=1, default="chosen by the generator", job=False)
    ] = None
    """Images drawn together."""
    dtype: Annotated[str, Option(group=SAMPLING, choices=DTYPES, job=False)] = "auto"
    """Number format of the networks: float32, bfloat16, float16, or auto, which is bfloat16 on a GPU."""
    device: Annotated[str, Option(group=SAMPLING, job=False)] = "auto"
    """Device to draw on: cpu, cuda, xpu, mps, or auto, which is a GPU where there is one."""
    engine: Annotated[str, Option(group=SAMPLING, choices=ENGINES, job=False)] = EAGER
    """Engine of the denoiser: eager; compiled, by torch.compile, which takes a minute or two to begin with; or
    compiled_max, which tries kernels out and takes many."""

    initial_images: Annotated[
        str | ImagePath | ImageSet | None, Option(group=REAL_IMAGES, default="begin at noise", job=False)
    ] = None
    """Real images of the classes to begin at instead of noise, or for the strategies interpolate_three and
    interpolate_all to mix: a known name (its training split; of digits, the half that tune and its tests leave for
    this), or a path, all images of it."""
    shots: Annotated[int | None, Option(group=REAL_IMAGES, at_least=1, default="all", job=False)] = None
    """Number of real images of each class."""
    shots_seed: Annotated[int, Option(group=REAL_IMAGES, at_least=0, job=False)] = 0
    """Seed of the choice of these images."""
    strength: Annotated[
        float | None,
        Option(
            group=REAL_IMAGES,
            above=0,
            at_most=1,
            default="0.5, 0.4, 0.35, 0.2 and 0.15 for 1, 2, 4, 8 and 16 shots, as in He et al. 2023; the nearest for "
            "others",
            job=False,
        ),
    ] = None
    """Share of the steps that a noised real image passes: near 0 repeats it, 1 forgets it."""

    sampling: Annotated[SamplingOptions, Nested(group=SHORTCUTS)] = field(default_factory=SamplingOptions)

    memory: Annotated[MemoryOptions, Nested(group=MEMORY)] = field(default_factory=MemoryOptions)

    resize_px: Annotated[
        int | None,
        Option(
            flag="resize",
            group=STORAGE,
            at_least=4,
            at_most=4096,
            default="as drawn, or as `dataset` has them",
            job="images.resize_px",
        ),
    ] = None
    """Side in pixels of the stored square images."""
    antialias: Annotated[
        bool,
        Option(group=STORAGE, negative="no-antialias", default="on, off for `dataset` eurosat", job="images.antialias"),
    ] = True
    """Anti-aliasing where images are shrunk."""
    image_format: Annotated[str, Option(group=STORAGE, choices=IMAGE_FORMATS, job="images.format")] = "auto"
    """Format of the stored images: png, jpeg, webp, or auto, which is PNG up to 64 px and JPEG above."""
    quality: Annotated[int, Option(group=STORAGE, at_least=1, at_most=100, job="images.quality")] = 95
    """Quality of JPEG and WebP."""
    shard_size: Annotated[int, Option(group=STORAGE, at_least=1, at_most=100_000)] = 512
    """Images of a file, which is the unit of work and of commitment: a kill costs two of them at most."""

    reuse: Annotated[tuple[str, ...], Option(group=STORAGE, job=False)] = ()
    """Datasets to copy from, byte for byte, every image whose request, model, sampling and stored form are the same;
    the rest is drawn. So more images, classes or strategies, or another phrase, cost only what is new."""

    refill: Annotated[str | None, Option(group=REFILL, listed=FILTERS, default="keep all that is drawn", job=False)] = (
        None
    )
    """Filter to refill by, {choices}: draw until it keeps `images_per_class` images of each class and strategy."""
    max_draws: Annotated[
        int | None, Option(group=REFILL, at_least=1, default="five times `images_per_class`", job=False)
    ] = None
    """Limit of the images of a class and strategy that refilling draws."""
    filter: Annotated[
        FilterConfig, Nested(group=REFILL, flags={"templates": "filter-template"}, without=("device",))
    ] = field(default_factory=FilterConfig)

    def __post_init__(self) -> None:
        if isinstance(self.strategies, str):
            object.__setattr__(self, "strategies", (self.strategies,))
        object.__setattr__(self, "reuse", _as_folders(self.reuse))
        if isinstance(self.steps, str) and self.steps.isdecimal():
            object.__setattr__(self, "steps", int(self.steps))  # so that the manifest has a number as one
        check_options(self)
        low, high = self.steps_range
        expect(1 <= low <= high, f"{setting('steps')} of at least 1, or a range such as 20:40, got {self.steps}")
        expect(self.negative_prompt != (), f"{setting('negative_prompt')} with a text, or an empty one, got none")
        self._check_refill()
        self._check_initial_images(low)
        self._check_read()
        self._check_stored()

    def _check_refill(self) -> None:
        if self.refill is not None:
            check_read({self.refill: find_filter(self.refill)}, self.filter)
        expect(
            self.refill is not None or self.max_draws is None,
            f"{setting('refill')} with {setting('max_draws')}, e.g. {setting('refill', 'clip')}. Without it nothing is "
            "redrawn",
        )
        expect(
            self.refill is None or self.filter.keep_share is None,
            f"a threshold to refill by, got {setting('keep_share')}: a share is rejected of any number",
        )
        expect(
            self.refill is None or self.filter.keep_count is None,
            f"{setting('images_per_class')} for the number to keep, got {setting('keep_count')} with "
            f"{setting('refill')} too",
        )
        expect(
            self.max_draws is None or self.max_draws >= self.images_per_class,
            f"{setting('max_draws')} of at least {setting('images_per_class', self.images_per_class)}, got "
            f"{self.max_draws}",
        )

    def _check_stored(self) -> None:
        """Refuse options of a size or a format that images are not stored in."""
        expect(
            self.antialias or self.resize_px is not None,
            f"{setting('resize_px')} with {setting('antialias', False)}, which is for images that are shrunk",
        )
        expect(
            self.quality == CreateConfig.quality or self.image_format != "png",
            f"{setting('image_format', 'jpeg')} or webp with {setting('quality')}, got png, which loses nothing",
        )

    def _check_read(self) -> None:
        """Refuse an option that none of the strategies reads: whoever gives one expects an effect."""
        style, plain = self.style, PromptStyle()
        departures = {
            **{name: getattr(style, name) != getattr(plain, name) for name in STYLE_OPTIONS},
            "sentences": self.sentences is not None,
            "guidance_scale": self.guidance_scale is not None,
            "random_guidance": self.random_guidance != RANDOM_GUIDANCE,
        }
        for name in [name for name, departs in departures.items() if departs and not readers(name, self.strategies)]:
            wanted, got = ", ".join(readers(name)), ", ".join(self.strategies)
            raise UsageError(f"Expected a strategy that reads {setting(name)} ({wanted}), got {got}. Or leave it out.")

    def _check_initial_images(self, fewest_steps: int) -> None:
        """Which options need real images, and which of them a strategy that mixes images can use."""
        details = [name for name in ("shots", "strength") if getattr(self, name) is not None]
        details += ["shots_seed"] if self.shots_seed else []
        example = f"e.g. {setting('initial_images', 'digits')}"
        expect(
            self.initial_images is not None or not details,
            f"{setting('initial_images')} with {' and '.join(map(setting, details))}, {example}",
        )
        if self.strength is not None:
            steps_to_pass(self.strength, fewest_steps)
        mixing = mixing_strategies(self.strategies)
        expect(
            self.initial_images is not None or not mixing,
            f"real images for {' and '.join(mixing)}, got none. Give {setting('initial_images')}, {example} "
            f"{setting('shots', 60)}",
        )
        expect(
            self.strength is None or self.begins_at_images,
            f"a strategy that begins at real images with {setting('strength')}, got {' and '.join(mixing)}, which "
            "begin at noise",
        )

    @property
    def begins_at_images(self) -> bool:
        """Whether some images begin at the real ones, if there are any."""
        return len(mixing_strategies(self.strategies)) < len(self.strategies)

    @property
    def steps_range(self) -> tuple[int, int]:
        """The fewest and the most steps of an image. Raises UsageError for what is no number and no range."""
        low, _, high = str(self.steps).partition(":")
        try:
            return int(low), int(high or low)
        except ValueError as error:
            raise UsageError(f"Expected {setting('steps')} as 40 or 20:40, got '{self.steps}'.") from error

    def runs(self) -> list[StrategyRun]:
        """The plain strategies to draw."""
        guidance = None if self.guidance_scale is None else Guidance.parse(self.guidance_scale)
        return resolve_strategies(
            self.strategies, self.images_per_class, self.style, guidance, Guidance(*self.random_guidance)
        )


def _as_folders(given: Any) -> Any:
    """Folders as texts, of one or several of either kind."""
    several = given if isinstance(given, list | tuple) else (given,)
    return tuple(str(one) if isinstance(one, Path) else one for one in several)
