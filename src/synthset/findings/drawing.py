"""Work that makes images: a drawing, and a filter that judges one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from synthset.create.config import STYLE_OPTIONS, CreateConfig
from synthset.findings.work import Cost, Lab, Work
from synthset.prompts.strategies import PromptStyle, readers, resolve_strategies

Options = tuple[tuple[str, Any], ...]
"""Fields of a config and their values, in order of their names."""


def options(**values: Any) -> Options:
    """Options that a declaration can hold."""
    return tuple(sorted(values.items()))


def read_by(strategies: Sequence[str], given: Mapping[str, Any]) -> Options:
    """Options as a drawing of these strategies can have them: without wording that none of them reads."""
    wording = (*STYLE_OPTIONS, "sentences")
    return options(**{name: value for name, value in given.items() if name not in wording or readers(name, strategies)})


@dataclass(frozen=True)
class Draw(Work):
    """A dataset.

    Attributes:
        classes: the k names.
        strategies: one or several, or a combination.
        seed: of the run.
        options: further fields of CreateConfig, and of its PromptStyle.
        phrases: of classes that are not called by their names.
    """

    kind = "draw"
    classes: tuple[str, ...]
    strategies: tuple[str, ...]
    images_per_class: int
    seed: int
    options: Options = ()
    phrases: tuple[tuple[str, str], ...] = ()

    @cached_property
    def config(self) -> CreateConfig:
        """As `create` takes it."""
        given = dict(self.options)
        wording = {name: given.pop(name) for name in list(given) if name in STYLE_OPTIONS}
        style = PromptStyle(**wording, phrases=dict(self.phrases))
        return CreateConfig(
            strategies=self.strategies,
            images_per_class=self.images_per_class,
            seed=self.seed,
            style=style,
            **given,
        )

    @property
    def num_classes(self) -> int:
        """Number k of classes."""
        return len(self.classes)

    def count_of(self, strategy: str | None = None) -> int:
        """Images of a strategy or combination, or of all."""
        runs = self.config.runs() if strategy is None else resolve_strategies((strategy,), self.images_per_class)
        return sum(run.images_per_class for run in runs) * self.num_classes

    @property
    def title(self) -> str:
        """The strategies, and what of the options people look for."""
        given = dict(self.options)
        scale = f" at {given['guidance_scale']:g}" if isinstance(given.get("guidance_scale"), int | float) else ""
        shots = f" {given['shots']} shots" if "shots" in given else ""
        return f"{' '.join(self.strategies)}{scale}{shots}{' clarified' if self.phrases else ''}"

    @property
    def cost(self) -> Cost:
        """Each step has a row with the prompt and one without, but for a guidance of 1."""
        rows = 1 if dict(self.options).get("guidance_scale") == 1 else 2
        return Cost(unet_rows=self.count_of() * self.config.steps_range[1] * rows)

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Draw what is missing."""
        from synthset.create.stage import create

        made = create(self.classes, home / "dataset", self.config)
        return {"images": made.accounting.ok, "requested": made.accounting.requested}


@dataclass(frozen=True)
class Filter(Work):
    """A filter run on a drawing; work that counts its verdicts names it."""

    kind = "filter"
    changes_what_it_needs = True  # its verdicts lie beside the images
    of: Draw
    methods: tuple[str, ...] = ("clip",)
    options: Options = ()

    @property
    def title(self) -> str:
        """Of which drawing."""
        return f"{' '.join(self.methods)} filter of {self.of.title}"

    @property
    def cost(self) -> Cost:
        """Each image is looked at once."""
        return Cost(encoded_images=self.of.count_of())

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Judge the images; the verdicts lie beside them."""
        from synthset.filters import FilterConfig, filter_dataset

        config = FilterConfig(**dict(self.options))
        result = filter_dataset(lab.home(self.of) / "dataset", list(self.methods), config)
        return {"kept": float(result.keep.mean())}
