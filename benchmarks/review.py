"""The page of `synthset review` on a large dataset: seconds to its first screen, and memory of its server.

    python benchmarks/review.py [--images 100000] [--size 64] [--jumps 400]

Images of a fake generator are written as `create` writes them, the command serves them, and a headless Chromium opens
the page and jumps about in it; both are processes of their own. Prints a JSON line each. `review_first_screen`: seconds
from the page's start until every picture in sight is painted, at most 2. `review_memory`: megabytes by which the server
has grown after so many jumps to anywhere, each awaited until its pictures are painted, at most 256.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import synthset
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.testing import FakeGenerator
from timing import not_measured, report_all

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from browser import Browser, find_browser  # pyright: ignore[reportMissingImports]

MOST_SECONDS, MOST_MEGABYTES = 2.0, 256
NUM_CLASSES, NUM_COLOURS = 100, 16
# a promise of the time, since the page began, at which all that is in sight is painted
PAINTED = """new Promise((done) => {
  const look = () => {
    const cells = [...document.querySelectorAll(".cell:not([hidden]) img")];
    if (cells.length && cells.every((picture) => picture.naturalWidth)) done([performance.now() / 1000, cells.length]);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(() => requestAnimationFrame(look));
})"""
JUMP = "(() => {{ const grid = document.querySelector('#grid'); grid.scrollTop = {} * grid.scrollHeight; }})()"


class BlockGenerator(FakeGenerator):
    """Gives every request a few blocks of colours by its seed, which compress as drawn images do."""

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """One image a request, uint8 (size_px, size_px, 3)."""
        return [GeneratedImage(self._blocks(request.seed), "ok") for request in requests]

    def _blocks(self, seed: int) -> np.ndarray:
        blocks = np.random.default_rng(seed % 2**63).integers(0, 256, (NUM_COLOURS, NUM_COLOURS, 3), np.uint8)
        side = -(-self.size_px // NUM_COLOURS)
        return blocks.repeat(side, 0).repeat(side, 1)[: self.size_px, : self.size_px]


def main() -> int:
    """Draw, serve, look; 0 if what was measured holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--jumps", type=int, default=400)
    parser.add_argument("--folder", type=Path, help="where the dataset lies; a temporary folder by default")
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="synthset-review-", dir=arguments.folder) as name:
        return report_all(measure(arguments, Path(name)), arguments.output)


def measure(arguments: argparse.Namespace, scratch: Path) -> Iterator[dict[str, object]]:
    """The two results."""
    names = ("review_first_screen", f"<= {MOST_SECONDS:g}"), ("review_memory", f"<= {MOST_MEGABYTES}")
    if find_browser() is None or not Path("/proc/self/status").exists():
        yield from (not_measured(*name, "it takes Linux and Chromium") for name in names)
        return
    draw(scratch / "set", arguments.images, arguments.size)
    conditions = {"images": arguments.images, "size_px": arguments.size, "load": round(os.getloadavg()[0], 1)}
    with serving(scratch / "set") as (process, address), Browser(scratch / "profile", 1280, 900) as browser:
        before = resident_megabytes(process.pid)
        browser.show_as(1280, 900)
        browser.open(address)
        seconds, pictures = browser.run(PAINTED)
        first = resident_megabytes(process.pid)
        yield result(*names[0], seconds, MOST_SECONDS, pictures=pictures, **conditions)
        places = random.Random(0)
        for _ in range(arguments.jumps):
            browser.run(JUMP.format(places.random()))
            browser.run(PAINTED)
        last = resident_megabytes(process.pid)
        told = {"jumps": arguments.jumps, "at_start": before, "at_first_screen": first, "after_jumps": last}
        yield result(*names[1], last - first, MOST_MEGABYTES, **told, **conditions)


def result(name: str, bar: str, value: float, most: float, **conditions: object) -> dict[str, object]:
    """A JSON line."""
    return {"name": name, "ratio": round(value, 3), "bar": bar, "holds": value <= most, **conditions}


def draw(folder: Path, num_images: int, size_px: int) -> None:
    """A dataset of so many images, of at most a hundred classes."""
    num_classes = min(NUM_CLASSES, num_images)
    synthset.create(
        [f"class {i}" for i in range(num_classes)],
        folder,
        generator=BlockGenerator(size_px, preferred_batch_size=1024),
        strategies=("base",),
        images_per_class=num_images // num_classes,
        shard_size=5_000,
    )


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, in a process of its own, and the address that it says."""
    words = [sys.executable, "-m", "synthset", "review", str(folder), "--no-browser"]
    start = time.monotonic()
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        found = re.search(r"http://\S+", said)
        assert found, f"expected the address of the page, got {said!r}"
        print(f"it answers after {time.monotonic() - start:.1f} s", file=sys.stderr)
        yield process, found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def resident_megabytes(pid: int) -> float:
    """Memory of a process now, as the kernel counts it."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return round(int(found[1]) / 1000, 1)


if __name__ == "__main__":
    sys.exit(main())
