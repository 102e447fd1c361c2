"""What MoCo learns from the miniature's images of digits, seen by a linear probe on real digits, seed by seed.

    python benchmarks/pretraining_learning.py [DATASET …] [--seeds 3] [--epochs 60]

For each seed: a linear probe on the features of random weights, of MoCo, and of MoCo whose keys come from the encoder
that learns (a key momentum of 0). The probe learns from one half of scikit-learn's digits and is tested on the other.
Of one dataset, or one for each seed; by default they are drawn. Prints one JSON line: accuracies, and the mean gain
over random weights with its 95 % interval over the seeds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.stats import t
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import synthset
from synthset.classifiers.backbones import read_backbone
from synthset.classifiers.models import build_model, normalise
from synthset.pretraining.start import take_head_off
from timing import report_all

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digits(size_px: int) -> tuple[Tensor, np.ndarray]:
    """Scikit-learn's: float32 (n, 3, size, size) in [0, 1], and labels."""
    found: Any = load_digits()
    images = torch.from_numpy(found.images).float()[:, None] / 16
    scaled = nn.functional.interpolate(images, (size_px, size_px), mode="bilinear", antialias=True)
    return scaled.expand(-1, 3, -1, -1), found.target


def probe(folder: Path, *, random: bool = False, seed: int = 0) -> float:
    """Accuracy of a linear probe on a backbone, or on random weights of its architecture."""
    config = read_backbone(folder)
    network = build_model(config.as_model(), seed)
    take_head_off(network)
    if not random:
        network.load_state_dict(load_file(folder / "model.safetensors"))
    images, labels = digits(config.image_size_px)
    with torch.inference_mode():
        features = network.eval()(normalise(images, config.as_model())).numpy()
    half = np.random.default_rng(0).permutation(len(labels)) < len(labels) // 2
    scaler = StandardScaler().fit(features[half])
    model = LogisticRegression(C=0.1, max_iter=2000).fit(scaler.transform(features[half]), labels[half])
    return float(model.score(scaler.transform(features[~half]), labels[~half]))


def measure(given: argparse.Namespace) -> dict[str, object]:
    """All seeds."""
    first = f"key momentum {given.key_momenta[0]:g}"
    accuracies: dict[str, list[float]] = {"random": []}
    with tempfile.TemporaryDirectory() as name:
        for seed in range(given.seeds):
            data = given.data[seed % len(given.data)] if given.data else Path(name) / f"set-{seed}"
            if not given.data:
                synthset.create(DIGITS, data, strategies=["all_combined"], images_per_class=200, seed=seed)
            options: dict[str, Any] = {
                "method": "moco",
                "architecture": "small_cnn",
                "epochs": given.epochs,
                "batch_size": 128,
            }
            options |= {"queue_size": 1024, "learning_rate": given.learning_rate, "seed": seed, "device": "cpu"}
            options |= {"smallest_crop": given.smallest_crop}
            for momentum in given.key_momenta:
                kind = f"key momentum {momentum:g}"
                synthset.pretrain(data, Path(name) / f"{kind}-{seed}", **options, key_momentum=momentum)
                accuracies.setdefault(kind, []).append(probe(Path(name) / f"{kind}-{seed}"))
            accuracies["random"].append(probe(Path(name) / f"{first}-{seed}", random=True, seed=seed))
    gains = np.subtract(accuracies[first], accuracies["random"])
    spread = t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
    return {
        "name": "linear probe on real digits, MoCo on the miniature's images by random weights",
        "accuracies": {kind: [round(value, 4) for value in values] for kind, values in accuracies.items()},
        "gain": round(float(gains.mean()), 4),
        "interval": [round(float(gains.mean() + side * spread), 4) for side in (-1, 1)],
        "bar": "lower bound > 0",
        "holds": bool(gains.mean() - spread > 0),
    }


def main() -> int:
    """Measure; 0 if it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, help="[default: as usual for batches of 128]")
    parser.add_argument("--smallest-crop", type=float, default=0.5)
    parser.add_argument("--key-momenta", type=float, nargs="+", default=[0.99, 0.0])
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    return report_all([measure(given)], given.output)


if __name__ == "__main__":
    raise SystemExit(main())
