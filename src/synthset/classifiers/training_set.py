"""What a training learns from: the images in memory, the two sets of rows, what identifies and describes them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from synthset.errors import DataError
from synthset.imageset import ImageSet
from synthset.seeds import derive_seed


@dataclass(frozen=True)
class TrainingSet:
    """All images in one uint8 tensor (n, 3, size, size), their labels (n,), and the two sets of rows."""

    pixels: Tensor
    labels: Tensor
    training_rows: Tensor
    held_back_rows: Tensor

    def to(self, device: torch.device) -> TrainingSet:
        """Everything on the GPU where half of its free memory holds it; else batches are sent one by one."""
        if device.type != "cuda" or self.pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
            return self
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))


def check_images(images: ImageSet) -> None:
    """Raise DataError unless there are two classes, each with an image to train on and one to hold back."""
    if len(images.class_names) < 2:
        raise DataError(f"Expected at least two classes in '{images.name}', got {len(images.class_names)}.")
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    few = [f"{images.class_names[i]} ({counts[i]})" for i in np.flatnonzero(counts < 2)]
    if few:
        named = ", ".join(few[:10]) + (" …" if len(few) > 10 else "")
        raise DataError(
            f"Expected at least two images of each class in '{images.name}', one to train on and one to "
            f"hold back, got fewer of {named}. Create more images."
        )


def hold_back(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into training and held-back ones, class by class, at random from `seed`.

    Of each class `fraction`, at least one image and not all, is held back.
    Returns:
        Two sorted, disjoint int64 arrays that cover 0..n-1.
    """
    generator = np.random.default_rng(derive_seed(seed, "hold back"))
    held_back = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        held_back.append(generator.permutation(rows)[:count])
    chosen = np.sort(np.concatenate(held_back))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def fingerprint(images: ImageSet) -> str:
    """A hash of class names, labels and encoded images, in order: what a training depends on."""
    digest = hashlib.blake2b(json.dumps(images.class_names).encode(), digest_size=16)
    digest.update(np.asarray(images.labels, "<i8").tobytes())
    for index in range(len(images)):
        digest.update(hashlib.blake2b(images.read(index), digest_size=16).digest())
    return digest.hexdigest()


def channel_statistics(
    pixels: Tensor, rows: np.ndarray
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel over the images `rows` of uint8 (n, 3, h, w), in [0, 1]."""
    counts = np.zeros((3, 256), np.int64)  # histograms are exact and need little memory
    for start in range(0, len(rows), 1024):
        chunk = pixels[torch.from_numpy(rows[start : start + 1024])]
        for channel in range(3):
            counts[channel] += np.bincount(chunk[:, channel].flatten().numpy(), minlength=256)
    levels = np.arange(256) / 255
    shares = counts / counts.sum(1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0)).clip(1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())


def split_batches(rows: Tensor, batch_size: int) -> list[Tensor]:
    """Consecutive batches; a last one of a single image joins the one before, as BatchNorm needs two."""
    batches = list(rows.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1 and batch_size > 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
