"""Interpolated embeddings of real images (Shipard et al. 2023, section 4.2.2) tried on the miniature, over seeds.

    python examples/image_interpolation.py --seeds 3

Sixty real digits of each class are embedded by CLIP. Images are drawn from mixtures of three of them, or of all
sixty; beside them stand the base prompt, and the sixty real digits themselves. A small network is trained on each
and tested on the half of the real digits that the sixty were not taken from; the network that was trained on the sixty
themselves says how many of the drawn images show their digit. The paper reports 52.6 % for three and
35.01 % for all, on CIFAR-10 by a ResNet-50.

Every seed has real digits, images, networks and orders of its own; intervals are Student's over seeds.
"""

import argparse
import json
from pathlib import Path

import synthset
from synthset.classifiers.scoring import seed_interval
from synthset.demo import STEPS
from synthset.miniature import DIGITS
from synthset.real import few_shot, load_real, split
from synthset.real.learning import few_shot_pool

TITLES = {"interpolate_three": "three at a time", "interpolate_all": "all", "base": "base prompt"}
REAL = "the real digits themselves"


def main() -> None:
    """Run once a seed; print means with intervals over seeds, and how far three are ahead of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shots", type=int, default=60, help="real digits of each class")
    parser.add_argument("--images-per-class", type=int, default=60)
    parser.add_argument("--guidance-scale", default="7.5")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--epochs", type=int, help="of each training; the demo's by default")
    parser.add_argument("--generator", default="miniature")
    parser.add_argument("--output-dir", type=Path, default=Path("image-interpolation"))
    args = parser.parse_args()
    results: dict[str, list[float]] = {}
    for seed in range(args.seeds):
        for name, value in run_seed(args.output_dir / f"seed-{seed}", seed, args).items():
            results.setdefault(name, []).append(value)
    args.output_dir.joinpath("results.json").write_text(json.dumps(results, indent=2))
    print(f"{'':60} {'mean':>8}  95 % interval over {args.seeds} seeds")
    for name, values in results.items():
        low, high = seed_interval(values) if len(values) > 1 else (float("nan"), float("nan"))
        print(f"{name:60} {sum(values) / len(values):8.4f}  {low:.4f} to {high:.4f}")


def run_seed(home: Path, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Of each set, at one seed: accuracy on real digits, how well a network of real digits reads it, its diversity."""
    pool, tested = few_shot_pool("digits"), split(load_real("digits"), 0.5, seed=0)[1]
    draw = {"images_per_class": args.images_per_class, "guidance_scale": args.guidance_scale, "steps": args.steps}
    draw |= {"generator": args.generator, "seed": 1000 + seed}
    mixed = synthset.create(
        DIGITS,
        home / "mixed",
        strategies=["interpolate_three", "interpolate_all"],
        initial_images="digits",
        shots=args.shots,
        shots_seed=seed,
        **draw,
    )
    prompted = synthset.create(DIGITS, home / "prompted", strategies=["base"], **draw)
    real = few_shot(pool, args.shots, seed)
    sets = {TITLES[name]: made.dataset.images(name) for made in (mixed, prompted) for name in made.dataset.strategies()}
    found = {
        f"{title}: accuracy on real digits": train_and_test(images, tested, home / "models" / title, seed, args)
        for title, images in (sets | {REAL: real}).items()
    }
    for title, images in sets.items():
        read = synthset.evaluate(home / "models" / REAL, images, output_dir=home / "read" / title)
        found[f"{title}: read right by the network of real digits"] = read.accuracy
    folders = [mixed.dataset.folder, prompted.dataset.folder]
    options = {"real": real, "encoder": "miniature", "by_strategy": True, "seed": seed, "tsne_images": 0}
    diagnosis = synthset.diagnose(folders, home / "diagnosis", **options)
    for row in diagnosis.summary:
        found[f"{TITLES.get(row.set.rpartition('/')[2], REAL)}: Centroid Distance"] = row.centroid_distance
    for measure in ("accuracy on real digits", "Centroid Distance"):
        three, everything = (found[f"{TITLES[name]}: {measure}"] for name in ("interpolate_three", "interpolate_all"))
        found[f"three minus all: {measure}"] = three - everything
    return found


def train_and_test(
    images: synthset.ImageSet, tested: synthset.ImageSet, folder: Path, seed: int, args: argparse.Namespace
) -> float:
    """Accuracy on `tested` of a small network trained on `images` by the demo's recipe."""
    options = {} if args.epochs is None else {"epochs": args.epochs}
    synthset.train(images, folder, architecture="small_cnn", seed=seed, **options)
    return synthset.evaluate(folder, tested).accuracy


if __name__ == "__main__":
    main()
