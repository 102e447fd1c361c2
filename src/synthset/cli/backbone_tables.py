"""What the commands about backbones print: pre-training, transfer, detection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.printing import say
from synthset.core.errors import some
from synthset.core.progress import duration

if TYPE_CHECKING:
    from synthset.detection.stage import DetectResult, DetectSettings
    from synthset.detection.voc import DetectionSet
    from synthset.images.imageset import ImageSet
    from synthset.pretraining.dry_run import PretrainPlan
    from synthset.pretraining.settings import Settings
    from synthset.pretraining.stage import PretrainResult

NO_COCO = "torchmetrics and faster-coco-eval are not installed, see pip install 'synthset[detection]'"


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


@shows("plan")
def print_pretrain_plan(plan: PretrainPlan) -> None:
    """How many steps there would be, and how long they take here."""
    say(f"{plan.num_steps:,} steps in all")
    say(f"About {duration(max(1, plan.seconds))} on this machine's {plan.device}. Nothing was written.")


@shows("pretrain")
def print_pretrain(result: PretrainResult) -> None:
    """How the loss went, and where the backbone lies."""
    first, last = result.history[0], result.history[-1]
    spent = "was finished before" if result.was_finished else f"took {duration(result.seconds)}"
    say(f"{len(result.history):,} passes: loss {first.train_loss:.3f} at first, {last.train_loss:.3f} at last; {spent}")
    say(f"backbone  {result.folder}")
    if seen := result.backbone.seen:
        say(f"It learned from other images too: {seen}.")


@shows("settings", is_result=False)
def print_detect_settings(settings: DetectSettings, images: DetectionSet) -> None:
    """What a detector learns from, and how."""
    objects = sum(len(image.labels) for image in images.images)
    say(f"{len(images):,} photographs of {images.name} with {objects:,} objects of {len(images.class_names):,} classes")
    say(
        f"Faster R-CNN ({settings.form}) over {settings.architecture}: {settings.iterations:,} steps of "
        f"{settings.batch_size}, SGD at {settings.learning_rate:g}; then a test on VOC {settings.test_set}"
    )


@shows("detect")
def print_detect(result: DetectResult) -> None:
    """Average precision on the test set, by class too, and where the detector lies."""
    scores, folder = result.scores, result.folder
    say(f"{'class':20}  objects   AP50 (VOC 2007)  AP50 (all points)")
    for one in scores.classes:
        say(f"{one.class_name:20.20}  {one.num_objects:7,}  {_share(one.at_eleven):>16}  {_share(one.area):>17}")
    say(f"{'mean':20}  {scores.num_objects:7,}  {scores.at_eleven:16.1%}  {scores.area:17.1%}")
    say(f"on {scores.num_images:,} photographs of {scores.name}, {scores.difficult:,} difficult objects left out")
    if scores.coco is None:
        say(f"COCO's average precision was not computed: {NO_COCO}")
    else:
        say(f"COCO: AP {scores.coco.ap:.1%}, AP50 {scores.coco.ap50:.1%}, AP75 {scores.coco.ap75:.1%}")
    spent = "was finished before" if result.was_finished else f"took {duration(result.seconds)} of training"
    say(f"loss {result.history[0].train_loss:.3f} at first, {result.history[-1].train_loss:.3f} at last; {spent}")
    say(f"detector  {folder}\npicture   {folder / 'detections.png'}")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
