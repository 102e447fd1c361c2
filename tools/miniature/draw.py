"""Draws the training world: pictures, captions and digits, in parallel and the same for the same seed.

    python -m tools.miniature.draw --images 180000 --seed 1

Writes images.npy (n, 32, 32, 3) uint8, captions.json (n strings) and digits.npy (n,) int8 into
build/miniature/world/, and 6,000 held-back rows of the same kind into build/miniature/world/validation/.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from tools.miniature.captions import say
from tools.miniature.world import IMAGE_PX, paint

CHUNK = 2000
Chunk = tuple[np.ndarray, list[str], np.ndarray]


def draw_chunk(seed: tuple[int, int], size: int = CHUNK) -> Chunk:
    """`size` pictures from the generator that `seed` names."""
    rng = np.random.default_rng(seed)
    images = np.empty((size, IMAGE_PX, IMAGE_PX, 3), np.uint8)
    captions, digits = [], np.empty(size, np.int8)
    for i in range(size):
        caption, scene = say(rng)
        images[i], digits[i] = paint(scene, rng), scene.digit
        captions.append(caption)
    return images, captions, digits


def draw_world(folder: Path, num_images: int, seed: int) -> None:
    """Draws `num_images` (rounded up to whole chunks) into `folder`."""
    chunks = -(-num_images // CHUNK)
    drawn: list[Chunk] = []
    with ProcessPoolExecutor() as pool:
        for chunk in pool.map(draw_chunk, [(seed, i) for i in range(chunks)]):
            drawn.append(chunk)
            print(f"\rdrawn {len(drawn) * CHUNK:,} of {chunks * CHUNK:,}", end="", file=sys.stderr)
    print(file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", np.concatenate([images for images, _, _ in drawn]))
    np.save(folder / "digits.npy", np.concatenate([digits for _, _, digits in drawn]))
    (folder / "captions.json").write_text(json.dumps([line for _, captions, _ in drawn for line in captions]))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build/miniature/world"))
    parser.add_argument("--images", type=int, default=180_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw_world(args.output / "validation", 6000, args.seed + 1_000_000)
    draw_world(args.output, args.images, args.seed)


if __name__ == "__main__":
    main()
