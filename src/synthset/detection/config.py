"""How a detector is trained and tested: every option of `detect`, declared once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from synthset.classifiers.config import PRECISIONS
from synthset.core.errors import setting
from synthset.core.options import Option, check_options, expect

NETWORK, STEPS, SIZES = "Network", "Steps", "Sizes"
USUAL_BATCH, USUAL_RATE = 16, 0.02
_SET = re.compile(r"\d{4}-\w+")


@dataclass(frozen=True)
class Form:
    """How a backbone becomes a detector, in a line."""

    summary: str


FORMS = {
    "c4": Form("its last stage looks at each box, the stages before it at the image; for ResNets and small_cnn"),
    "fpn": Form("a feature pyramid over its stages, Lin et al. 2017; for any backbone of several resolutions"),
}


@dataclass(frozen=True)
class DetectConfig:
    """How to train a detector on Pascal VOC, by default as is usual with a ResNet-50."""

    train_sets: Annotated[
        tuple[str, ...] | None, Option(default="2007-trainval and 2012-trainval, as far as they are there")
    ] = None
    """Sets that are learned from, as year and name."""
    test_set: str = "2007-test"
    """Set that the detector is tested on; nothing else opens it."""

    architecture: Annotated[str | None, Option(group=NETWORK, default="of the model, or else resnet50")] = None
    """Backbone, in any spelling."""
    form: Annotated[str | None, Option(group=NETWORK, choices=FORMS, default="c4 where the backbone has it")] = None
    """Form of the Faster R-CNN: {choices}."""
    small_images: Annotated[bool, Option(group=NETWORK, negative="no-small-images")] = False
    """Finer stem of a random backbone; a model of ours has its own."""
    anchor_sizes_px: Annotated[
        tuple[int, ...], Option(flag="anchor-sizes", group=NETWORK, above=0, default="32 64 128 256 512")
    ] = (32, 64, 128, 256, 512)
    """Sides of the squares that boxes are sought around; fpn seeks each at a level of its own, the finest first."""

    boxes_per_image: Annotated[int, Option(group=STEPS, at_least=4)] = 512
    """Boxes of an image that the head learns from in a step, a quarter of them with objects at most."""
    iterations: Annotated[int, Option(group=STEPS, at_least=1)] = 24_000
    """Steps of the optimiser."""
    batch_size: Annotated[int, Option(group=STEPS, at_least=1)] = USUAL_BATCH
    """Images a step."""
    learning_rate: Annotated[float | None, Option(group=STEPS, above=0, default="0.02 for 16 images a step")] = None
    """Learning rate of stochastic gradient descent with momentum."""
    warmup_iterations: Annotated[int, Option(group=STEPS, at_least=0)] = 100
    """Steps in which the learning rate rises from a thousandth; half of all at most."""
    drops: Annotated[tuple[float, ...], Option(group=STEPS, above=0, below=1, default="3/4 and 11/12")] = (
        0.75,
        11 / 12,
    )
    """Shares of all steps after which the learning rate falls to a tenth."""
    weight_decay: Annotated[float, Option(group=STEPS, at_least=0)] = 1e-4
    """Weight decay, but of norms."""
    max_grad_norm: Annotated[float | None, Option(group=STEPS, above=0, default="no limit")] = None
    """Norm that gradients are scaled down to."""

    train_sides_px: Annotated[
        tuple[int, ...], Option(flag="train-sides", group=SIZES, at_least=32, default="480, 512, 544, … 800")
    ] = tuple(range(480, 801, 32))
    """Shorter sides in pixels that images are resized to, one drawn for each image."""
    test_side_px: Annotated[int, Option(flag="test-side", group=SIZES, at_least=32)] = 800
    """Shorter side of images in the test."""
    longest_side_px: Annotated[int, Option(flag="longest-side", group=SIZES, at_least=32)] = 1333
    """Longer side at most."""

    workers: Annotated[int, Option(at_least=0, default="one a core", job=False)] = 0
    """Threads that decode and resize."""
    seed: Annotated[int, Option(at_least=0, below=2**63)] = 0
    """Seed of the initial weights, the order, the sizes and the samples."""
    device: Annotated[str, Option(job=False)] = "auto"
    """Device to train on: cpu, cuda, or auto, which is a GPU where there is one."""
    precision: Annotated[str, Option(choices=PRECISIONS)] = "float32"
    """Precision of the network: {choices}; auto is bf16 on a GPU and float32 on a CPU."""
    checkpoint_minutes: Annotated[float, Option(above=0, job=False)] = 5.0
    """Minutes between checkpoints, which a kill costs at most."""

    def __post_init__(self) -> None:
        check_options(self)
        for field, names in (("train_sets", self.train_sets), ("test_set", (self.test_set,))):
            for name in names or ():
                what = f"{setting(field)} as year and set, e.g. 2007-trainval, got '{name[:40]}'"
                expect(_SET.fullmatch(name) is not None, what)
        expect(self.train_sets != (), f"{setting('train_sets')} with a set. Or leave it out")
        expect(
            self.test_set not in (self.train_sets or ()),
            f"{setting('test_set')} that is not learned from, got {self.test_set}",
        )
        for name in ("anchor_sizes_px", "train_sides_px"):
            expect(len(getattr(self, name)) > 0, f"{setting(name)} with a number, got none")
        expect(list(self.drops) == sorted(self.drops), f"{setting('drops')} in rising order, got {self.drops}")
        longest = max(*self.train_sides_px, self.test_side_px)
        expect(
            self.longest_side_px >= longest,
            f"{setting('longest_side_px')} of at least {longest}, the longest of the shorter sides, got "
            f"{self.longest_side_px}",
        )


def split_set(name: str) -> tuple[str, str]:
    """Year and name of a set.

    >>> split_set("2007-trainval")
    ('2007', 'trainval')
    """
    year, _, split = name.partition("-")
    return year, split


def rate_at(step: int, config: DetectConfig, highest: float) -> float:
    """The learning rate of a step, from 0: up along a line, then a tenth after each drop.

    >>> [rate_at(step, DetectConfig(), 1.0) for step in (0, 50, 100, 17_999, 18_000, 22_000)]
    [0.001, 0.5005, 1.0, 1.0, 0.1, 0.01]
    """
    warmup = min(config.warmup_iterations, config.iterations // 2)
    if step < warmup:
        return round(highest * (0.001 + 0.999 * step / warmup), 12)
    return round(highest * 0.1 ** sum(step >= round(share * config.iterations) for share in config.drops), 12)
