"""An estimate of a run from a short measured calibration: time, disk, money. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from synthset.create.config import CreateConfig
from synthset.create.storage import encode_image
from synthset.dataset.records import Request
from synthset.generators.base import GeneratedImage, Generator

PLAN_BYTES = 25  # of a request in plan.parquet and, beside the image, in its shard: seeds and hashes do not shrink
ROW_BYTES = 75
CALIBRATION_SECONDS = 8.0  # that drawing takes for the sake of an estimate, as far as a batch can be foreseen
FIRST_BATCH, GROWTH = 2, 4  # images of the first batch that is timed, and how many times as many the next has


@dataclass(frozen=True)
class Estimate:
    """Costs of a run of `images` in `files` shards, on one device like the one that was measured.

    Of the images, `copied` are not drawn.
    An image takes `seconds_per_image` of one worker to draw, and `bytes_per_image` with its row.
    """

    images: int
    seconds_per_image: float
    bytes_per_image: float
    files: int
    copied: int = 0

    @property
    def seconds(self) -> float:
        """Time of one worker; n workers take the n-th part."""
        return (self.images - self.copied) * self.seconds_per_image

    @property
    def device_hours(self) -> float:
        """Hours of all workers together."""
        return self.seconds / 3600

    @property
    def disk_bytes(self) -> float:
        """Size of the whole dataset."""
        return self.images * (self.bytes_per_image + PLAN_BYTES)

    def cost(self, price_per_hour: float) -> float:
        """Price of the device hours, in the currency of an hour's."""
        return self.device_hours * price_per_hour


def estimate_run(
    sample: Sequence[Request], total: int, generator: Generator, config: CreateConfig, copied: int = 0
) -> Estimate:
    """Draw and encode a sample, and reckon with `total` images taking as much each, of which some are copied.

    Batches grow to the whole sample while the next is foreseen to be done in CALIBRATION_SECONDS: on a slow device few
    images are drawn, and what a larger batch would save there is not known.
    """
    images, seconds = _time_batches(sample, generator)
    sizes = [len(encode_image(image.pixels, config)[0]) for image in images if image.pixels is not None]
    return Estimate(total, seconds, sum(sizes) / max(1, len(sizes)) + ROW_BYTES, -(-total // config.shard_size), copied)


def _time_batches(sample: Sequence[Request], generator: Generator) -> tuple[list[GeneratedImage], float]:
    """The images of all batches, and the seconds of an image in the largest one."""
    begun = time.monotonic()
    images, count, seconds = list(generator.generate(sample[:1])), 0, 0.0  # which pays for what is set up once
    while count < len(sample):
        count = min(count * GROWTH or FIRST_BATCH, len(sample))
        start = time.monotonic()
        images += generator.generate([sample[i * len(sample) // count] for i in range(count)])  # of all strategies
        seconds = time.monotonic() - start
        if time.monotonic() - begun + GROWTH * seconds > CALIBRATION_SECONDS:
            break
    return images, seconds / max(1, count)
