"""Photographs with their objects as a detector is given them: resized, some mirrored, decoded by threads ahead of it.

What a step is given follows from (seed, step) alone, so that a training goes on at any step as if it had never stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from synthset.classifiers.models import ModelConfig, normalise
from synthset.core.errors import DataError
from synthset.core.seeds import derive_seed
from synthset.detection.config import DetectConfig
from synthset.detection.voc import AnnotatedImage
from synthset.images.decoding import decode

AHEAD = 3  # steps whose images are decoded while one is learned from


@dataclass(frozen=True, eq=False)
class Sample:
    """An image as the network sees it.

    Attributes:
        pixels: uint8 (3, h, w).
        boxes: float32 (n, 4) in its pixels.
        labels: int64 (n,), from 0.
    """

    pixels: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def resized(image: AnnotatedImage, side_px: int, longest_px: int, mirrored: bool = False) -> Sample:
    """An image whose shorter side is `side_px`, or less where the longer one would pass its limit; bilinear.

    Raises:
        DataError: an image that cannot be read, or that is of another size than it was.
    """
    try:
        photograph = decode(image.file.read_bytes())
    except (DataError, OSError) as error:
        raise DataError(f"Expected the image '{image.file}', it does not read ({error}). Restore it.") from error
    if photograph.size != (image.width, image.height):
        raise DataError(
            f"Expected {image.width}×{image.height} pixels in '{image.file}', got "
            f"{photograph.width}×{photograph.height}: it was changed, or is stored turned. Restore it."
        )
    factor = min(side_px / min(photograph.size), longest_px / max(photograph.size))
    width, height = (max(1, round(side * factor)) for side in photograph.size)
    photograph = photograph.resize((width, height), Image.Resampling.BILINEAR)
    boxes = image.boxes * np.array([width / image.width, height / image.height] * 2, np.float32)
    pixels = np.asarray(photograph).transpose(2, 0, 1)
    if mirrored:
        pixels, boxes = (
            pixels[:, :, ::-1],
            np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1),
        )
    return Sample(np.ascontiguousarray(pixels), boxes, image.labels)


class Photographs:
    """The images of a training, in an order of their own each pass, one pass after another without a break."""

    def __init__(self, images: Sequence[AnnotatedImage], config: DetectConfig) -> None:
        self.images, self.config = images, config
        self._order = lru_cache(maxsize=2)(self._order_of)

    def rows(self, step: int) -> list[int]:
        """The images of a step."""
        size, n = self.config.batch_size, len(self.images)
        return [int(self._order(place // n)[place % n]) for place in range(step * size, (step + 1) * size)]

    def batches(self, first: int, last: int) -> Iterator[list[Sample]]:
        """The batches of steps first..last-1."""
        jobs = (self._jobs(step) for step in range(first, last))
        yield from ahead(jobs, self.config.workers)

    def _order_of(self, epoch: int) -> np.ndarray:
        return np.random.default_rng(derive_seed(self.config.seed, "order", epoch)).permutation(len(self.images))

    def _jobs(self, step: int) -> list[Callable[[], Sample]]:
        draws, sides = np.random.default_rng(derive_seed(self.config.seed, "sizes", step)), self.config.train_sides_px
        jobs: list[Callable[[], Sample]] = []
        for row in self.rows(step):
            image, side, mirrored = self.images[row], sides[draws.integers(len(sides))], bool(draws.random() < 0.5)
            jobs.append(
                lambda image=image, side=side, mirrored=mirrored: resized(
                    image, side, self.config.longest_side_px, mirrored
                )
            )
        return jobs


def ahead(batches: Iterator[list[Callable[[], Sample]]], workers: int) -> Iterator[list[Sample]]:
    """What batches of calls give, in order, made by threads before it is asked for."""
    with ThreadPoolExecutor(workers or None, "photographs") as pool:
        waiting = deque()
        try:
            for batch in batches:
                waiting.append([pool.submit(job) for job in batch])
                if len(waiting) > AHEAD:
                    yield [task.result() for task in waiting.popleft()]
            while waiting:
                yield [task.result() for task in waiting.popleft()]
        finally:
            for tasks in waiting:
                for task in tasks:
                    task.cancel()


def as_network_sees(samples: Sequence[Sample], model: ModelConfig, device: torch.device) -> list[Tensor]:
    """Normalised float32 (3, h, w) on a device."""
    return [
        normalise(torch.from_numpy(one.pixels).to(device, non_blocking=True)[None].float() / 255, model)[0]
        for one in samples
    ]


def targets_of(samples: Sequence[Sample], device: torch.device) -> list[dict[str, Tensor]]:
    """Boxes and labels as torchvision's detectors want them: 0 is the background."""
    return [
        {
            "boxes": torch.from_numpy(np.ascontiguousarray(one.boxes)).to(device),
            "labels": torch.from_numpy(one.labels + 1).to(device),
        }
        for one in samples
    ]
