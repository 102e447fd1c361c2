"""Copies of real images among the synthetic ones are found: exact ones, JPEGs, and cropped ones.

The real images are patches of the photographs that come with scikit-learn. What is not found is reported as recall;
an exact copy must never be missed, and where there is no copy the filter says "none found", never "none".
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from fault_report import FaultReport, environment, run_command
from PIL import Image

import synthset
from synthset.dataset.export import export
from synthset.dataset.reader import open_dataset
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.images.decoding import decode, encode
from synthset.images.imageset import ImageSet
from synthset.testing import FakeGenerator

SIDE_PX = 64
ORIGINALS = 20  # synthetic images that are no copies


@dataclass
class PlantingGenerator(FakeGenerator):
    """Draws given pixels first, and noise after them."""

    planted: Sequence[np.ndarray] = field(default_factory=list)
    size_px: int = SIDE_PX

    def __init__(self, planted: Sequence[np.ndarray]) -> None:
        super().__init__(size_px=SIDE_PX)
        self.planted = planted

    def _draw(self, request: ImageRequest) -> GeneratedImage:
        if request.id < len(self.planted):
            return GeneratedImage(self.planted[request.id], "ok")
        return super()._draw(request)


@dataclass(frozen=True)
class Verdict:
    """What the filter said of each image, and the command on stdout."""

    keep: np.ndarray
    reasons: list[str]
    stdout: str


def run(each: int) -> list[FaultReport]:
    """So many exact, JPEG and cropped copies, and a set without any."""
    lost = []
    with tempfile.TemporaryDirectory() as name, environment(SYNTHSET_CACHE=f"{name}/cache"):
        scratch = Path(name)
        real = patches()[: 3 * each]
        jpegs, crops = map(as_jpeg, real[each : 2 * each]), map(cropped, real[2 * each :])
        (scratch / "planted").mkdir()
        verdict = plant(scratch / "planted", PlantingGenerator([*real[:each], *jpegs, *crops]), real)
        found = (~verdict.keep[: 3 * each]).reshape(3, each).sum(1).tolist()
        if found[0] != each:
            lost.append(f"{each - found[0]} exact copies were not found")
        if not verdict.keep[3 * each :].all():
            lost.append("an image that is no copy was taken for one")
        (scratch / "clean").mkdir()
        clean = plant(scratch / "clean", PlantingGenerator([]), real)
        if "none found" not in clean.stdout or set(clean.reasons) != {"no near copy found"}:
            lost.append(f"without copies it says {clean.stdout!r}, {set(clean.reasons)}")
    counts = ", ".join(f"{n}/{each} {kind}" for n, kind in zip(found, ("exact", "JPEG", "cropped"), strict=True))
    planted, note = 3 * each, f"found {counts}"
    missed = planted - sum(found)
    return [FaultReport("copies of real images", planted, planted, missed, 0, sum(found), tuple(lost), note)]


def plant(scratch: Path, generator: PlantingGenerator, real: Sequence[np.ndarray]) -> Verdict:
    """Judge a dataset of what the generator draws, against the real images, by the command line."""
    total = len(generator.planted) + ORIGINALS
    synthset.create(
        ["cat"], scratch / "set", generator=generator, images_per_class=total, image_format="png", shard_size=512
    )
    files = [encode(pixels) for pixels in real]
    export(ImageSet("real", ("cat",), np.zeros(len(files), np.int64), files.__getitem__), scratch / "real")
    line = ("filter", scratch / "set", "--method", "duplicates", "--encoder", "miniature", "--real", scratch / "real")
    ran = run_command(*line)
    if fault := ran.fault(0):
        raise AssertionError(fault)
    verdicts = open_dataset(scratch / "set").verdicts()["duplicates"]
    return Verdict(np.asarray(verdicts.keep), verdicts.table.column("reason").to_pylist(), ran.stdout)


@cache
def patches() -> tuple[np.ndarray, ...]:
    """Patches of photographs, uint8 (64, 64, 3), those with the most in them first."""
    from sklearn.datasets import load_sample_images

    grid = [
        photograph[y : y + SIDE_PX, x : x + SIDE_PX]
        for photograph in load_sample_images().images
        for y in range(0, photograph.shape[0] - SIDE_PX, SIDE_PX)
        for x in range(0, photograph.shape[1] - SIDE_PX, SIDE_PX)
    ]
    return tuple(sorted(grid, key=lambda patch: -float(patch.std())))


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    """What is left of it after a JPEG of middling quality."""
    return np.asarray(decode(encode(pixels, "jpeg", 60)))


def cropped(pixels: np.ndarray) -> np.ndarray:
    """Without a margin of two pixels in 64, at its old size."""
    inner = Image.fromarray(pixels[2:-2, 2:-2])
    return np.asarray(inner.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))
