"""What shortcuts cost and what opt-in diversity gains on the embedded miniature, over seeds.

    python examples/shortcuts_and_diversity.py --seeds 3

One base-prompt dataset by plain sampling and one by each option of `synthset create`: a guidance interval (Kynkäänniemi
et al. 2024), DeepCache (Ma et al. 2023), fewer steps, CADS (Sadat et al. 2024), a number of steps for each image. Of
each: the time of drawing over that of plain sampling, the share of images that the miniature's CLIP recognises,
Centroid Distance, and what a small network trained on it reads of 1,797 real digits.

All settings have the same seeds, so the same images up to what the option changes; they are drawn in turn, so that a
machine whose speed drifts treats them alike. Intervals are Student's over seeds.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import synthset
from synthset.classifiers.scoring import seed_interval
from synthset.encoders.embed import embed_images
from synthset.encoders.templates import TEMPLATES
from synthset.measures.centroids import centroid_distance
from synthset.miniature import DIGITS
from synthset.tuning.zero_shot import zero_shot

STEPS = 20
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "guidance interval 0.2 to 0.8": {"sampling": synthset.SamplingOptions(guidance_interval=(0.2, 0.8))},
    "DeepCache, every 2nd step": {"sampling": synthset.SamplingOptions(cache_interval=2)},
    "DeepCache, every 3rd step": {"sampling": synthset.SamplingOptions(cache_interval=3)},
    "half the steps": {"steps": STEPS // 2},
    "steps 10 to 30, each image its own": {"steps": "10:30"},
    "CADS, noise 0.25": {"sampling": synthset.SamplingOptions(annealing=synthset.ConditionAnnealing())},
    "CADS, noise 1": {"sampling": synthset.SamplingOptions(annealing=synthset.ConditionAnnealing(noise_scale=1.0))},
}
COLUMNS = ("CPU time over plain", "recognised", "Centroid Distance", "accuracy on real digits")


def main() -> None:
    """Draw, judge and train once a seed and setting; print means with intervals over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images-per-class", type=int, default=60)
    parser.add_argument("--guidance-scale", type=float, default=7.5)
    parser.add_argument("--epochs", type=int, help="of each training; the demo's by default")
    parser.add_argument("--output-dir", type=Path, default=Path("shortcuts-and-diversity"))
    args = parser.parse_args()
    results: dict[str, dict[str, list[float]]] = {name: {column: [] for column in COLUMNS} for name in SETTINGS}
    for seed in range(args.seeds):
        seconds = {}
        for name, options in SETTINGS.items():
            folder = args.output_dir / f"seed-{seed}" / name
            seconds[name] = draw(folder / "images", seed, args, options)
            found = judge(folder, seed, args)
            for column, value in zip(COLUMNS, (seconds[name] / seconds["plain"], *found), strict=True):
                results[name][column].append(value)
    (args.output_dir / "results.json").write_text(json.dumps(results, indent=2))
    print("| setting | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (1 + len(COLUMNS)))
    for name, columns in results.items():
        print(f"| {name} | " + " | ".join(mean_and_interval(values) for values in columns.values()) + " |")


def draw(folder: Path, seed: int, args: argparse.Namespace, options: dict[str, Any]) -> float:
    """Draw the dataset anew, for its time; the CPU seconds that it took, beyond loading the model."""
    settings = {"steps": STEPS, "guidance_scale": args.guidance_scale, "seed": 3000 + seed, **options}
    generator = synthset.load_generator(
        "miniature",
        num_inference_steps=max(int(steps) for steps in str(settings["steps"]).split(":")),
        sampling=settings.get("sampling"),
    )
    start = time.process_time()  # other work on the machine does not count
    synthset.create(
        DIGITS, folder, images_per_class=args.images_per_class, generator=generator, overwrite=True, **settings
    )
    return time.process_time() - start


def judge(folder: Path, seed: int, args: argparse.Namespace) -> tuple[float, float, float]:
    """Share that CLIP recognises, mean Centroid Distance, and the accuracy of a network trained on the images."""
    images = synthset.open_dataset(folder / "images").images()
    encoder = synthset.load_encoder("miniature")
    recognised = zero_shot(encoder, DIGITS, TEMPLATES["digits"], images).accuracy
    distances = centroid_distance(embed_images(images, encoder), torch.from_numpy(images.labels))
    options = {"architecture": "small_cnn", "seed": seed} | ({} if args.epochs is None else {"epochs": args.epochs})
    synthset.train(images, folder / "model", overwrite=True, **options)
    return recognised, float(distances.mean()), synthset.evaluate(folder / "model", "digits").accuracy


def mean_and_interval(values: list[float]) -> str:
    """For the table."""
    mean = f"{sum(values) / len(values):.3f}"
    return mean if len(values) == 1 else "{} ({:.3f} to {:.3f})".format(mean, *seed_interval(values))


if __name__ == "__main__":
    main()
