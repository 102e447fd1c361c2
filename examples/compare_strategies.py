"""Compare two strategies on classes of your own: draw both, train on each, test on real images.

    python examples/compare_strategies.py --images-per-class 20 --epochs 3

Uses the embedded miniature, so the classes are digits; name a Stable Diffusion checkpoint with --generator, other
classes with --classes, and a folder of real images with --real, for anything else.
"""

import argparse
from pathlib import Path

import synthset


def main() -> None:
    """Draw once, train once a strategy, print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", nargs="+", default=["zero", "one", "two", "three", "four"])
    parser.add_argument("--strategies", nargs="+", default=["base", "multi_domain@1:5"])
    parser.add_argument("--generator", default="miniature")
    parser.add_argument("--real", help="an image folder with the same classes; without it the images drawn are shown")
    parser.add_argument("--images-per-class", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output-dir", type=Path, default=Path("comparison"))
    args = parser.parse_args()

    made = synthset.create(
        args.classes,
        args.output_dir / "dataset",
        strategies=args.strategies,
        images_per_class=args.images_per_class,
        generator=args.generator,
        steps=args.steps,
    )
    print(f"{made.accounting}; see {made.dataset.folder / 'preview.png'}")
    for strategy in made.dataset.strategies():
        model = args.output_dir / "models" / strategy.replace(":", "_")
        trained = synthset.train(
            made.dataset.images(strategy),
            model,
            architecture="small_cnn",
            epochs=args.epochs,
            learning_rate=2e-3,
            weight_decay=0.05,
            augmentation="digits",
        )
        print(f"{strategy:20} {trained.chosen.held_back_accuracy:6.1%} on held-back synthetic images", end="")
        print(f", {synthset.evaluate(model, args.real).accuracy:.1%} on real ones" if args.real else "")


if __name__ == "__main__":
    main()
