"""What a comparison varies, and what it keeps: every option of `compare`, declared once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

from synthset.classifiers.config import TrainConfig
from synthset.core.errors import setting
from synthset.core.options import Nested, Option, check_options, expect

CURVE = "Learning curve"


def _architectures() -> Iterable[str]:
    from synthset.classifiers.architectures import ARCHITECTURES

    return ARCHITECTURES


@dataclass(frozen=True)
class CompareConfig:
    """What is compared, and how each classifier is trained."""

    strategies: Annotated[tuple[str, ...], Option(flag="strategy", default="all images of each dataset")] = ()
    """Strategies or combinations of each dataset that are compared; the first is what the others are held against."""
    architectures: Annotated[tuple[str, ...], Option(flag="model", listed=_architectures)] = ("small_cnn",)
    """Architectures: {choices}, or any timm name."""
    seeds: Annotated[int, Option(at_least=1)] = 3
    """Number of seeds of the training: 0, 1, …"""
    equal_budget: Annotated[bool, Option(negative="no-equal-budget")] = True
    """Rows of each with as few images a class as the smallest has."""
    images_per_class: Annotated[tuple[int, ...], Option(group=CURVE, at_least=2, default="no curve")] = ()
    """Numbers of images a class, e.g. 10 20 50: a learning curve over them with its forecast. All images come too."""
    forecast: Annotated[tuple[int, ...], Option(group=CURVE, at_least=1, default="as many again, and three times")] = ()
    """Further images a class that the forecast is for."""
    grow: Annotated[int | None, Option(group=CURVE, at_least=1, default="none")] = None
    """Further images, taken from those that the smallest `images_per_class` leaves over: given to the classes that
    the held-back images confuse, and the same number to all alike."""
    workers: Annotated[int | None, Option(at_least=1, job=False, default="one a core for small images on a CPU")] = None
    """Processes that train, a classifier at a time each."""
    training: Annotated[TrainConfig, Nested(without=("architecture", "seed"), job="training")] = field(
        default_factory=TrainConfig
    )

    def __post_init__(self) -> None:
        check_options(self)
        expect(bool(self.architectures), "at least one architecture")
        for name in ("strategies", "architectures", "images_per_class"):
            values = getattr(self, name)
            expect(len(set(values)) == len(values), f"each of {name.replace('_', ' ')} once, got one of them twice")
        needs = self.forecast or self.grow is not None
        named = setting("forecast") if self.forecast else setting("grow")
        expect(bool(self.images_per_class) or not needs, f"{setting('images_per_class')} with {named}")
        expect(
            self.grow is None or self.training.validation_fraction > 0,
            f"{setting('validation_fraction')} above 0 with {setting('grow')}, which asks the held-back images",
        )
