"""Memory that runs out at batches of 64 down to 2: halves, no image drawn twice, a clear failure at one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from fault_report import FAKE_MODEL, FaultReport, hashes, report, run_command

import synthset
from synthset.dataset.manifest import Accounting
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.testing import FakeGenerator

SIZES = (32, 16, 8, 4, 2, 1)  # images that fit; one more does not


@dataclass
class SmallMemory(FakeGenerator):
    """Runs out of memory beyond `most` images at once, as torch or as Python says it."""

    preferred_batch_size: int = 64
    most: int = 1
    error: type[Exception] = torch.OutOfMemoryError

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        if len(requests) > self.most:
            raise self.error("out of memory, said the test")
        return super().generate(requests)


def run(count: int) -> list[FaultReport]:
    """The first `count` sizes of memory, and one in which not even a single image fits."""
    total, lost = Accounting(), []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        draw(scratch / "whole", FakeGenerator(preferred_batch_size=64))
        for number, most in enumerate(SIZES[:count]):
            generator = SmallMemory(most=most, error=(torch.OutOfMemoryError, MemoryError)[number % 2])
            total += draw(scratch / f"{most}", generator)
            ids = [request.id for batch in generator.batches for request in batch]
            if sorted(ids) != list(range(len(ids))):
                lost.append(f"with room for {most}, images were drawn twice")
            if hashes(scratch / f"{most}") != hashes(scratch / "whole"):
                lost.append(f"with room for {most}, the images are others")
        words = ("create", "--classes", "cat", *FAKE_MODEL, "--images-per-class", 4, "--outdir", scratch / "none")
        ran = run_command(*words, generator=SmallMemory(most=0))
        if ran.fault(1) or "single image" not in ran.stderr:
            lost.append(f"with room for none: {ran.fault(1) or ran.stderr}")
    return [report("out of memory", len(SIZES[:count]) + 1, total, lost)]


def draw(folder: Path, generator: FakeGenerator) -> Accounting:
    """192 images in batches of 64, as far as they fit."""
    return synthset.create(["cat", "dog"], folder, generator=generator, images_per_class=96).accounting
