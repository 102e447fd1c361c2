"""Train as one call, by path: what the command and the Python interface share."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.classifiers.config import TrainConfig
from synthset.core.errors import UsageError
from synthset.core.locks import reading
from synthset.core.options import with_options
from synthset.dataset.opening import open_images
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource

if TYPE_CHECKING:
    from synthset.classifiers.train import TrainResult


def train(
    data: ImageSource,
    output_dir: str | Path,
    config: TrainConfig | None = None,
    *,
    strategy: str | None = None,
    all_images: bool = False,
    overwrite: bool = False,
    processes: int = 1,
    **options: Any,
) -> TrainResult:
    """Train a classifier from random initialisation on synthetic images, and on nothing else.

    Args:
        data: a Synthset dataset, an image folder, Parquet files, or an ImageSet.
        output_dir: folder of the model; training goes on there if it was interrupted.
        config: the recipe; `options` are its fields, e.g. `architecture="resnet50", epochs=10`.
        strategy: of a Synthset dataset, the strategy or combination to train on; all images by default.
        all_images: of a Synthset dataset, also what filters rejected.
        overwrite: replace another model in the folder.
        processes: that share the work on this machine, one a GPU, with the same result up to rounding; more than
            one need data that has a path. Under a launcher such as `accelerate launch` there are as many as it started.
    Raises:
        UsageError, DataError: what came cannot be trained on; nothing was written.
    """
    from synthset.classifiers.train import read_result, train_classifier

    config = with_options(config or TrainConfig(), options)
    _check_processes(processes, data)
    with reading(data) as held:
        images = open_images(data, strategy, all_images=all_images)
        if processes == 1:
            return train_classifier(images, config, output_dir, overwrite=overwrite, when_decoded=held.close)
    from synthset.classifiers.launch import run_in_processes

    assert not isinstance(data, ImageSet)  # _check_processes saw to it
    job = {"data": asdict(ImagePath.of(data)), "output_dir": str(output_dir), "config": asdict(config)}
    job |= {"strategy": strategy, "all_images": all_images, "overwrite": overwrite}
    return read_result(Path(output_dir), was_finished=run_in_processes(job, processes))


def _check_processes(processes: int, data: ImageSource) -> None:
    from synthset.classifiers.distributed import world_size

    if processes < 1:
        raise UsageError(f"Expected at least one process, got {processes}.")
    if processes > 1 and isinstance(data, ImageSet):
        raise UsageError(
            f"Expected the path of the images for {processes} processes, got an ImageSet, which they cannot all open."
        )
    if processes > 1 and (started := world_size()) > 1:
        raise UsageError(f"A launcher started {started} processes, and {processes} were asked for. Leave one out.")
