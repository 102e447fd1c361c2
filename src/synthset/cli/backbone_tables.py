"""What the commands about backbones print: pre-training, transfer, detection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.tables import say
from synthset.core.errors import some
from synthset.core.progress import duration

if TYPE_CHECKING:
    from synthset.images.imageset import ImageSet
    from synthset.pretraining.settings import Settings
    from synthset.pretraining.stage import PretrainResult


@shows("settings", is_result=False)
def print_pretrain_settings(settings: Settings, images: ImageSet) -> None:
    """What is learned from, and how."""
    classes = f" in {len(images.class_names):,} classes" if settings.method == "supervised" else ""
    say(f"{len(images):,} images of {images.name}{classes}, crops of {settings.image_size_px} px")
    if settings.method == "supervised":
        say(f"classes: {some(images.class_names, 10)}")
    say(
        f"{settings.method} of {settings.architecture}: {settings.epochs:,} passes of "
        f"{len(images) // settings.batch_size:,} steps of {settings.batch_size}, {settings.optimizer} at "
        f"{settings.learning_rate:g}"
    )


@shows("pretrain")
def print_pretrain(result: PretrainResult) -> None:
    """How the loss went, and where the backbone lies."""
    first, last = result.history[0], result.history[-1]
    spent = "was finished before" if result.was_finished else f"took {duration(result.seconds)}"
    say(f"{len(result.history):,} passes: loss {first.train_loss:.3f} at first, {last.train_loss:.3f} at last; {spent}")
    say(f"backbone  {result.folder}")
    if seen := result.backbone.seen:
        say(f"It learned from other images too: {seen}.")
