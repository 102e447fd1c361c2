"""A tiny tuning problem: bars on noise (see tests/bars.py), seen by an encoder that knows them a little."""

from pathlib import Path

import numpy as np
import torch

from bars import NAMES, make_set
from synthset.images.imageset import ImageSet
from synthset.testing import FakeEncoder
from tiny_clip import save_clip

PROMPTS = {f"a photo of a {name}.": label for label, name in enumerate(NAMES)}


class BarsEncoder(FakeEncoder):
    """Its vectors are brightness profiles on which random directions lie; texts point near their classes."""

    def images(self, images):
        rows = []
        for image in images:
            pixels = np.asarray(image.convert("L"), np.float32) / 255
            rows.append(np.concatenate([pixels.mean(0), pixels.mean(1)])[: self.dimension] - 0.2)
        self.batches.append(len(images))
        return torch.nn.functional.normalize(torch.from_numpy(np.stack(rows)), dim=1)

    def texts(self, texts):
        ideal = torch.zeros(3, 16)
        ideal[0, :2], ideal[1, 6:8], ideal[2, 8:10] = 1.0, 1.0, 1.0
        noise = torch.randn(3, 16, generator=torch.Generator().manual_seed(6))
        vectors = torch.nn.functional.normalize(ideal + 1.2 * noise, dim=1)
        return torch.stack([vectors[PROMPTS[text]] for text in texts])


def encoder(name: str = "bars") -> BarsEncoder:
    return BarsEncoder(dimension=16, name=name, logit_scale=10.0)


def synthetic(count: int = 20, seed: int = 0) -> ImageSet:
    return make_set((count,) * 3, seed=seed)


def real(count: int = 12, seed: int = 9) -> ImageSet:
    images = make_set((count,) * 3, seed=seed)
    return ImageSet("real-bars", images.class_names, images.labels, images.read)


def resnet(folder: Path, seed: int = 0) -> Path:
    """A random RN50-like CLIP as a folder, with BatchNorm."""
    return save_clip(folder, seed=seed)
