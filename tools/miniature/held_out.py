"""Draws digits in handwriting fonts that the world never uses: what choices are validated on, not real digits.

    python -m tools.miniature.held_out --output build/miniature/held-out
    synthset eval MODEL --real build/miniature/held-out

Writes an image folder of dark ink on light paper, 32 px or smaller. These hands were drawn by other people than the
world's author, so a classifier that reads them has not merely learned the world's own strokes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from tools.miniature.scenes import DIGIT_NAMES
from tools.miniature.world import IMAGE_PX, fonts

# Cuts and weights of one hand count once: of the Yozvox family, which is one hand, two are kept.
ONE_HAND, ONE_HAND_KEPT = "yoz", ("YOzBSF.ttf", "YOzRS_i.ttf")


def held_out_fonts() -> list[str]:
    """Paths of the held-out fonts, one a hand."""
    return [path for path in fonts(held_out=True) if ONE_HAND not in path.lower() or path.endswith(ONE_HAND_KEPT)]


def write_digit(path: str, digit: int, rng: Generator) -> Image.Image:
    """One digit of one font, at a size, tilt and place of its own."""
    font = ImageFont.truetype(path, 80)
    left, top, right, bottom = font.getbbox(str(digit))
    glyph = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8), 0)
    ImageDraw.Draw(glyph).text((4 - left, 4 - top), str(digit), font=font, fill=255)
    scale = rng.uniform(20, 30) / max(glyph.size)
    size = (max(2, round(glyph.width * scale)), max(2, round(glyph.height * scale)))
    glyph = glyph.resize(size, Image.Resampling.BICUBIC)
    glyph = glyph.rotate(rng.normal(0, 5), Image.Resampling.BICUBIC, expand=True)
    ink = Image.new("L", (IMAGE_PX, IMAGE_PX), 0)
    ink.paste(glyph, ((IMAGE_PX - glyph.width) // 2, (IMAGE_PX - glyph.height) // 2))
    return ink.point(lambda level: 255 - level).convert("RGB")


def write_all(output: Path, each: int, seed: int, size_px: int = IMAGE_PX) -> int:
    """Every digit of every held-out font, `each` times, shrunk to `size_px`; the number of images."""
    rng = np.random.default_rng(seed)
    paths = held_out_fonts()
    for digit, name in enumerate(DIGIT_NAMES):
        folder = output / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(paths):
            for i in range(each):
                picture = write_digit(path, digit, rng).resize((size_px, size_px), Image.Resampling.BOX)
                picture.save(folder / f"{number:02d}-{i}.png")
    return len(paths) * each * len(DIGIT_NAMES)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build/miniature/held-out"))
    parser.add_argument("--each", type=int, default=5, help="images of each digit and font")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--size-px", type=int, default=IMAGE_PX, help="smaller ones are shrunk, as real sets may be")
    args = parser.parse_args()
    count = write_all(args.output, args.each, args.seed, args.size_px)
    print(f"{count:,} images of {len(held_out_fonts())} hands in {args.output}")


if __name__ == "__main__":
    main()
