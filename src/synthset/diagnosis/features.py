"""Features of images before a trained classifier's last layer, and whether a head learned on real ones reads
synthetic ones.

Shipard et al. 2023 (section 4.2.1) freeze a network, train its head alone on real images, and find that it still
classifies synthetic ones (76.61 % of real images, 63.8 % of synthetic ones, 10 classes): their features are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from synthset.classifiers.architectures import SmallCNN
from synthset.classifiers.models import normalise
from synthset.core.errors import DataError, UsageError
from synthset.measures.checks import check_labels, check_pair
from synthset.measures.geometry import hold_out

if TYPE_CHECKING:
    from synthset.classifiers.models import Classifier
    from synthset.images.imageset import ImageSet


@dataclass(frozen=True)
class HeadTransfer:
    """How a linear head that learned from real features classifies; shares in [0, 1].

    Attributes:
        real_accuracy: of real features that were held out.
        synthetic_accuracy: of synthetic features, none of which it has seen.
        chance: 1 / k, what guessing gives.
    """

    real_accuracy: float
    synthetic_accuracy: float
    chance: float


def penultimate_features(classifier: Classifier, images: ImageSet, batch_size: int = 256) -> Tensor:
    """Features of each image, as the classifier's last layer gets them: float32 (n, d), on the CPU.

    Images are resized and normalised as for an evaluation, and the model is put into evaluation mode. They are
    decoded batch by batch, so that memory does not grow with their number.

    Raises:
        DataError: no images, or unreadable ones.
        UsageError: an architecture that does not tell its head apart; a batch size below 1.
    """
    if len(images) == 0:
        raise DataError(f"Expected images in '{images.name}', found none.")
    if batch_size < 1:
        raise UsageError(f"Expected a batch size of at least 1, got {batch_size}.")
    config, model = classifier.config, classifier.model.eval()
    device = next(model.parameters()).device
    batches = []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = images.select(np.arange(start, min(start + batch_size, len(images))))
            pixels = batch.tensor(config.image_size_px, config.antialias).to(device).float() / 255
            batches.append(_features(model, normalise(pixels, config)).float().cpu())
    return torch.cat(batches).clone()  # an ordinary tensor, not one of inference mode


def tune_head(
    features: Tensor,
    labels: Tensor,
    synthetic_features: Tensor,
    synthetic_labels: Tensor,
    k: int,
    *,
    seed: int = 0,
    held_out: float = 0.25,
) -> HeadTransfer:
    """Train a linear head on frozen real features, and test it on real ones held out and on synthetic ones.

    The head is a multinomial logistic regression on features of zero mean and unit variance (by the real ones that
    it learns from), with scikit-learn's standard penalty.

    Args:
        features: of real images, (n, d), as penultimate_features() gives them; not normalised here.
        labels: int64 (n,), 0..k-1, each class at least twice.
        synthetic_features: of synthetic images from the same network, (m, d).
        synthetic_labels: int64 (m,), 0..k-1, each class at least once.
        k: number of classes, at least 2.
        seed: of the rows held out.
        held_out: share of each class's real features held out, at least one of each, in (0, 1).
    Raises:
        ValueError: fewer than two classes; a class with fewer than two real rows or no synthetic one; two
            dimensions; NaN or infinity; a share outside (0, 1).
    Reference: Shipard et al. 2023, section 4.2.1.
    Example:
        >>> real, labels = torch.tensor([[0.0], [0.1], [0.9], [1.0]]), torch.tensor([0, 0, 1, 1])
        >>> tune_head(real, labels, torch.tensor([[0.2], [0.3], [0.4], [0.8]]), labels, 2)
        HeadTransfer(real_accuracy=1.0, synthetic_accuracy=0.75, chance=0.5)
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if not 0 < held_out < 1:
        raise ValueError(f"Expected a share of held-out features above 0 and below 1, got {held_out}.")
    _check(features, labels, synthetic_features, synthetic_labels, k)
    real, real_labels = features.double().cpu().numpy(), labels.cpu().numpy()
    held = hold_out(real_labels, held_out, np.random.default_rng(seed))
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))
    head.fit(real[~held], real_labels[~held])
    synthetic = synthetic_features.double().cpu().numpy()
    return HeadTransfer(
        real_accuracy=float(head.score(real[held], real_labels[held])),
        synthetic_accuracy=float(head.score(synthetic, synthetic_labels.cpu().numpy())),
        chance=1 / k,
    )


def _check(features: Tensor, labels: Tensor, synthetic_features: Tensor, synthetic_labels: Tensor, k: int) -> None:
    if k < 2:
        raise ValueError(f"Expected at least two classes, got {k}.")
    check_pair(features, synthetic_features, ("features", "synthetic features"))
    check_labels(labels, len(features), k)
    check_labels(synthetic_labels, len(synthetic_features), k, "synthetic labels")
    counts = torch.bincount(labels, minlength=k)
    if counts.min() < 2:
        raise ValueError(
            f"Expected at least two features of each class, one to learn from and one held out, "
            f"got one of class {int(counts.argmin())}."
        )


def _features(model: nn.Module, pixels: Tensor) -> Tensor:
    """Normalised images (n, 3, h, w) to what the last layer gets: (n, d)."""
    if isinstance(model, SmallCNN):
        return model.stages(model.stem(pixels)).mean((2, 3))
    forward_features, forward_head = getattr(model, "forward_features", None), getattr(model, "forward_head", None)
    if forward_features is None or forward_head is None:
        raise UsageError(f"'{type(model).__name__}' does not tell its head apart. Choose another model.")
    return forward_head(forward_features(pixels), pre_logits=True)
