"""Fakes to test with: for Synthset's own tests, and for those of code that builds on it.

from synthset.testing import FakeGenerator

synthset.create(["cat", "dog"], "pets", generator=FakeGenerator())
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from synthset.executors.base import Item, Result
from synthset.generators.base import GeneratedImage, GenerationConfig, ImageRequest, Status

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


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
class FakeEncoder:
    """Gives each image and each text a unit vector of its own, in no direction that means anything.

    Attributes:
        dimension: d, of its vectors.
        name: how to speak of it; another name has other vectors.
        logit_scale: factor of cosines before a softmax.
        batches: how many images or texts each call so far was about.
    """

    dimension: int = 16
    name: str = "fake"
    logit_scale: float = 100.0
    batches: list[int] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """Of the name and the dimension, on which all its vectors depend."""
        return hashlib.sha256(f"{self.name} {self.dimension}".encode()).hexdigest()

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """float32 (n, d) unit rows; equal pixels have equal ones."""
        return self._rows([f"image {image.mode} {image.size}".encode() + image.tobytes() for image in images])

    def texts(self, texts: Sequence[str]) -> Tensor:
        """float32 (n, d) unit rows; equal texts have equal ones."""
        return self._rows([f"text {text}".encode() for text in texts])

    def _rows(self, contents: Sequence[bytes]) -> Tensor:
        import torch

        self.batches.append(len(contents))
        rows = np.empty((len(contents), self.dimension), np.float32)
        for row, content in zip(rows, contents, strict=True):
            digest = hashlib.sha256(self.fingerprint.encode() + content).digest()
            direction = np.random.default_rng(list(digest)).normal(size=self.dimension)
            row[:] = direction / np.linalg.norm(direction)
        return torch.from_numpy(rows)


@dataclass
class ShuffledExecutor:
    """Works in an order of its own, as many machines would; nothing may depend on the order."""

    seed: int = 0

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `work(item)` for each item, shuffled."""
        shuffled = list(items)
        random.Random(self.seed).shuffle(shuffled)
        return map(work, shuffled)
