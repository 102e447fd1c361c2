"""A few images of a class by another phrase, drawn as the dataset was: the same model, scales and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from synthset.core.errors import DataError, ModelError, UsageError
from synthset.dataset.reader import Dataset
from synthset.dataset.records import Request
from synthset.images.decoding import encode, resize
from synthset.prompts.classes import check_phrase
from synthset.prompts.prompt_augmentation import Augmentation
from synthset.prompts.strategies import Guidance, PromptStyle, resolve_strategies
from synthset.review.work import Work

if TYPE_CHECKING:
    from synthset.generators.base import Generator

COUNT = 4
_AT_ONCE = 2  # they are seen, and can be stopped, after so many


@dataclass(frozen=True)
class Preview:
    """An image that was drawn, beside the one of the dataset with the same noise.

    Attributes:
        row: of the image in the dataset.
        file: PNG; empty where none came out.
        reason: why, then.
    """

    row: int
    prompt: str
    file: bytes
    reason: str = ""


class Previews:
    """Draws, one class at a time, in the background.

    Args:
        load: loads the generator that drew the dataset; it stays.
    """

    def __init__(self, dataset: Dataset, load: Callable[[], Generator]) -> None:
        self._dataset, self._load = dataset, load
        self._generator: Generator | None = None
        self.work = Work()
        self.class_name = self.phrase = ""
        self.drawn: tuple[Preview, ...] = ()

    def start(self, class_name: str, phrase: str, strategy: str) -> bool:
        """Begin to draw; False where another class is being drawn.

        Raises:
            UsageError: a phrase that cannot be, or a strategy whose prompts have no phrase.
            DataError: no images of that class and strategy, of which to take noise and scale.
        """
        phrase = check_phrase(class_name, phrase.strip() or class_name)
        rows, requests = rephrased(self._dataset, class_name, phrase, strategy)
        task = partial(self._draw, class_name, phrase, rows, requests)
        return self.work.start(task)

    def _draw(self, class_name: str, phrase: str, rows: Sequence[int], requests: Sequence[Request]) -> None:
        self.class_name, self.phrase, self.drawn = class_name, phrase, ()
        if self._generator is None:
            self.work.tell("loading the generator", 0, len(requests))
            self._generator = self._load()
        generate = _drawing(self._generator, self._dataset, requests)
        for done in range(0, len(requests), _AT_ONCE):
            self.work.tell("drawing", done, len(requests))
            some = requests[done : done + _AT_ONCE]
            for row, request, image in zip(rows[done:], some, generate(some), strict=False):
                file = b"" if image.pixels is None else encode(self._stored(image.pixels))
                self.drawn = (*self.drawn, Preview(row, request.prompt, file, image.reason))
        self.work.tell("drawing", len(requests), len(requests))

    def _stored(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels at the size that images of the dataset are stored in."""
        images = self._dataset.manifest["job"].get("images", {})
        if not images.get("resize_px"):
            return pixels
        return np.asarray(resize(Image.fromarray(pixels), images["resize_px"], images.get("antialias", True)))


def rephrased(dataset: Dataset, class_name: str, phrase: str, strategy: str) -> tuple[list[int], list[Request]]:
    """The first images of a class and strategy, and their requests with another phrase. Raises as `Previews.start`."""
    if dataset.merged is not None:
        raise UsageError(
            f"Expected a dataset that was drawn for previews, '{dataset.folder}' was merged. Review the one that the "
            "images are from."
        )
    rows = dataset.drawn_rows
    names = zip(rows.column("class_name").to_pylist(), rows.column("strategy").to_pylist(), strict=True)
    chosen = [row for row, (one, other) in enumerate(names) if (one, other) == (class_name, strategy)][:COUNT]
    if not chosen:
        raise DataError(f"Expected images of '{class_name}' by {strategy}, there are none. Choose another strategy.")
    style = _style(dataset.manifest["job"].get("prompts", {}))
    style = replace(style, phrases={**style.phrases_by_class(), class_name: phrase})
    guidance = Guidance.parse(dataset.manifest["job"]["strategies"][strategy])
    (run,) = resolve_strategies([strategy], 1, style, guidance)
    plain = strategy.partition("@")[0]
    if plain.startswith(("language_enhancement", "interpolate")):
        raise UsageError(f"Expected a strategy whose prompts have the phrase, {strategy} has none. Choose another.")
    requests = [
        replace(request, class_name=class_name, prompt=run.prompt(class_name, request.index))
        for request in dataset.requests(chosen)
    ]
    return chosen, requests


def _style(recorded: Mapping[str, Any]) -> PromptStyle:
    """The style of a job."""
    values = {name: _plain(value) for name, value in recorded.items()}
    if isinstance(words := values.get("augmentation"), Mapping):
        values["augmentation"] = Augmentation(**{name: _plain(value) for name, value in words.items()})
    return PromptStyle(**values)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _drawing(generator: Generator, dataset: Dataset, requests: Sequence[Request]) -> Callable[..., Any]:
    """How these requests are drawn, with the real images that they begin at."""
    from synthset.generators.base import DrawsFromImages

    if not any(request.initial_image or request.condition_images for request in requests):
        return generator.generate
    if not isinstance(generator, DrawsFromImages):
        raise ModelError(f"Expected a generator that begins at real images, '{generator.config.model}' does not.")
    return partial(generator.generate_from, initial_images=dataset.initial_images())
