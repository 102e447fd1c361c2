"""What a dataset depends on, beside its classes and its folder: every option of `create`, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from synthset import miniature
from synthset.core.errors import UnknownNameError, UsageError
from synthset.core.options import expect
from synthset.create.refill import check_refill
from synthset.filters import FilterConfig
from synthset.generators.base import EAGER, steps_to_pass
from synthset.generators.sampling import SamplingOptions
from synthset.prompts.language_enhancement import SentenceConfig, wants_sentences
from synthset.prompts.strategies import Guidance, PromptStyle, StrategyRun, mixing_strategies, resolve_strategies

if TYPE_CHECKING:
    from synthset.images.imageset import ImageSet

SHARD_SIZE = 512
IMAGE_FORMATS = ("auto", "png", "jpeg", "webp")


@dataclass(frozen=True)
class CreateConfig:
    """What a dataset depends on, beside its classes and folder.

    Attributes:
        strategies: names of prompts.STRATEGIES; a combination draws its members once each.
        images_per_class: images that each strategy draws of each class.
        generator: "miniature", a hub id, or a folder of a diffusers checkpoint.
        revision: of the hub id: a branch, tag or commit.
        guidance_scale: for strategies that have no guidance of their own: `7.5`, or `1:5` for a draw each.
        random_guidance: the range that random_guidance draws from.
        steps: of the sampler; or a range such as `20:40`, from which each image draws its own number.
        scheduler: of the sampler, by name, see generators.
        sampling: shortcuts and diversity that the sampling loop takes on request; none by default.
        height_px, width_px: drawn size; None for the checkpoint's own.
        resize_px: side of the stored square images; None keeps them as drawn.
        antialias: how they are shrunk; see images.resize.
        image_format: png, jpeg, webp, or auto: PNG up to 64 px, JPEG above.
        quality: of JPEG and WebP, 1..100.
        seed: of the whole run.
        negative_prompt: what no image shall show; of several, each image draws one.
        style: wording of the prompts.
        dtype, device: "auto" is bf16 on a GPU and float32 on a CPU.
        engine: what runs the denoiser, one of generators.ENGINES.
        batch_size: requests drawn together; None leaves it to the generator.
        max_failures: share of requests that may fail before the run counts as failed.
        refill: name of a filter, see filters.FILTERS: draw until it keeps images_per_class images of each
            class and strategy.
        filter: what that filter does.
        max_draws: images of one class and strategy that refilling draws at most; None is refill.MAX_FACTOR
            times images_per_class.
        initial_images: real images to begin at instead of pure noise, or for interpolate_three and interpolate_all
            to be conditioned on: a known set, a path, or an ImageSet of the same classes; see
            real_guidance.choose_initial_images.
        shots: how many of each class; None takes all.
        shots_seed: decides which.
        strength: share of the steps that a noised real image passes, in (0, 1]; None takes what
            real_guidance.STRENGTHS lists for so many shots.
        shard_size: images of a file; the unit of work, of commitment, and of what a kill can cost:
            the one that is drawn, and the one behind it that is being written.
        sentences: of language_enhancement; None for 200 of each class by the writer that goes with the generator.
    """

    strategies: tuple[str, ...] = ("base",)
    images_per_class: int = 100
    generator: str = miniature.NAME
    revision: str | None = None
    guidance_scale: str | float | None = None
    random_guidance: tuple[float, float] | None = None
    steps: int | str = 40
    scheduler: str = "auto"
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    height_px: int | None = None
    width_px: int | None = None
    resize_px: int | None = None
    antialias: bool = True
    image_format: str = "auto"
    quality: int = 95
    seed: int = 64
    negative_prompt: str | tuple[str, ...] = ""
    style: PromptStyle = field(default_factory=PromptStyle)
    dtype: str = "auto"
    device: str = "auto"
    engine: str = EAGER
    batch_size: int | None = None
    max_failures: float = 0.01
    refill: str | None = None
    filter: FilterConfig = field(default_factory=FilterConfig)
    max_draws: int | None = None
    initial_images: str | ImageSet | None = None
    shots: int | None = None
    shots_seed: int = 0
    strength: float | None = None
    shard_size: int = SHARD_SIZE
    sentences: SentenceConfig | None = None

    def __post_init__(self) -> None:
        low, high = self.steps_range
        expect(1 <= low <= high, f"at least 1 step, or a range such as 20:40, got {self.steps}")
        expect(self.negative_prompt != (), "a negative prompt, or an empty one, got none")
        expect(
            self.resize_px is None or 4 <= self.resize_px <= 4096,
            f"--resize in 4..4096, got {self.resize_px}",
        )
        expect(1 <= self.quality <= 100, f"--quality in 1..100, got {self.quality}")
        expect(
            self.batch_size is None or self.batch_size >= 1,
            f"--batch-size of at least 1, got {self.batch_size}",
        )
        expect(0 <= self.max_failures <= 1, f"--max-failures in 0..1, got {self.max_failures}")
        expect(0 <= self.seed < 2**63, f"--seed in 0..2^63 - 1, got {self.seed}")
        if self.image_format not in IMAGE_FORMATS:
            raise UnknownNameError("image format", self.image_format, IMAGE_FORMATS)
        expect(1 <= self.shard_size <= 100_000, f"--shard-size in 1..100,000, got {self.shard_size}")
        check_refill(self.refill, self.filter, self.max_draws, self.images_per_class)
        guided = self.shots is not None or self.strength is not None or self.shots_seed != 0
        expect(
            self.initial_images is not None or not guided,
            "--initial-images with --shots, --shots-seed and --strength, e.g. --initial-images digits",
        )
        expect(self.shots is None or self.shots >= 1, f"--shots of at least 1, got {self.shots}")
        expect(self.shots_seed >= 0, f"--shots-seed of at least 0, got {self.shots_seed}")
        if self.strength is not None:
            steps_to_pass(self.strength, low)
        mixing = mixing_strategies(self.strategies)
        expect(
            self.initial_images is not None or not mixing,
            f"real images for {' and '.join(mixing)}, got none. Give --initial-images, e.g. --initial-images digits "
            "--shots 60",
        )
        expect(
            self.strength is None or self.begins_at_images,
            f"a strategy that begins at real images with --strength, got {' and '.join(mixing)}, which begin at noise",
        )
        expect(
            self.sentences is None or wants_sentences(self.strategies),
            f"the strategy language_enhancement with sentences, got {', '.join(self.strategies)}. Leave them out",
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
            raise UsageError(f"Expected --steps as 40 or 20:40, got '{self.steps}'.") from error

    def runs(self) -> list[StrategyRun]:
        """The plain strategies to draw."""
        guidance = None if self.guidance_scale is None else Guidance.parse(self.guidance_scale)
        random_range = Guidance(*self.random_guidance) if self.random_guidance else None
        return resolve_strategies(self.strategies, self.images_per_class, self.style, guidance, random_range)
