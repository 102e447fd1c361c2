"""Fakes to test with: for Synthset's own tests, and for those of code that builds on it.

from synthset.testing import FakeGenerator

synthset.create(["cat", "dog"], "pets", generator=FakeGenerator())
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from synthset.executors.base import Item, Result
from synthset.generators.base import GeneratedImage, GenerationConfig, ImageRequest, Status


@dataclass
class FakeGenerator:
    """Draws noise that depends on each request alone, as fast as arrays can be filled.

    Attributes:
        size_px: side of the images.
        status: what becomes of a request; everything is ok by default.
        preferred_batch_size: requests that `create` passes at once.
        batches: the requests of every call so far.
    """

    size_px: int = 8
    status: Callable[[ImageRequest], Status] = lambda request: "ok"
    preferred_batch_size: int = 16
    batches: list[list[ImageRequest]] = field(default_factory=list)

    @property
    def config(self) -> GenerationConfig:
        """A config like that of a real model."""
        return GenerationConfig("fake", None, "0" * 64, "ddim", 1, self.size_px, self.size_px, "float32")

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """One image of noise a request, uint8 (size_px, size_px, 3)."""
        self.batches.append(list(requests))
        return [self._draw(request) for request in requests]

    def _draw(self, request: ImageRequest) -> GeneratedImage:
        status = self.status(request)
        if status != "ok":
            return GeneratedImage(None, status, f"the test asked for {status}")
        words = f"{request.prompt}|{request.negative_prompt}|{request.guidance_scale}|{request.seed}"
        rng = np.random.default_rng(list(words.encode()))
        return GeneratedImage(rng.integers(0, 256, (self.size_px, self.size_px, 3), np.uint8), "ok")


@dataclass
class ShuffledExecutor:
    """Works in an order of its own, as many machines would; nothing may depend on the order."""

    seed: int = 0

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `work(item)` for each item, shuffled."""
        shuffled = list(items)
        random.Random(self.seed).shuffle(shuffled)
        return map(work, shuffled)
