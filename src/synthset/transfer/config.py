"""How a backbone is judged on real images: every option of `transfer`, declared once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from synthset.classifiers.config import TrainConfig
from synthset.core.errors import setting
from synthset.core.options import Nested, Option, check_options, expect

WAYS = "Ways of transfer"


@dataclass(frozen=True)
class Mode:
    """A way of transfer, in a few words."""

    summary: str


MODES = {
    "finetune": Mode("all weights learn, from those of the model on"),
    "linear": Mode("logistic regression on its frozen features"),
    "knn": Mode("vote of the nearest of its features, by cosine"),
}
_OWN = ("architecture", "seed", "weights", "freeze", "learning_rate", "validation_fraction", "tracker", "dataset")
_TEACHER = ("teacher", "teacher_share", "teacher_temperature")
SEEN_BY_ALL = ("image_size_px", "small_images", "conv_stem", "antialias", "normalisation", "device", "memory_bytes")


@dataclass(frozen=True)
class TransferConfig:
    """What is learned on top of a model, and from how many images; all choices are made on held-out training images."""

    mode: Annotated[str, Option(choices=MODES)] = "finetune"
    """Way of transfer: {choices}."""
    shots: Annotated[int | None, Option(at_least=1, default="all images")] = None
    """Training images of each class."""
    seeds: Annotated[int, Option(at_least=1, job=False)] = 1
    """Number of seeds: 0, 1, …; each draws shots, held-out images, order and head of its own."""
    first_seed: Annotated[int, Option(at_least=0, job=False)] = 0
    """First of the seeds."""
    architecture: Annotated[str | None, Option(default="that of the folder")] = None
    """Architecture, where the model is random, imagenet or a file of weights."""
    held_out_fraction: Annotated[float, Option(group=WAYS, above=0, below=1)] = 0.2
    """Share of each class's training images that learning rate, penalty or neighbours are chosen on; the model that is
    tested learns from these too."""
    learning_rates: Annotated[
        tuple[float, ...], Option(group=WAYS, above=0, default="the recipe's, a third of it, and three times it")
    ] = ()
    """Of finetune: highest learning rates, of which one is chosen."""
    neighbours: Annotated[tuple[int, ...], Option(group=WAYS, at_least=1)] = (1, 5, 10, 20, 50, 200)
    """Of knn: numbers of neighbours, of which one is chosen."""
    training: Annotated[TrainConfig, Nested(without=(*_OWN, *_TEACHER), job="training")] = field(
        default_factory=TrainConfig
    )

    def __post_init__(self) -> None:
        check_options(self)
        for name in ("learning_rates", "neighbours"):
            values = getattr(self, name)
            expect(len(set(values)) == len(values), f"each of {setting(name)} once, got one of them twice")
        expect(bool(self.neighbours), f"at least one number of {setting('neighbours')}")
        default = TransferConfig if self.mode != "finetune" else None
        for name, mode in (("learning_rates", "finetune"), ("neighbours", "knn")):
            is_given = getattr(self, name) != getattr(TransferConfig, name)
            expect(self.mode == mode or not is_given, f"{setting('mode', mode)} with {setting(name)}. Or leave it out")
        if default is not None:
            plain = TrainConfig()
            for name in vars(plain):
                is_given = getattr(self.training, name) != getattr(plain, name) and name not in SEEN_BY_ALL
                expect(not is_given, f"{setting('mode', 'finetune')} with {setting(name)}. Or leave it out")
