"""An estimate of a run from a short measured calibration: time, disk, money. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from synthset.create.config import CreateConfig
from synthset.create.storage import encode_image
from synthset.dataset.records import Request
from synthset.generators.base import Generator

PLAN_BYTES = 25  # of a request in plan.parquet and, beside the image, in its shard: seeds and hashes do not shrink
ROW_BYTES = 75


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
    """Draw and encode a sample, and reckon with `total` images taking as much each, of which some are copied."""
    generator.generate(sample[:1])  # the first image pays for what is set up once
    start = time.monotonic()
    images = generator.generate(sample)
    seconds = (time.monotonic() - start) / len(sample)
    sizes = [len(encode_image(image.pixels, config)[0]) for image in images if image.pixels is not None]
    return Estimate(total, seconds, sum(sizes) / max(1, len(sizes)) + ROW_BYTES, -(-total // config.shard_size), copied)
