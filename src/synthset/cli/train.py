"""`synthset train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from synthset.classifiers.config import TrainConfig
from synthset.cli.arguments import Positional, data_before_names, one_path
from synthset.cli.commands import command
from synthset.cli.compat import SCRIPT
from synthset.cli.opening import OF_REAL, real_path
from synthset.core.errors import UsageError, setting
from synthset.core.locks import reading
from synthset.core.options import Nested, Option
from synthset.images.opening import OPENING, ImagePath, Opening

if TYPE_CHECKING:
    from synthset.classifiers.settings import Settings
    from synthset.images.imageset import ImageSet


@dataclass(frozen=True)
class TrainCall:
    """Which images, where to, and the test at the end."""

    data: Annotated[Path | None, Positional()] = None
    """Synthset dataset, image folder, or Parquet files."""
    output_dir: Path = Path("model")
    """Folder of the model."""
    strategy: Annotated[tuple[str, ...], Option(default="all its images")] = ()
    """Strategies or combinations of the dataset to train on, all of them together."""
    all_images: bool = False
    """Train also on images that filters rejected."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)
    real: str | None = None
    """Real images to test on at the end: a known name or a path."""
    real_opening: Annotated[Opening, OF_REAL] = field(default_factory=Opening)
    overwrite: bool = False
    """Replace another model in the folder."""
    dry_run: bool = False
    """Print what is learned from, how, and an estimate of time; write nothing."""
    processes: Annotated[int, Option(at_least=1)] = 1
    """Processes that share every batch, one a GPU. `accelerate launch -m synthset train` starts them too."""
    syn_data_location: Annotated[Path | None, Option(group=SCRIPT)] = None
    """Other way to name the data."""

    def __post_init__(self) -> None:
        if self.syn_data_location is None:
            data, strategy = data_before_names(self.data, self.strategy)
            object.__setattr__(self, "data", data)
            object.__setattr__(self, "strategy", strategy)


@command("train")
def train(call: TrainCall, config: TrainConfig) -> None:
    """Train a classifier from scratch on synthetic images. Run again, it goes on where it stopped.

    The checkpoint is chosen on held-back synthetic images; real ones are only tested on, once, at the end.

    Example: `synthset train digits-synthetic --output-dir digits-model`
    """
    from synthset.classifiers.distributed import is_first
    from synthset.classifiers.dry_run import rehearse
    from synthset.classifiers.stage import train as run_train
    from synthset.classifiers.training_set import read_sides
    from synthset.cli.model_tables import print_classes, print_settings, print_train, print_training_plan
    from synthset.real import find_set

    source = one_path(call.data, call.syn_data_location, "the synthetic images", "syn_data_location")
    if source is None:
        example = "e.g. 'synthset train digits-synthetic'"
        raise UsageError(f"Expected the synthetic images, {example}. Run 'synthset create' first.")
    if config.dataset is not None:
        find_set(config.dataset)
    if call.dry_run and call.processes > 1:
        raise UsageError(
            f"Expected one process with {setting('dry_run', True)}, got {call.processes}: the estimate is of one. "
            f"Leave {setting('processes')} out."
        )
    data = ImagePath(str(source), call.opening)
    real_images = _open_real(call, data)

    def show(to_learn: ImageSet, settings: Settings) -> None:
        print_classes(to_learn, settings.image_size_px, read_sides(to_learn).median_px)
        print_settings(settings, config)

    images = {"strategy": call.strategy, "all_images": call.all_images, "when_ready": show}
    if call.dry_run:
        print_training_plan(rehearse(data, config, **images))
        return
    result = run_train(data, call.output_dir, config, overwrite=call.overwrite, processes=call.processes, **images)
    if is_first():
        print_train(result, call.output_dir)
        if real_images is not None:
            _test(call, real_images)


def _open_real(call: TrainCall, data: ImagePath) -> ImageSet | None:
    """The images to test on, opened before a training that may take hours: no news for its end is a test that fails."""
    from synthset.classifiers.learned_from import tell_seen
    from synthset.dataset.opening import open_images
    from synthset.evaluation.stage import open_real
    from synthset.images.sketch import Sketch, hash_files

    strict = call.opening.strict
    real = real_path(call.real, call.real_opening, strict=strict)
    if real is None:
        return None
    with reading(str(data)):
        images = open_images(data, call.strategy, all_images=True)
        real_images = open_real(real, images.class_names, strict=strict)
        if real_images.kind != "real":
            tell_seen("the model would", real_images, Sketch.of(hash_files(images)).share_in(hash_files(real_images)))
    return real_images


def _test(call: TrainCall, real_images: ImageSet) -> None:
    from synthset.classifiers.evaluate import predictions_file
    from synthset.cli.model_tables import print_evaluation, print_predictions_file
    from synthset.evaluation.stage import evaluate

    target = call.output_dir / "evaluation"
    result = evaluate(
        call.output_dir,
        real_images,
        target,
        strict=call.opening.strict,
        allow_training_images=True,
        when_scored=partial(print_evaluation, folder=target),
    )
    print_predictions_file(predictions_file(result, target))
