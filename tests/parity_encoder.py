"""An encoder whose opinion of an image depends on its pixels alone, and a real set that it agrees with."""

from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.prompts.classes import as_words


@dataclass
class ParityEncoder:
    """Takes an image for the class whose number is the sum of its pixels, modulo the number of classes.

    A little of the pixels themselves is in the embedding too, so that no two images are the same to it.
    """

    class_names: tuple[str, ...] = ("cat", "dog")
    name: str = "parity"
    fingerprint: str = "aa" * 32
    dimension: int = 64
    logit_scale: float = 10.0
    looked_at: list[int] = field(default_factory=list)

    def guess(self, image: Image.Image) -> int:
        return int(np.asarray(image, np.int64).sum()) % len(self.class_names)

    def images(self, images):
        self.looked_at.append(len(images))
        rows = torch.zeros(len(images), self.dimension)
        for row, image in zip(rows, images, strict=True):
            row[self.guess(image)] = 1.0
            noise = np.asarray(image.convert("L").resize((6, 6)), np.float32).reshape(-1)
            row[-36:] = 0.1 * torch.from_numpy((noise - noise.mean()) / (np.linalg.norm(noise - noise.mean()) + 1e-6))
        return torch.nn.functional.normalize(rows, dim=1)

    def texts(self, texts):
        rows = torch.zeros(len(texts), self.dimension)
        for row, text in zip(rows, texts, strict=True):
            row[next(i for i, name in enumerate(self.class_names) if as_words(name) in text)] = 1.0
        return rows


def picture(seed: int, size_px: int = 16) -> np.ndarray:
    """Noise of its own kind for each seed, coarse enough that a perceptual hash sees it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size_px, size_px), Image.Resampling.BICUBIC))


def image_set(arrays, labels, class_names=("cat", "dog"), name="set") -> ImageSet:
    files = [encode(np.ascontiguousarray(array)) for array in arrays]
    return ImageSet(name, tuple(class_names), np.asarray(labels, np.int64), files.__getitem__)
