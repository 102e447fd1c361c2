"""What the path to a batch costs on a CPU, against one image after another and against no path at all.

    python benchmarks/training.py [--images 4096] [--image-size 32] [--augmentation standard]

Prints one JSON line a ratio. `training_batched_augmentation`: torchvision's transforms of PIL images, one by
one in a DataLoader of this process, take at least 6 × as long as our batches of the same augmentation.
`training_real_data`: an epoch on images that are chosen and augmented takes at most 1.05 × as long as the
same number of steps on one batch that is made beforehand.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from synthset.classifiers.augment import augment
from synthset.classifiers.models import ModelConfig, build_model, normalise
from synthset.classifiers.settings import Settings
from synthset.classifiers.train import train_epoch
from synthset.classifiers.training_set import TrainingSet, split_batches
from timing import median_ratio, report, time_in_turns

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def main() -> int:
    """Measure both ratios; 0 if both hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=4096, help="images of an epoch")
    parser.add_argument("--image-size", type=int, default=32, help="their side in pixels")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--augmentation", choices=("standard", "resized_crop"), default="standard")
    parser.add_argument("--architecture", default="small_cnn", help="of the epochs; any model name")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    arguments = parser.parse_args()
    config = Settings(
        architecture=arguments.architecture,
        epochs=arguments.rounds + 1,
        batch_size=arguments.batch_size,
        optimizer="adamw",
        learning_rate=2e-4,
        weight_decay=0.05,
        normalisation="dataset",
        augmentation=arguments.augmentation,
        image_size_px=arguments.image_size,
        device="cpu",
    )
    model_config = ModelConfig(config.architecture, CLASS_NAMES, arguments.image_size)
    data = make_data(arguments.images, arguments.image_size)
    results = [
        compare_with_pil(data, model_config, config, arguments.rounds),
        compare_with_fixed_batch(data, model_config, config, arguments.rounds),
    ]
    for result in results:
        report(result, arguments.output)
    return 0 if all(result["holds"] for result in results) else 1


def compare_with_pil(data: TrainingSet, model_config: ModelConfig, config: Settings, rounds: int) -> dict[str, object]:
    """Seconds an image until it can be trained on: PIL in a DataLoader, over our batches."""
    loader = make_loader(data, model_config, config)
    draws = torch.Generator().manual_seed(0)
    means: dict[str, list[float]] = {"pil": [], "batches": []}

    def draw_batches(_round_index: int) -> int:
        shuffled = data.training_rows[torch.randperm(len(data.training_rows), generator=draws)]
        for rows in split_batches(shuffled, config.batch_size):
            batch = normalise(augment(data.pixels[rows], config.augmentation, draws), model_config)
            means["batches"].append(batch.mean().item())
        return len(shuffled)

    def draw_singly(_round_index: int) -> int:
        for batch, _labels in loader:
            means["pil"].append(batch.mean().item())
        return len(data.training_rows)

    draw_batches(0)
    next(iter(loader))
    seconds = time_in_turns({"pil": draw_singly, "batches": draw_batches}, rounds)
    ratio = median_ratio(seconds["pil"], seconds["batches"])
    difference = abs(statistics.fmean(means["pil"]) - statistics.fmean(means["batches"]))
    return {
        "name": "training_batched_augmentation",
        "ratio": round(ratio, 3),
        "bar": ">= 6",
        "holds": ratio >= 6 and difference < 0.02,  # the same augmentation has the same mean
        "difference_of_means": round(difference, 4),
        "images_per_second": round(1 / statistics.median(seconds["batches"])),
        "pil_images_per_second": round(1 / statistics.median(seconds["pil"])),
        **conditions(data, config, rounds),
    }


def compare_with_fixed_batch(
    data: TrainingSet, model_config: ModelConfig, config: Settings, rounds: int
) -> dict[str, object]:
    """Seconds an image of training: epochs on all images, over as many steps on one ready batch."""
    model, optimizer = make_model(model_config, config)
    other_model, other_optimizer = make_model(model_config, config)
    labels = data.labels[: config.batch_size]
    batch = normalise(data.pixels[: config.batch_size].float() / 255, model_config)
    num_steps = len(split_batches(data.training_rows, config.batch_size))

    def train_on_all(round_index: int) -> int:
        train_epoch(model, optimizer, data, model_config, config, round_index, lambda _count: None)
        return len(data.training_rows)

    def train_on_one(_round_index: int) -> int:
        other_model.train()
        for _ in range(num_steps):
            loss = F.cross_entropy(other_model(batch), labels)
            other_optimizer.zero_grad(set_to_none=True)
            loss.backward()
            other_optimizer.step()
        return num_steps * config.batch_size

    train_on_all(rounds)
    train_on_one(rounds)
    seconds = time_in_turns({"fixed": train_on_one, "real": train_on_all}, rounds)
    ratio = median_ratio(seconds["real"], seconds["fixed"])
    return {
        "name": "training_real_data",
        "ratio": round(ratio, 3),
        "bar": "<= 1.05",
        "holds": ratio <= 1.05,
        "images_per_second": round(1 / statistics.median(seconds["real"])),
        "fixed_batch_images_per_second": round(1 / statistics.median(seconds["fixed"])),
        "architecture": config.architecture,
        **conditions(data, config, rounds),
    }


def make_data(num_images: int, size_px: int) -> TrainingSet:
    """Smooth random images and labels, all of them to train on."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(num_images, 3, 4, 4, generator=generator)
    pixels = (F.interpolate(coarse, size=(size_px, size_px), mode="bilinear") * 255).byte()
    labels = torch.randint(0, len(CLASS_NAMES), (num_images,), generator=generator)
    return TrainingSet(pixels, labels, torch.arange(num_images), torch.arange(0))


class PilImages(Dataset[tuple[Tensor, int]]):
    """Images as PIL has them once they are read and decoded, which costs this side nothing here."""

    def __init__(self, pixels: np.ndarray, labels: list[int], transform: Callable[[Image.Image], Tensor]) -> None:
        self.images = [Image.fromarray(image) for image in pixels]  # NHWC uint8
        self.labels = labels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def make_loader(data: TrainingSet, model_config: ModelConfig, config: Settings) -> DataLoader[tuple[Tensor, int]]:
    """The usual way to feed a training: a transform of each image, then a batch of them."""
    size = model_config.image_size_px
    crop = {
        "standard": transforms.RandomCrop(size, padding=max(1, round(size / 8))),
        "resized_crop": transforms.RandomResizedCrop(size),
    }[config.augmentation]
    steps = [
        crop,
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(model_config.mean, model_config.std),
    ]
    transform: Callable[[Image.Image], Tensor] = transforms.Compose(steps)
    images = PilImages(data.pixels.permute(0, 2, 3, 1).numpy(), data.labels.tolist(), transform)
    generator = torch.Generator().manual_seed(0)
    return DataLoader(images, config.batch_size, shuffle=True, num_workers=0, generator=generator)


def make_model(model_config: ModelConfig, config: Settings) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model at its start, and the optimizer of the training."""
    model = build_model(model_config)
    weight_decay = config.weight_decay or 0.0
    return model, torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=weight_decay, fused=True)


def conditions(data: TrainingSet, config: Settings, rounds: int) -> dict[str, object]:
    """What a reader needs to judge a figure."""
    return {
        "augmentation": config.augmentation,
        "images": len(data.training_rows),
        "image_size_px": config.image_size_px,
        "batch_size": config.batch_size,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    sys.exit(main())
