"""What it is worth to encode and write one shard while the device draws the next.

    python benchmarks/pipelining.py [--size 512] [--milliseconds 20] [--images 512] [--shard-size 64]

A GPU is stood for by a generator that sleeps, and so leaves the processor to others, as long as a few-step model takes
for an image; its images are photograph-like and stored as they are, as JPEG. Prints one JSON line.
`pipelining`: a whole `create` takes less time with the executor that has the end of a shard behind the next than with
one that does a shard after the other. `over_device` and `over_device_in_turn` are both over the sleep alone.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

import synthset
from synthset.core.progress import set_progress
from synthset.executors import Executor, LocalExecutor
from synthset.executors.base import Item, Result
from synthset.generators.base import GeneratedImage, GenerationConfig, ImageRequest
from timing import Work, median_ratio, report_all, time_in_turns


@dataclass
class SleepingDevice:
    """Draws without the processor.

    Attributes:
        size_px: side of the images.
        seconds_per_image: of sleep.
        preferred_batch_size: images drawn at once.
        seconds: slept so far.
    """

    size_px: int
    seconds_per_image: float
    preferred_batch_size: int = 32
    seconds: float = 0.0
    pixels: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
        smooth = np.asarray(coarse.resize((self.size_px, self.size_px), Image.Resampling.BICUBIC))
        self.pixels = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)

    @property
    def config(self) -> GenerationConfig:
        """As of a model."""
        return GenerationConfig("sleeping", None, "0" * 64, "lcm", 1, self.size_px, self.size_px, "bfloat16")

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """The same image for each request."""
        seconds = self.seconds_per_image * len(requests)
        time.sleep(seconds)
        self.seconds += seconds
        return [GeneratedImage(self.pixels, "ok") for _ in requests]


class InTurn:
    """An executor that ends an item before it begins the next."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `work(item)` for each item."""
        return map(work, items)


def main() -> int:
    """Measure it; 0 if it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of the images in pixels")
    parser.add_argument("--milliseconds", type=float, default=20, help="of the device for an image")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--shard-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a file to add the JSON line to")
    arguments = parser.parse_args()
    set_progress(False)
    return report_all([compare(arguments)], arguments.output)


def compare(arguments: argparse.Namespace) -> dict[str, object]:
    """Seconds of a job: shards overlapping, over shards in turn."""
    device = SleepingDevice(arguments.size, arguments.milliseconds / 1000)
    sides = {"overlapping": run(device, LocalExecutor(), arguments), "in_turn": run(device, InTurn(), arguments)}
    for work in sides.values():
        work(0)
    device.seconds = 0.0
    seconds = time_in_turns(sides, arguments.rounds)
    drawing = device.seconds / (2 * arguments.rounds)
    ratio = median_ratio(seconds["overlapping"], seconds["in_turn"])
    return {
        "name": "pipelining",
        "ratio": round(ratio, 3),
        "bar": "< 1",
        "holds": ratio < 1,
        "over_device": round(statistics.median(seconds["overlapping"]) / drawing, 3),
        "over_device_in_turn": round(statistics.median(seconds["in_turn"]) / drawing, 3),
        "size_px": arguments.size,
        "milliseconds_per_image": arguments.milliseconds,
        "images": arguments.images,
        "shard_size": arguments.shard_size,
        "rounds": arguments.rounds,
    }


def run(device: SleepingDevice, executor: Executor, arguments: argparse.Namespace) -> Work:
    """A whole job into a folder that is then removed, once a round."""

    def work(_round_index: int) -> int:
        folder = Path(tempfile.mkdtemp(prefix="synthset-pipelining-"))
        try:
            synthset.create(
                ["one", "two"],
                folder / "set",
                generator=device,
                executor=executor,
                images_per_class=arguments.images // 2,
                shard_size=arguments.shard_size,
            )
        finally:
            shutil.rmtree(folder)
        return 1

    return work


if __name__ == "__main__":
    sys.exit(main())
