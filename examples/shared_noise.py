"""What pairing by shared noise is worth on the embedded miniature: how much less a difference varies over seeds.

    python examples/shared_noise.py

One dataset a seed, with the base prompt and the class prompt on the same noise. Of each image: its brightness, and the
cosine of its CLIP embedding to the text of its class. The difference of the two prompts is taken between images on the
same noise, and between those of two seeds, as if each had noise of its own.
"""

import argparse
from pathlib import Path

import numpy as np

import synthset
from synthset.encoders.embed import embed_images
from synthset.miniature import DIGITS

STRATEGIES = ("base", "class_prompt")
MEASURES = ("brightness, of 255", "cosine to the text of its class")


def main() -> None:
    """Draw, measure, and print for each measure the spread of the mean difference, paired and not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--images-per-class", type=int, default=20)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--output-dir", type=Path, default=Path("shared-noise"))
    args = parser.parse_args()
    values = np.stack([measure(args, seed) for seed in range(args.seeds)])  # (seed, strategy, class, number, measure)
    print("| measure | correlation within classes | mean difference | its spread on the same noise | on other noise |")
    print("|---|---|---|---|---|")
    for name, (base, other) in zip(MEASURES, values.transpose(4, 1, 0, 2, 3), strict=True):
        own = (of_class(base), of_class(other))
        correlation = np.corrcoef(own[0].ravel(), own[1].ravel())[0, 1]
        paired = (other - base).mean((1, 2)).std(ddof=1)
        turns = [(np.roll(other, turn, 0) - base).mean((1, 2)).std(ddof=1) for turn in range(1, args.seeds)]
        print(f"| {name} | {correlation:.2f} | {(other - base).mean():.4f} | {paired:.4f} | {np.mean(turns):.4f} |")


def of_class(values: np.ndarray) -> np.ndarray:
    """Values (seed, class, number) without the mean of their class."""
    return values - values.mean((0, 2), keepdims=True)


def measure(args: argparse.Namespace, seed: int) -> np.ndarray:
    """The measures of a seed's images, (strategy, class, number, measure)."""
    options = {
        "strategies": STRATEGIES,
        "images_per_class": args.images_per_class,
        "steps": args.steps,
        "resize_px": 32,
    }
    made = synthset.create(DIGITS, args.output_dir / f"seed-{seed}", seed=seed, shared_noise=True, **options)
    images, encoder = made.dataset.images(), synthset.load_encoder("miniature")
    texts = encoder.texts([f"an image of a {name}" for name in DIGITS])
    cosines = (embed_images(images, encoder) @ texts.T).numpy()
    values = np.empty((len(STRATEGIES), len(DIGITS), args.images_per_class, len(MEASURES)))
    for row, request in enumerate(made.dataset.requests()):
        brightness = np.asarray(images.image(row), float).mean()
        place = STRATEGIES.index(request.strategy), request.class_index, request.index
        values[place] = brightness, cosines[row, request.class_index]
    return values


if __name__ == "__main__":
    main()
