"""How a classifier is trained: every option of `train`, declared once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from synthset.core.options import Option, check_options

PRECISIONS = ("auto", "float32", "bf16")
FINER = "Finer points of training"
START, TEACHER = "Weights to begin with", "Teacher"
RECIPE = "Recipe: what it says, unless one of these says otherwise"


def recipes() -> Iterable[str]:
    """Names of the recipes."""
    from synthset.classifiers.recipes import RECIPES

    return RECIPES


def _trackers() -> Iterable[str]:
    from synthset.classifiers.tracking import TRACKERS

    return TRACKERS


def _optimizers() -> Iterable[str]:
    from synthset.classifiers.optimizers import OPTIMIZERS

    return OPTIMIZERS


def _architectures() -> Iterable[str]:
    from synthset.classifiers.architectures import ARCHITECTURES

    return ARCHITECTURES


def _normalisations() -> Iterable[str]:
    from synthset.classifiers.models import NORMALISATIONS

    return NORMALISATIONS


def augmentations() -> Iterable[str]:
    """Names of the augmentations, from a module that takes a second to load."""
    from synthset.classifiers.augment import AUGMENTATIONS

    return AUGMENTATIONS


@dataclass(frozen=True)
class TrainConfig:
    """How to train; what is None is chosen by the recipe."""

    architecture: Annotated[str | None, Option(flag="model", listed=_architectures, default="by the recipe")] = None
    """Architecture: {choices}, or any timm name, in any spelling. The recipe auto takes small_cnn for images of up to
    64 px, and resnet50 for others."""
    dataset: str | None = None
    """Known real set that `recipe` shipard2023 is for: it picks the weight decay."""
    weights: Annotated[str | None, Option(group=START, default="random ones")] = None
    """Weights to begin with: imagenet, for timm's usual ones; a .safetensors file with timm's names; or the folder of a
    trained model. A tag in the architecture's name, as in resnet50.a1_in1k, says them too."""
    freeze: Annotated[bool, Option(group=START)] = False
    """Training of the head alone, on what the weights to begin with make of the images."""
    layer_decay: Annotated[float, Option(group=START, above=0, at_most=1)] = 1.0
    """Factor by which each layer learns slower than the one after it, for `weights`."""
    teacher: Annotated[str | None, Option(group=TEACHER, default="none")] = None
    """Teacher whose probabilities are learned beside the labels: clip: and the name of a CLIP, or a model's folder."""
    teacher_share: Annotated[float, Option(group=TEACHER, above=0, at_most=1)] = 0.5
    """Share of the loss that is the teacher's."""
    teacher_temperature: Annotated[float, Option(group=TEACHER, above=0)] = 1.0
    """Temperature that the teacher's logits are divided by: above 1, its doubts are heard more."""
    recipe: Annotated[str, Option(choices=recipes, job=False)] = "auto"
    """Recipe of the training: {choices}."""
    epochs: Annotated[int | None, Option(group=RECIPE, at_least=1, default="by the recipe")] = None
    """Passes over the training images."""
    batch_size: Annotated[int | None, Option(group=RECIPE, at_least=1, default="by the recipe")] = None
    """Images a step."""
    optimizer: Annotated[str | None, Option(group=RECIPE, choices=_optimizers, default="by the recipe")] = None
    """Optimiser: {choices}."""
    learning_rate: Annotated[float | None, Option(group=RECIPE, above=0, default="by the recipe")] = None
    """Highest learning rate; it falls to zero along a cosine."""
    warmup_epochs: Annotated[float | None, Option(group=RECIPE, at_least=0, default="by the recipe")] = None
    """Epochs, or parts of one, in which the learning rate rises to its highest; half of all at most."""
    weight_decay: Annotated[float | None, Option(group=RECIPE, at_least=0, default="by the recipe")] = None
    """Weight decay."""
    decay_all: Annotated[bool | None, Option(group=RECIPE, negative="no-decay-all", default="by the recipe")] = None
    """Weight decay of biases and norms too."""
    ema_decay: Annotated[float | None, Option(group=RECIPE, at_least=0, below=1, default="by the recipe")] = None
    """Decay a step of the moving average of the weights, which is what is kept; 0 keeps the weights themselves."""
    label_smoothing: Annotated[float | None, Option(group=RECIPE, at_least=0, below=1, default="by the recipe")] = None
    """Label smoothing: probability that is spread over all classes."""
    augmentation: Annotated[str | None, Option(group=RECIPE, choices=augmentations, default="by the recipe")] = None
    """Augmentation of the training images: {choices}."""
    normalisation: Annotated[str | None, Option(group=RECIPE, choices=_normalisations, default="by the recipe")] = None
    """Normalisation of the pixels: {choices}."""
    image_size_px: Annotated[
        int | None, Option(flag="image-size", group=RECIPE, at_least=1, default="by the recipe")
    ] = None
    """Side in pixels of the images that the model sees."""
    small_images: Annotated[bool | None, Option(group=RECIPE, negative="no-small-images", default="by the recipe")] = (
        None
    )
    """Finer stem for images of up to 64 px; small_cnn is the same with and without."""
    conv_stem: Annotated[bool | None, Option(group=RECIPE, negative="no-conv-stem", default="by the recipe")] = None
    """Stem of 3×3 convolutions in place of patches (Xiao et al. 2021), of a ViT or ConvNeXt."""
    max_grad_norm: Annotated[float | None, Option(group=FINER, above=0, default="no limit")] = None
    """Norm that gradients are scaled down to."""
    antialias: Annotated[bool, Option(group=FINER, negative="no-antialias")] = True
    """Anti-aliasing where images are shrunk to the model's size."""
    validation_fraction: Annotated[float, Option(group=FINER, at_least=0, below=1)] = 0.1
    """Share of each class's images that is held back to choose the epoch by; with 0 all are learned from, the last
    epoch is kept, and nothing is known of the model until it is tested."""
    seed: int = 0
    """Seed of the initial weights, the held-back images and the order."""
    tracker: Annotated[tuple[str, ...], Option(choices=_trackers, default="none", job=False)] = ()
    """Trackers that are told of each epoch: {choices}."""
    device: Annotated[str, Option(job=False)] = "auto"
    """Device to train on: cpu, cuda, or auto, which is a GPU where there is one."""
    precision: Annotated[str, Option(group=FINER, choices=PRECISIONS)] = "auto"
    """Precision of the network: {choices}; auto is bf16 on a GPU and float32 on a CPU."""
    compile: Annotated[bool, Option(job=False)] = False
    """Compile the network first: it takes minutes, after which an epoch takes less time."""
    memory_bytes: Annotated[
        int | None, Option(flag="memory", at_least=0, per_unit=1e9, default="half of what is free", job=False)
    ] = None
    """Gigabytes for the decoded images; those that take more lie in a file."""

    def __post_init__(self) -> None:
        check_options(self)
