"""The findings of He et al. 2023 on CLIP tuning ("Is synthetic data ready …?") tried on the miniature, over seeds.

    python examples/clip_tuning.py --seeds 3

Zero-shot CLIP against its classifier tuned on synthetic images: by basic prompts (B), by language enhancement (LE),
with the CLIP filter (CF), with hard (CE) and soft targets (SCE): Table 2. Then few real shots, with synthetic images
and without (Figure 1), by real filtering and real guidance (Table 5), in mixed and phase-wise order (Table 7), and with
BatchNorm frozen or not (Table 6).

One half of the real digits is the pool that shots are drawn from; all figures are of the other half, which tuning
never reads. Synthetic images are stored at the 8 pixels of the real ones. The learning rate is an argument: it was
chosen on drawn digits in handwriting fonts that the miniature never saw, shrunk to 8 pixels, not on these.
"""

import argparse
import json
from pathlib import Path

import synthset
from synthset.classifiers.scoring import seed_interval
from synthset.miniature import DIGITS
from synthset.tuning.evaluate import evaluate_on

REAL = "digits"
SHOTS = (1, 2, 4, 8, 16)


def main() -> None:
    """Run once a seed; print a table of means with intervals over seeds, and of differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shots", type=int, nargs="+", default=SHOTS)
    parser.add_argument("--images-per-class", type=int, default=100)
    parser.add_argument("--guided-images-per-class", type=int, default=50)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--learning-rate", type=float, default=5e-2)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--output-dir", type=Path, default=Path("clip-tuning"))
    args = parser.parse_args()
    results: dict[str, list[float]] = {}
    for seed in range(args.seeds):
        for name, value in run_seed(args.output_dir / f"seed-{seed}", seed, args).items():
            results.setdefault(name, []).append(value)
    args.output_dir.joinpath("results.json").write_text(json.dumps(results, indent=2))
    print(f"{'accuracy on the test half of the real digits':46} {'mean':>7}  95 % interval over {args.seeds} seeds")
    for name, values in results.items():
        low, high = seed_interval(values) if len(values) > 1 else (float("nan"), float("nan"))
        print(f"{name:46} {sum(values) / len(values):7.1%}  {low:.1%} to {high:.1%}")


def run_seed(home: Path, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """All settings at one seed, by name."""
    basic = draw(home / "basic", seed, args, strategies=["base"])
    enhanced = draw(home / "enhanced", seed, args, strategies=["language_enhancement"])
    synthset.filter_dataset(enhanced, ["clip"])
    found: dict[str, float] = {}
    for title, folder, all_images in (("B", basic, True), ("LE", enhanced, True), ("LE+CF", enhanced, False)):
        for loss in ("ce", "sce"):
            name = f"{title} {loss.upper()}"
            found["zero-shot CLIP"], found[name] = tune(
                home / name, folder, seed, args, loss=loss, all_images=all_images
            )
    for shots in args.shots:
        found |= few_shot(home / f"{shots}-shot", enhanced, shots, seed, args)
    return found | batch_norm(home / "batch-norm", enhanced, seed, args)


def batch_norm(home: Path, enhanced: Path, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """BatchNorm that keeps its statistics against BatchNorm that follows the batches, on real and synthetic images."""
    sources: dict[str, tuple[Path | None, int]] = {"real alone": (None, max(args.shots)), "LE+CF": (enhanced, 0)}
    return {
        f"BatchNorm {'frozen' if frozen else 'unfrozen'}: {name}": tune(
            home / f"{name} {frozen}", folder, seed, args, shots=shots, freeze_batch_norm=frozen
        )[1]
        for name, (folder, shots) in sources.items()
        for frozen in (True, False)
    }


def few_shot(home: Path, enhanced: Path, shots: int, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Real shots alone, and with synthetic images in each of the paper's ways."""
    guided = draw(
        home / "guided",
        seed,
        args,
        images_per_class=args.guided_images_per_class,
        strategies=["language_enhancement"],
        initial_images=REAL,
        shots=shots,
        shots_seed=seed,
    )
    soft = {"loss": "sce"}
    by_shots = soft | {"use_of_shots": "real_guidance"}
    settings: dict[str, tuple[Path | None, dict[str, str]]] = {
        "real alone": (None, {}),
        "basic (LE+CF), mix": (enhanced, soft),
        "real filtering, mix": (enhanced, soft | {"use_of_shots": "real_filtering"}),
        "real guidance, mix": (guided, by_shots),
        "real guidance, synthetic then real": (guided, by_shots | {"order": "syn_then_real"}),
        "real guidance, real then synthetic": (guided, by_shots | {"order": "real_then_syn"}),
    }
    return {
        f"{shots:2} shots: {name}": tune(home / name, folder, seed, args, shots=shots, **options)[1]
        for name, (folder, options) in settings.items()
    }


def draw(folder: Path, seed: int, args: argparse.Namespace, **options) -> Path:
    """A dataset of the ten digits; drawn once, read afterwards."""
    options.setdefault("images_per_class", args.images_per_class)
    return synthset.create(DIGITS, folder, steps=args.steps, resize_px=8, seed=2000 + seed, **options).dataset.folder


def tune(
    folder: Path, data: Path | None, seed: int, args: argparse.Namespace, *, all_images: bool = False, **options
) -> tuple[float, float]:
    """Accuracy of zero-shot CLIP, and of CLIP tuned, on the test half."""
    steps = {"epochs": args.epochs, "learning_rate": args.learning_rate, "seed": seed}
    synthset.tune(data, folder, real=REAL, all_images=all_images, **steps, **options)
    zero_shot, tuned = evaluate_on(folder, REAL)
    return zero_shot.accuracy, tuned.accuracy


if __name__ == "__main__":
    main()
