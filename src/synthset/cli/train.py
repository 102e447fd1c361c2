"""`synthset train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from synthset.classifiers.config import TrainConfig
from synthset.cli.arguments import Positional, one_path
from synthset.cli.commands import command
from synthset.cli.compat import SCRIPT
from synthset.cli.opening import OF_REAL, real_path
from synthset.core.errors import UsageError
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
    strategy: Annotated[str | None, Option(default="all its images")] = None
    """Strategy or combination of the dataset to train on."""
    all_images: bool = False
    """Train also on images that filters rejected."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)
    real: str | None = None
    """Real images to test on at the end: a known name or a path."""
    real_opening: Annotated[Opening, OF_REAL] = field(default_factory=Opening)
    overwrite: bool = False
    """Replace another model in the folder."""
    processes: Annotated[int, Option(at_least=1)] = 1
    """Processes that share every batch, one a GPU. `accelerate launch -m synthset train` starts them too."""
    syn_data_location: Annotated[Path | None, Option(group=SCRIPT)] = None
    """Other way to name the data."""


@command("train")
def train(call: TrainCall, config: TrainConfig) -> None:
    """Train a classifier from scratch on synthetic images. Run again, it goes on where it stopped.

    The checkpoint is chosen on held-back synthetic images; real ones are only tested on, once, at the end.

    Example: `synthset train digits --model small_cnn --augmentation digits --normalisation per_image --epochs 20
    --batch-size 16 --learning-rate 2e-3 --weight-decay 0.05 --output-dir digits-model`
    """
    from synthset.classifiers.distributed import is_first
    from synthset.classifiers.evaluate import predictions_file
    from synthset.classifiers.learned_from import tell_seen
    from synthset.classifiers.stage import train as run_train
    from synthset.classifiers.training_set import read_sides
    from synthset.cli.tables import (
        print_classes,
        print_evaluation,
        print_predictions_file,
        print_settings,
        print_train,
    )
    from synthset.dataset.opening import open_images
    from synthset.evaluation.stage import evaluate, open_real
    from synthset.images.sketch import Sketch, hash_files
    from synthset.real import find_set

    source = one_path(call.data, call.syn_data_location, "the synthetic images", "syn_data_location")
    if source is None:
        raise UsageError("Expected the synthetic images, e.g. 'synthset train digits'. Run 'synthset create' first.")
    if config.dataset is not None:
        find_set(config.dataset)
    data, strict = ImagePath(str(source), call.opening), call.opening.strict
    real = real_path(call.real, call.real_opening, strict=strict)
    with reading(source):
        images = open_images(data, call.strategy, all_images=True)
        # before the training, which may take hours: a test that cannot be is no news for its end
        real_images = None if real is None else open_real(real, images.class_names, strict=strict)
        if real_images is not None and real_images.kind != "real":
            tell_seen("the model would", real_images, Sketch.of(hash_files(images)).share_in(hash_files(real_images)))

    def show(to_learn: ImageSet, settings: Settings) -> None:
        print_classes(to_learn, settings.image_size_px, read_sides(to_learn).median_px)
        print_settings(settings, config)

    result = run_train(
        data,
        call.output_dir,
        config,
        strategy=call.strategy,
        all_images=call.all_images,
        overwrite=call.overwrite,
        processes=call.processes,
        when_ready=show,
    )
    if not is_first():
        return
    print_train(result, call.output_dir)
    if real_images is not None:
        target = call.output_dir / "evaluation"
        scored = partial(print_evaluation, folder=target)
        how = {"strict": strict, "allow_training_images": True, "when_scored": scored}
        print_predictions_file(predictions_file(evaluate(call.output_dir, real_images, target, **how), target))
