"""How a backbone is pre-trained: every option of `pretrain`, declared once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from synthset.classifiers.config import PRECISIONS
from synthset.core.errors import setting
from synthset.core.options import Option, check_options, expect
from synthset.pretraining.methods import METHODS

START = "Weights to begin with"
METHOD = "Method"
VIEWS = "Views: what the network sees of an image"
STEPS = "Passes and steps: what the method is usually trained by, unless one of these says otherwise"


def _optimizers() -> Iterable[str]:
    from synthset.classifiers.optimizers import OPTIMIZERS

    return OPTIMIZERS


@dataclass(frozen=True)
class PretrainConfig:
    """How to pre-train; what is None is as the method is usually trained."""

    method: Annotated[str, Option(choices=METHODS)] = "supervised"
    """What is learned: {choices}."""
    architecture: Annotated[str, Option()] = "resnet50"
    """Backbone: any architecture of `train`, which timm has too, in any spelling."""
    weights: Annotated[str | None, Option(flag="initial-weights", group=START, default="random ones")] = None
    """Weights to begin with: none, for random ones; imagenet, for timm's usual ones; a .safetensors file with timm's
    names; or a folder of a model of ours. The head is left out."""
    image_size_px: Annotated[int | None, Option(flag="image-size", at_least=8, default="as the images, up to 224")] = (
        None
    )
    """Side in pixels of the crops that are learned from."""
    small_images: Annotated[bool, Option(negative="no-small-images")] = False
    """Finer stem for images of up to 64 px; the weights to begin with must have it too."""
    conv_stem: Annotated[bool, Option(negative="no-conv-stem")] = False
    """Stem of 3×3 convolutions in place of patches (Xiao et al. 2021), of a ViT or ConvNeXt; the weights to begin with
    must have it too."""

    epochs: Annotated[int | None, Option(group=STEPS, at_least=1, default="200 of moco, 90 of supervised")] = None
    """Passes over the images; those that fill no last batch are left out of a pass."""
    batch_size: Annotated[int, Option(group=STEPS, at_least=2)] = 256
    """Images a step."""
    optimizer: Annotated[str, Option(group=STEPS, choices=_optimizers)] = "momentum"
    """Optimiser: {choices}."""
    learning_rate: Annotated[
        float | None, Option(group=STEPS, above=0, default="0.03 of moco, 0.1 of supervised, for 256 images a step")
    ] = None
    """Highest learning rate; it falls to zero along a cosine."""
    weight_decay: Annotated[float, Option(group=STEPS, at_least=0)] = 1e-4
    """Weight decay, of every weight."""
    warmup_epochs: Annotated[float | None, Option(group=STEPS, at_least=0, default="0 of moco, 5 of supervised")] = None
    """Epochs, or parts of one, in which the learning rate rises to its highest."""
    max_grad_norm: Annotated[float | None, Option(group=STEPS, above=0, default="no limit")] = None
    """Norm that gradients are scaled down to."""

    smallest_crop: Annotated[
        float | None, Option(group=VIEWS, above=0, at_most=1, default="0.2 of moco, 0.08 of supervised")
    ] = None
    """Smallest share of an image's area that a crop shows; the largest is all of it. Where a part of an image is no
    longer what the whole was, as of digits and letters, more is better."""
    mirror: Annotated[
        bool | None, Option(group=VIEWS, negative="no-mirror", default="unless the classes are digits or letters")
    ] = None
    """Half of the crops are mirrored."""

    label_smoothing: Annotated[float, Option(group=METHOD, at_least=0, below=1)] = 0.0
    """Of supervised: probability that is spread over all classes."""
    mixup: Annotated[float, Option(group=METHOD, at_least=0)] = 0.0
    """Of supervised: images mixed by a share from Beta(a, a) (Zhang et al. 2018); 0 mixes none."""
    cutmix: Annotated[float, Option(group=METHOD, at_least=0)] = 0.0
    """Of supervised: a rectangle of another image, whose share is from Beta(a, a) (Yun et al. 2019); 0 cuts none. With
    `mixup`, each step draws one of them."""
    randaugment: Annotated[float, Option(group=METHOD, at_least=0, at_most=10)] = 0.0
    """Of supervised: magnitude of the two operations of RandAugment that are drawn for each image (Cubuk et al. 2020);
    0 draws none, DeiT's is 9."""
    queue_size: Annotated[
        int | None, Option(group=METHOD, at_least=1, default="65,536, or half of the images if that is less")
    ] = None
    """Of moco: keys of earlier steps that are the negatives; a multiple of `batch_size`. One that holds more than a
    pass has an image's own older keys among its negatives."""
    key_momentum: Annotated[float, Option(group=METHOD, at_least=0, below=1)] = 0.999
    """Of moco: share of its weights that the encoder of keys keeps at each step."""
    temperature: Annotated[float, Option(group=METHOD, above=0)] = 0.2
    """Of moco: temperature that similarities are divided by."""
    projection_dimension: Annotated[int, Option(group=METHOD, at_least=2)] = 128
    """Of moco: numbers of a projection, which the head makes of the features."""
    norm_groups: Annotated[int, Option(group=METHOD, at_least=1)] = 8
    """Of moco: parts of a batch that batch norm looks at one by one, as on so many GPUs; else a query would know its
    key by the statistics that they share."""

    workers: Annotated[int, Option(at_least=0, default="one a core", job=False)] = 0
    """Threads that decode and crop."""
    seed: Annotated[int, Option(at_least=0, below=2**63)] = 0
    """Seed of the initial weights, the order and the crops."""
    device: Annotated[str, Option(job=False)] = "auto"
    """Device to train on: cpu, cuda, or auto, which is a GPU where there is one."""
    precision: Annotated[str, Option(choices=PRECISIONS)] = "auto"
    """Precision of the network: {choices}; auto is bf16 on a GPU and float32 on a CPU."""
    checkpoint_minutes: Annotated[float, Option(above=0, job=False)] = 5.0
    """Minutes between checkpoints, which a kill costs at most."""

    def __post_init__(self) -> None:
        check_options(self)
        default = PretrainConfig
        of: dict[str, tuple[str, ...]] = {"supervised": ("label_smoothing", "mixup", "cutmix", "randaugment")}
        of["moco"] = ("queue_size", "key_momentum", "temperature", "projection_dimension", "norm_groups")
        for method, names in of.items():
            for name in names if method != self.method else ():
                is_given = getattr(self, name) != getattr(default, name)
                expect(not is_given, f"{setting('method', method)} with {setting(name)}. Or leave it out")
        if self.method == "moco":
            batch = setting("batch_size", self.batch_size)
            expect(
                self.queue_size is None or self.queue_size % self.batch_size == 0,
                f"{setting('queue_size')} as a multiple of {batch}, got {self.queue_size}: whole batches of keys "
                "take the place of the oldest",
            )
            expect(
                self.batch_size % self.norm_groups == 0 and self.batch_size >= 2 * self.norm_groups,
                f"{setting('norm_groups')} that part {batch} into equal groups of two images or more, got "
                f"{self.norm_groups}",
            )
