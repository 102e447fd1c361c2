"""Does the world teach reading? Trains the demo's classifier on drawn pictures and reads the held-out hands.

    python -m tools.miniature.held_out
    python -m tools.miniature.check_world --images 30000 --epochs 4

This is how the world's hands were judged while they were written: never on the digits test set. The generator that
is trained on the world can hardly teach more than the world itself does.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import synthset
from synthset.classifiers.config import TrainConfig
from synthset.classifiers.train import train_classifier
from synthset.images.decoding import encode
from tools.miniature.scenes import DIGIT_NAMES


def world_images(folder: Path, count: int) -> synthset.ImageSet:
    """The first `count` pictures of a drawn world."""
    pixels = np.load(folder / "images.npy", mmap_mode="r")[:count]
    labels = np.load(folder / "digits.npy")[:count].astype(np.int64)
    return synthset.ImageSet("world", DIGIT_NAMES, labels, lambda i: encode(np.asarray(pixels[i])))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path, default=Path("build/miniature/world"))
    parser.add_argument("--held-out", type=Path, default=Path("build/miniature/held-out"))
    parser.add_argument("--images", type=int, default=30_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    config = TrainConfig(architecture="small_cnn", seed=args.seed, epochs=args.epochs)
    with tempfile.TemporaryDirectory() as folder:
        train_classifier(world_images(args.world, args.images), config, folder)
        result = synthset.evaluate(folder, args.held_out)
    print(
        f"{result.accuracy:.1%} of {result.n:,} held-out pictures (95 % interval {result.low:.1%} to {result.high:.1%})"
    )
    for name, accuracy in zip(result.class_names, result.per_class_accuracy, strict=True):
        print(f"  {name:6} {accuracy:.1%}" if accuracy is not None else f"  {name:6} none")


if __name__ == "__main__":
    main()
