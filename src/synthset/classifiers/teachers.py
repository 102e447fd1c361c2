"""Teachers: models whose probabilities a classifier learns beside the labels, for any architecture.

Soft targets of CLIP on synthetic images are those of He et al. 2023, section 3.1 ("soft-target cross-entropy").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthset.classifiers.models import WEIGHTS_FILE, load_classifier
from synthset.core.files import sha256_of
from synthset.images.imageset import ImageSet
from synthset.real.matching import match_names

CLIP = "clip:"  # before the name of a CLIP
BATCH = 1024  # images that a classifier is given decoded


@dataclass(frozen=True, eq=False)
class Teacher:
    """A model that knows the classes.

    Attributes:
        identity: the same for the same model alone, wherever it lies.
        seen: the images that it learned from, in words.
        logits: of each image, float32 (n, k).
    """

    identity: str
    seen: str
    logits: Callable[[ImageSet], Tensor]

    def targets(self, images: ImageSet, share: float, temperature: float) -> Tensor:
        """What is learned of each image in place of its label: float32 (n, k), rows that add up to 1.

        Args:
            share: of the teacher's probabilities; the rest is the label's.
            temperature: that its logits are divided by.
        """
        labels = F.one_hot(torch.from_numpy(np.ascontiguousarray(images.labels)), len(images.class_names))
        return share * (self.logits(images) / temperature).softmax(1) + (1 - share) * labels


def load_teacher(name: str, class_names: Sequence[str], device: str = "auto") -> Teacher:
    """A teacher of these classes.

    Args:
        name: "clip:" and a name that `load_encoder` knows, or the folder of a classifier.
    Raises:
        UsageError: it knows other classes.
        ModelError: it cannot be loaded.
    """
    return _clip(name.removeprefix(CLIP), class_names, device) if name.startswith(CLIP) else _model(name, class_names)


def _clip(name: str, class_names: Sequence[str], device: str) -> Teacher:
    from synthset.encoders.clip import load_encoder
    from synthset.encoders.embed import EmbeddingCache, embed_classes, embed_images

    encoder, cache = load_encoder(name, device=device, dtype="float32"), EmbeddingCache()

    def logits(images: ImageSet) -> Tensor:
        classes = embed_classes(class_names, encoder, cache=cache)
        return encoder.logit_scale * (embed_images(images, encoder, cache) @ classes.T)  # nd, kd -> nk

    return Teacher(encoder.fingerprint, f"those that the CLIP '{name}' learned from", logits)


def _model(folder: str, class_names: Sequence[str]) -> Teacher:
    classifier = load_classifier(folder)
    config = classifier.config
    match = match_names(class_names, config.class_names, folder)
    match.check_complete(folder)
    order = torch.from_numpy(np.argsort(match.index))  # its column of each of our classes

    def logits(images: ImageSet) -> Tensor:
        parts = [
            classifier.predict(images.select(rows).tensor(config.image_size_px, config.antialias))
            for rows in np.array_split(np.arange(len(images)), -(-len(images) // BATCH))
        ]
        return torch.cat(parts)[:, order]

    seen = config.seen or "synthetic images alone"
    return Teacher(sha256_of(Path(folder) / WEIGHTS_FILE), f"{seen}, of the teacher '{folder}'", logits)
