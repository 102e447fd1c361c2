"""`synthset tune`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from synthset.cli import json_output
from synthset.cli.arguments import Given, Positional
from synthset.cli.commands import command
from synthset.cli.opening import OF_REAL, image_path, real_path
from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested, Option, check_options
from synthset.images.opening import OPENING, ImagePath, Opening
from synthset.tuning.config import TuneConfig, check_read

REAL_IMAGES = "Real images"  # heading in the help


@dataclass(frozen=True)
class TuneCall:
    """Which images, where to, and one model or a curve."""

    data: Annotated[str | None, Positional(default="none; real images alone")] = None
    """Synthset dataset, image folder, or Parquet files; for a curve the path may hold {shots} and {seed}."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)
    real: str | None = None
    """Real set to draw shots from and to test on: a known name or a path."""
    real_opening: Annotated[Opening, OF_REAL] = field(default_factory=Opening)
    output_dir: Path = Path("tuned")
    """Folder of the model, or of the curve."""
    prompt_strategy: Annotated[str | None, Option(default="all its images")] = None
    """Prompt strategy or combination of the dataset to tune on."""
    all_images: bool = False
    """Tune also on images that filters rejected."""
    cache: Annotated[Path | None, Option(default="SYNTHSET_CACHE, or synthset in the user's cache folder")] = None
    """Folder of cached vectors."""
    overwrite: bool = False
    """Replace another model in the folder."""
    shots: Annotated[tuple[int, ...], Option(group=REAL_IMAGES, at_least=0, default="0")] = (0,)
    """Real images of each class; several for a curve, e.g. 1 2 4 8 16."""
    seeds: Annotated[int | None, Option(group=REAL_IMAGES, at_least=1, default="3 where `shots` has several")] = None
    """Number of seeds of a curve: 0, 1, …"""
    mix: Annotated[bool, Option(group=REAL_IMAGES)] = False
    """Mixed order, which is the default, spelled out."""
    compare: Annotated[tuple[str, ...], Option(group=REAL_IMAGES)] = ()
    """Further methods of a curve: random_head, coop, tip_adapter, tip_adapter_f, linear_probe."""

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def images(self) -> ImagePath | None:
        """The synthetic images, if there are any."""
        return None if self.data is None else ImagePath(self.data, self.opening)

    @property
    def real_path(self) -> ImagePath | None:
        """The real set, if there is one."""
        return real_path(self.real, self.real_opening, strict=self.opening.strict)

    @property
    def is_curve(self) -> bool:
        """Whether several models are asked for."""
        return len(self.shots) > 1 or self.seeds is not None


@command("tune")
def tune(call: TuneCall, given: Given[TuneConfig]) -> None:
    """Tune the classifier of a CLIP on synthetic images, with a few real ones or none.

    It begins as zero-shot CLIP. With --real it is tested beside it, on images that tuning never reads. Several
    --shots, or --seeds, give a curve over shots, with synthetic images and without.

    Example: `synthset tune digits-synthetic --real digits --shots 4 --loss sce --output-dir digits-tuned`
    """
    from synthset.cli.model_tables import print_tuned_images
    from synthset.encoders.embed import EmbeddingCache

    order = given.values.get(("order",), "mix")
    if call.mix and order != "mix":
        raise UsageError(f"Expected {setting('mix')} or {setting('order', order)}, got both. Drop one.")
    if call.compare and not call.is_curve:
        raise UsageError(
            f"Expected several {setting('shots')} or {setting('seeds')} with {setting('compare')}, which is for a "
            "curve, got one model."
        )
    if call.is_curve and call.real is None:
        raise UsageError(
            f"Expected {setting('real')} with several {setting('shots')} or {setting('seeds')}, for a curve is tested, "
            f"e.g. {setting('real', 'digits')}."
        )
    config = given.build({} if call.is_curve else {("shots",): call.shots[0]})
    check_read(config, has_synthetic=call.data is not None, has_shots=any(call.shots), compare=call.compare)
    if call.data is None:
        image_path(None, call.opening if call.real is None else replace(call.opening, strict=False), "data")
        if call.prompt_strategy is not None or call.all_images:
            name = setting("prompt_strategy" if call.prompt_strategy is not None else "all_images")
            raise UsageError(f"Expected a dataset with {name}, got real images only. Leave it out.")
    source: dict[str, Any] = {
        "real": call.real_path,
        "prompt_strategy": call.prompt_strategy,
        "all_images": call.all_images,
        "cache": None if call.cache is None else EmbeddingCache(call.cache),
        "overwrite": call.overwrite,
        "when_ready": print_tuned_images,
    }
    if call.is_curve:
        _tune_curve(call, config, source)
    else:
        _tune_once(call, config, source)


def _tune_curve(call: TuneCall, config: TuneConfig, source: dict[str, Any]) -> None:
    from synthset.cli.model_tables import print_curve
    from synthset.tuning.curve import tune_curve

    seeds = range(config.seed, config.seed + (3 if call.seeds is None else call.seeds))
    print_curve(tune_curve(call.images, call.output_dir, call.shots, seeds, config, compare=call.compare, **source))


def _tune_once(call: TuneCall, config: TuneConfig, source: dict[str, Any]) -> None:
    from synthset.classifiers.evaluate import predictions_file, write_evaluation
    from synthset.cli.model_tables import print_evaluation, print_predictions_file, print_tune
    from synthset.evaluation.answers import write_answers
    from synthset.real.learning import load_test_part
    from synthset.tuning.evaluate import evaluate_on
    from synthset.tuning.stage import tune as run_tune

    if call.real_path is not None:
        load_test_part(call.real_path)  # before the tuning, which may take hours
    result = run_tune(call.images, call.output_dir, config, **source)
    if call.real_path is None:
        print_tune(result)
        return
    answers = []
    before, after = evaluate_on(
        call.output_dir,
        call.real_path,
        cache=source["cache"],
        strict=call.opening.strict,
        when_answered=lambda *answered: answers.extend(answered),
    )
    target = call.output_dir / "evaluation"
    write_evaluation(before, call.output_dir / "zero-shot" / "evaluation")
    write_evaluation(after, target, write_predictions=lambda path: write_answers(path, *answers))
    json_output.add("zero_shot", before)
    print_tune(result, before)
    print_evaluation(after, target)
    print_predictions_file(predictions_file(after, target))
