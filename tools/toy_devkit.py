"""A small detection set in Pascal VOC's layout, drawn from a seed: one to four digits on a canvas with noise.

    python -m tools.toy_devkit VOCdevkit --train 400 --test 200

Digits are scikit-learn's, 16 to 24 px wide on 64 px; those of the test are others than those of the training. About one
of eight is difficult: it is faint. The set is for tests and for trying `synthset detect` without a download.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CANVAS_PX, SIDES_PX, MOST, TRIES = 64, (16, 25), 4, 50
DIFFICULT_SHARE = 1 / 8


def write_toy_devkit(devkit: Path, num_train: int, num_test: int, *, seed: int = 0, num_classes: int = 10) -> Path:
    """Write VOC2007 with the sets trainval and test into a folder, and give the folder."""
    found: Any = load_digits()
    digits, labels = found.data, found.target
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(labels < num_classes))
    halves = {"trainval": rows[: len(rows) // 2], "test": rows[len(rows) // 2 :]}
    for split, count in (("trainval", num_train), ("test", num_test)):
        rng = np.random.default_rng([seed, split == "test"])
        names = [f"{split}{number:05}" for number in range(count)]
        for name in names:
            _write_image(devkit / "VOC2007", name, digits, labels, halves[split], rng)
        _write(devkit / "VOC2007" / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{name}\n" for name in names))
    return devkit


def _write_image(
    folder: Path, name: str, digits: np.ndarray, labels: np.ndarray, rows: np.ndarray, rng: np.random.Generator
) -> None:
    canvas = rng.integers(0, 60, (CANVAS_PX, CANVAS_PX, 3)).astype(np.float32)
    taken, objects = np.zeros((CANVAS_PX, CANVAS_PX), bool), []
    for row in rng.choice(rows, rng.integers(1, MOST + 1), replace=False).tolist():
        side, colour = int(rng.integers(*SIDES_PX)), rng.uniform(0.5, 1, 3)
        is_difficult = rng.random() < DIFFICULT_SHARE
        place = _place(taken, side, rng)
        if place is None:
            continue
        x, y = place
        ink = Image.fromarray((digits[row].reshape(8, 8) * 15.9).astype(np.uint8)).resize((side, side))
        share = np.asarray(ink, np.float32)[:, :, None] / 255 * (0.2 if is_difficult else 1)
        canvas[y : y + side, x : x + side] *= 1 - share
        canvas[y : y + side, x : x + side] += 255 * share * colour
        taken[y : y + side, x : x + side] = True
        left, top, right, bottom = _around(np.asarray(ink) > 64)
        box = (x + left + 1, y + top + 1, x + right, y + bottom)  # VOC counts from 1, the last pixel included
        objects.append(_object(NAMES[int(labels[row])], box, is_difficult))
    path = folder / "JPEGImages" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).save(path)
    size = f"<size><width>{CANVAS_PX}</width><height>{CANVAS_PX}</height><depth>3</depth></size>"
    text = f"<annotation><filename>{name}.png</filename>{size}{''.join(objects)}</annotation>\n"
    _write(folder / "Annotations" / f"{name}.xml", text)


def _place(taken: np.ndarray, side: int, rng: np.random.Generator) -> tuple[int, int] | None:
    """A free square of the canvas; None where none was found."""
    for x, y in rng.integers(0, CANVAS_PX - side + 1, (TRIES, 2)).tolist():
        if not taken[y : y + side, x : x + side].any():
            return x, y
    return None


def _around(ink: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _object(name: str, box: tuple[int, int, int, int], is_difficult: bool) -> str:
    edges = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><difficult>{int(is_difficult)}</difficult><bndbox>{edges}</bndbox></object>"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Write the set that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("devkit", type=Path)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(write_toy_devkit(given.devkit, given.train, given.test, seed=given.seed))


if __name__ == "__main__":
    main()
