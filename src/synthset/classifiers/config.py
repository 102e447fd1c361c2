"""How a classifier is trained: every option of `train`, declared once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from synthset.core.options import Option, check_options

PRECISIONS = ("auto", "float32", "bf16")
FINER = "Finer points of training"


def _architectures() -> Iterable[str]:
    from synthset.classifiers.models import ARCHITECTURES

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
    """How to train; the defaults are the recipe of Shipard et al. 2023, section 5.1."""

    architecture: Annotated[str, Option(flag="model", listed=_architectures)] = "resnet50"
    """Architecture: {choices}, or any timm name, in any spelling."""
    dataset: str | None = None
    """Known real set that the recipe is for: it picks the weight decay."""
    epochs: Annotated[int, Option(at_least=1)] = 200
    """Passes over the training images."""
    batch_size: Annotated[int, Option(at_least=1)] = 128
    """Images a step."""
    learning_rate: Annotated[float, Option(above=0)] = 2e-4
    """Learning rate of AdamW at the start; it falls to zero along a cosine."""
    weight_decay: Annotated[
        float | None, Option(at_least=0, default="0.9; 0.3 for the dataset eurosat; 0.1 for MobileNetV3")
    ] = None
    """Weight decay of AdamW, on all weights."""
    label_smoothing: Annotated[float, Option(group=FINER, at_least=0, below=1)] = 0.0
    """Label smoothing: probability that is spread over all classes."""
    max_grad_norm: Annotated[float | None, Option(group=FINER, above=0, default="no limit")] = None
    """Norm that gradients are scaled down to."""
    augmentation: Annotated[str, Option(choices=augmentations)] = "standard"
    """Augmentation of the training images: {choices}."""
    normalisation: Annotated[str, Option(group=FINER, choices=_normalisations)] = "dataset"
    """Normalisation of the pixels: dataset, each channel over the training images; per_image, each image by itself."""
    image_size_px: Annotated[
        int | None, Option(flag="image-size", at_least=1, default="that of the images, at most 224")
    ] = None
    """Side in pixels of the images that the model sees."""
    small_images: bool = False
    """Finer stem for images of up to 64 px; the paper's recipes go without."""
    antialias: Annotated[bool, Option(group=FINER, negative="no-antialias")] = True
    """Anti-aliasing where images are shrunk to the model's size."""
    validation_fraction: Annotated[float, Option(group=FINER, above=0, below=1)] = 0.1
    """Share of each class's images that is held back to choose the epoch by."""
    seed: int = 0
    """Seed of the initial weights, the held-back images and the order."""
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
