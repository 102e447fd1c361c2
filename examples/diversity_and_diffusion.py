"""Three findings of Marwood et al. 2023 ("Diversity and Diffusion") tried on the embedded miniature, over seeds.

    python examples/diversity_and_diffusion.py --seeds 3

1. Diversity: Centroid Distance rises from guidance 7.5 to 2.5 to prompt augmentation (Figure 5), and what a classifier
   trained on each reads of 1,797 real digits (Tables 1 and 2).
2. Ambiguity: of ten classes nine are clarified by a phrase and one keeps its bare name; does the ranking find it?
3. Filter: bare class names, all images against those that the CLIP filter keeps (He et al. 2023, section 3.1).

Every seed has images, networks and orders of its own; intervals are Student's over seeds.
"""

import argparse
from pathlib import Path

import pyarrow.parquet as pq

import synthset
from synthset.classifiers.scoring import seed_interval
from synthset.demo import STEPS
from synthset.miniature import DIGITS

SETS = {"base": "guidance 7.5", "base@2.5": "guidance 2.5", "prompt_augmentation": "prompt augmentation"}


def main() -> None:
    """Run each experiment once a seed, and print a table each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images-per-class", type=int, default=100)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--epochs", type=int, help="of each training; the demo's by default")
    parser.add_argument("--output-dir", type=Path, default=Path("diversity-and-diffusion"))
    args = parser.parse_args()
    results: dict[str, list[float]] = {}
    for seed in range(args.seeds):
        home = args.output_dir / f"seed-{seed}"
        found = (
            measure_diversity(home, seed, args) | rank_the_bare_name(home, seed, args) | filter_images(home, seed, args)
        )
        for name, value in found.items():
            results.setdefault(name, []).append(value)
    print(f"{'':58} {'mean':>10}  95 % interval over {args.seeds} seeds")
    for name, values in results.items():
        low, high = seed_interval(values) if len(values) > 1 else (float("nan"), float("nan"))
        print(f"{name:58} {sum(values) / len(values):10.4f}  {low:.4f} to {high:.4f}")


def measure_diversity(home: Path, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Centroid Distance and real accuracy of the three sets, the split of their errors, and the separating plane."""
    made = draw(home / "sets", seed, args, strategies=list(SETS))
    result = synthset.diagnose(made.dataset.folder, home / "diagnosis", real="digits", by_strategy=True, seed=seed)
    found = {}
    for row in result.summary:
        title = SETS.get(row.set.partition("/")[2], "real digits")
        found[f"{title}: Centroid Distance"] = row.centroid_distance
        if row.kind == "synthetic":
            assert row.diversity_error is not None
            assert row.shift_error is not None
            found[f"{title}: error of diversity"] = row.diversity_error
            found[f"{title}: error of centroid shift"] = row.shift_error
    for strategy, title in SETS.items():
        images = made.dataset.images(strategy)
        found[f"{title}: accuracy on real digits"] = train_and_test(images, home / "models" / title, seed, args)
    return found


def rank_the_bare_name(home: Path, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """The rank, 1 to 10, of a class with a bare name among nine that say "the digit …"; 1 is worst recognised."""
    bare = DIGITS[(3 * seed + 5) % 10]  # five, eight, one, four, …
    phrases = {name: f"the digit {name}" for name in DIGITS if name != bare}
    style = synthset.PromptStyle(phrases=phrases)
    made = draw(home / f"bare-{bare}", seed, args, strategies=["class_prompt"], style=style)
    synthset.diagnose(made.dataset.folder, home / "ambiguity", seed=seed, tsne_images=0)
    ranking = pq.read_table(home / "ambiguity" / "ambiguity.parquet").to_pylist()
    row = next(row for row in ranking if row["class_name"] == bare)
    others = [row["accuracy"] for row in ranking if row["class_name"] != bare]
    return {
        "rank of the class with the bare name (of 10)": row["rank"],
        "its images recognised": row["accuracy"],
        "images of the clarified classes recognised": sum(others) / len(others),
    }


def filter_images(home: Path, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Real accuracy by all images of bare class names, and by those that the CLIP filter keeps."""
    made = draw(home / "bare", seed, args, strategies=["class_prompt"])
    everything = train_and_test(made.dataset.images(kept=False), home / "models" / "all", seed, args)
    result = synthset.filter_dataset(made.dataset.folder, ["clip"])
    kept = train_and_test(made.dataset.images(), home / "models" / "kept", seed, args)
    return {
        "bare names: share kept by the CLIP filter": float(result.keep.mean()),
        "bare names, all images: accuracy on real digits": everything,
        "bare names, kept images: accuracy on real digits": kept,
        "bare names: kept minus all": kept - everything,
    }


def draw(folder: Path, seed: int, args: argparse.Namespace, **options) -> synthset.CreateResult:
    """A dataset of the ten digits; drawn once, read afterwards."""
    return synthset.create(
        DIGITS, folder, images_per_class=args.images_per_class, steps=args.steps, seed=1000 + seed, **options
    )


def train_and_test(images: synthset.ImageSet, folder: Path, seed: int, args: argparse.Namespace) -> float:
    """Accuracy on real digits of a small network trained on `images` by the demo's recipe."""
    options = {} if args.epochs is None else {"epochs": args.epochs}
    synthset.train(images, folder, architecture="small_cnn", seed=seed, **options)
    return synthset.evaluate(folder, "digits").accuracy


if __name__ == "__main__":
    main()
