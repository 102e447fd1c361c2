"""How fast a job is on a CPU, against one process for each class and guidance scale.

    python benchmarks/per_process.py [--images-per-pair 10] [--steps 20]

Prints one JSON line. `generation_per_process`: a process for each pair of a class and a scale, as the script of
Shipard et al. 2023 starts them, takes at least 10 × as long an image as one `synthset create` of all pairs; both are
timed from the start of the process to its end. The peer is one_pair.py, with diffusers' pipeline. It spends most of
a process on imports and weights, so the ratio falls with the images of a pair: `bar_up_to_images_per_pair` says up to
how many it would hold, `drawing_ratio` what would remain with endless ones, both computed from the same medians.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from synthset.miniature import FOLDER as MINIATURE_FOLDER
from timing import median_ratio, report_all, time_in_turns

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NUM_SCALES = 5  # whole numbers 1..5, one a process; ours draws each image's from the range
PEER = Path(__file__).with_name("one_pair.py")
BAR = 10


def main() -> int:
    """Measure it; 0 if it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--generator", default="miniature", help="'miniature' or a checkpoint's folder")
    parser.add_argument("--images-per-pair", type=int, default=10, help="images of a class at one scale")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a file to add the JSON line to")
    arguments = parser.parse_args()
    result = compare_with_processes(
        arguments.generator, arguments.images_per_pair, arguments.steps, max(1, arguments.rounds)
    )
    return report_all([result], arguments.output)


def compare_with_processes(generator: str, images_per_pair: int, steps: int, rounds: int) -> dict[str, object]:
    """Seconds an image: a process a pair, of which a round has one, over one process for all pairs."""
    images_per_class = images_per_pair * NUM_SCALES
    folder = str(MINIATURE_FOLDER) if generator == "miniature" else generator
    drawing: dict[str, list[float]] = {"pairs": [], "ours": []}  # seconds an image, once all is loaded

    def draw_pair(round_index: int) -> int:
        name = CLASS_NAMES[round_index % len(CLASS_NAMES)]
        prompt = f"an image of {'an' if name == 'eight' else 'a'} {name}"
        scale = 1 + round_index % NUM_SCALES
        with tempfile.TemporaryDirectory(prefix="synthset-pair-") as output:
            printed = run(str(PEER), folder, prompt, str(scale), str(images_per_pair), str(steps), output)
        drawing["pairs"].append(json.loads(printed.splitlines()[-1])["drawing_seconds"] / images_per_pair)
        return images_per_pair

    def draw_all(_round_index: int) -> int:
        with tempfile.TemporaryDirectory(prefix="synthset-job-") as output:
            drawing["ours"].append(create(Path(output), generator, images_per_class, steps))
        return images_per_class * len(CLASS_NAMES)

    draw_pair(0)  # so that the files are in the system's cache for both
    drawing["pairs"].clear()
    seconds = time_in_turns({"pairs": draw_pair, "ours": draw_all}, rounds)
    ratio = median_ratio(seconds["pairs"], seconds["ours"])
    pair, ours = statistics.median(seconds["pairs"]), statistics.median(seconds["ours"])
    pair_drawing, our_drawing = statistics.median(drawing["pairs"]), statistics.median(drawing["ours"])
    return {
        "name": "generation_per_process",
        "ratio": round(ratio, 3),
        "bar": f">= {BAR}",
        "holds": ratio >= BAR,
        "images_per_pair": images_per_pair,
        "bar_up_to_images_per_pair": largest_pair(
            (pair - pair_drawing) * images_per_pair,
            pair_drawing,
            (ours - our_drawing) * images_per_class * len(CLASS_NAMES),
            our_drawing,
        ),
        "drawing_ratio": round(pair_drawing / our_drawing, 3),
        "seconds_per_image": round(ours, 5),
        "pair_seconds_per_image": round(pair, 5),
        "pair_start_seconds": round((pair - pair_drawing) * images_per_pair, 2),
        "pair_drawing_seconds_per_image": round(pair_drawing, 5),
        "pairs": len(CLASS_NAMES) * NUM_SCALES,
        "model": generator,
        "steps": steps,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
    }


def create(output: Path, generator: str, images_per_class: int, steps: int) -> float:
    """Run `synthset create` for all pairs; seconds an image without imports and weights.

    The plan is the first file, written once the model is loaded, the card the last.
    """
    options = {
        "--strategy": "random_guidance",
        "--images-per-class": str(images_per_class),
        "--steps": str(steps),
        "--generator": generator,
        "--max-failures": "1",
        "--output-dir": str(output / "set"),
    }
    flags = [text for option in options.items() for text in option]
    run("-m", "synthset.cli", "create", "--quiet", "--classes", *CLASS_NAMES, *flags)
    begun, ended = (output / "set" / name for name in ("plan.parquet", "README.md"))
    return (ended.stat().st_mtime - begun.stat().st_mtime) / (images_per_class * len(CLASS_NAMES))


def largest_pair(pair_start: float, pair_drawing: float, our_start: float, our_drawing: float) -> int | None:
    """How many images n of a pair leave the ratio at its bar; None where any do.

    With p pairs: (start + n drawing) / n = BAR (our start + p n our drawing) / (p n), solved for n.
    """
    gained = pair_start - BAR * our_start / (len(CLASS_NAMES) * NUM_SCALES)
    lost = BAR * our_drawing - pair_drawing
    return None if lost <= 0 else math.floor(max(0.0, gained) / lost)


def run(*arguments: str) -> str:
    """What a Python process prints; raises CalledProcessError where it fails."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
