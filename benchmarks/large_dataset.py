"""A large dataset through every stage after drawing: processor time and memory of each, at two sizes.

    python benchmarks/large_dataset.py [--sizes 50000x2500 200000x10000]

A size is images × classes. The images are 8 × 8 pixels of a fake generator, a pattern of the class with noise, written
as `create` writes them; a fourth as many, of other seeds, are tested on and compared with. Each stage is its command in
a process of its own, whose peak memory the system counts; the encoder is a CLIP of random weights, and filters find its
vectors where the diagnosis left them. Prints one JSON line: from one size to the next, neither
seconds nor memory of a stage may grow by more than 1.5 × the factor by which the images do.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file

import synthset
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.testing import FakeGenerator
from timing import report

MOST = 1.5  # times the factor of the sizes
TEST_SHARE = 4  # one image of the test for so many of the training
SIZE_PX, LEVELS = 8, 64
# by name, the command; {set}, {test} and {out} are folders
STAGES = {
    "train": "train {set} --model small_cnn --image-size 8 --epochs 1 --batch-size 512 --output-dir {out}/model",
    "eval": "eval {out}/model --real {test}",
    "diagnose": "diagnose {set} --real {test} --evaluations {out}/model --encoder {clip} --cache {out}/cache "
    "--output-dir {out}/why",
    "report": "report {out}/why",
    "filter": "filter {set} --method clip duplicates --encoder {clip} --cache {out}/cache",
    "export": "export {set} --all-images --output-dir {out}/files",
}
# a CLIP of random weights, which tells images apart and takes little time
CLIP = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


# a small process between this one and the command: the memory of a child counts from that of its parent on
COUNTED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=sys.stderr)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


class PatternGenerator(FakeGenerator):
    """Gives every request the pattern of its prompt, with noise of its seed."""

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """One image a request, uint8 (size_px, size_px, 3)."""
        return [GeneratedImage(self._pattern(request), "ok") for request in requests]

    def _pattern(self, request: ImageRequest) -> np.ndarray:
        shape = (self.size_px, self.size_px, 3)
        pattern = np.random.default_rng(zlib.crc32(request.prompt.encode())).integers(0, 256 - LEVELS, shape, np.uint8)
        return pattern + np.random.default_rng(request.seed % 2**63).integers(0, LEVELS, shape, np.uint8)


@dataclass(frozen=True)
class Cost:
    """Of a stage: seconds of the processors, and megabytes of memory at the peak."""

    seconds: float
    megabytes: float


def main() -> int:
    """Run every stage at each size; 0 if none grows faster than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["50000x2500", "200000x10000"], help="images x classes")
    parser.add_argument("--folder", type=Path, help="where the datasets lie; a temporary folder by default")
    parser.add_argument("--output", type=Path, help="a file to add the JSON line to")
    arguments = parser.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in arguments.sizes]
    costs = []
    for images, classes in sizes:
        folder = Path(tempfile.mkdtemp(prefix="synthset-large-", dir=arguments.folder))
        try:
            costs.append(dict(measure(images, classes, folder)))
        finally:
            shutil.rmtree(folder)
    result = compare(sizes, costs)
    report(result, arguments.output)
    return 0 if result["holds"] else 1


def measure(num_images: int, num_classes: int, folder: Path) -> Iterator[tuple[str, Cost]]:
    """What each stage costs."""
    places = {"set": folder / "set", "test": folder / "test", "out": folder, "clip": save_clip(folder / "clip")}
    for name, share in (("set", 1), ("test", TEST_SHARE)):
        draw(places[name], num_classes, max(2, num_images // num_classes // share), seed=share)
    for name, words in STAGES.items():
        cost = run(words.format(**places).split(), folder / f"{name}.log")
        shown = f"{cost.seconds:8.1f} s {cost.megabytes:8.0f} MB"
        print(f"{num_images:>9,} x {num_classes:,}  {name:9}{shown}", flush=True)
        yield name, cost


def draw(folder: Path, num_classes: int, images_per_class: int, seed: int) -> None:
    """A dataset of patterns."""
    synthset.create(
        [f"class {i}" for i in range(num_classes)],
        folder,
        generator=PatternGenerator(SIZE_PX, preferred_batch_size=1024),
        strategies=("base",),
        images_per_class=images_per_class,
        shard_size=10_000,
        seed=seed,
    )


def save_clip(folder: Path) -> Path:
    """CLIP as open_clip keeps it in a folder."""
    folder.mkdir()
    torch.manual_seed(0)
    weights = open_clip.CLIP(**CLIP).state_dict()  # pyright: ignore[reportArgumentType]
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "open_clip_model.safetensors")
    preprocessing = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    note = {"model_cfg": CLIP, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(note))
    return folder


def run(words: Sequence[str], log: Path) -> Cost:
    """What a command costs. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "synthset", *words, "--quiet"]
    with log.open("w") as file:
        done = subprocess.run([sys.executable, "-c", COUNTED, *command], stdout=subprocess.PIPE, stderr=file, text=True)
    code, seconds, kilobytes = done.stdout.split()
    if int(code):
        print(log.read_text(errors="replace")[-2000:], file=sys.stderr)
        raise subprocess.CalledProcessError(int(code), command)
    return Cost(float(seconds), int(kilobytes) / 1000)


def compare(sizes: Sequence[Sequence[int]], costs: Sequence[dict[str, Cost]]) -> dict[str, object]:
    """The JSON line: the largest growth of any stage, relative to that of the images."""
    factor = sizes[-1][0] / sizes[0][0]
    growth = {
        name: {
            "seconds": [round(cost[name].seconds, 1) for cost in costs],
            "megabytes": [round(cost[name].megabytes) for cost in costs],
            "growth": round(costs[-1][name].seconds / costs[0][name].seconds, 2),
            "growth_of_memory": round(costs[-1][name].megabytes / costs[0][name].megabytes, 2),
        }
        for name in STAGES
    }
    worst = max(max(of["growth"], of["growth_of_memory"]) for of in growth.values()) / factor
    return {
        "name": "large_dataset",
        "ratio": round(worst, 3),
        "bar": f"<= {MOST}",
        "holds": worst <= MOST,
        "sizes": [f"{images}x{classes}" for images, classes in sizes],
        "stages": growth,
    }


if __name__ == "__main__":
    sys.exit(main())
