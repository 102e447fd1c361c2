"""What a network makes of images before its last layer: the features that a probe or neighbours go by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthset.classifiers.models import Classifier, ModelConfig
from synthset.classifiers.pretrained import head_of
from synthset.core.errors import ModelError, UsageError
from synthset.images.imageset import ImageSet


def linear_head(network: nn.Module, config: ModelConfig) -> nn.Linear:
    """The last layer. Raises UsageError where it is not one product of features and weights."""
    head = head_of(network)
    if not isinstance(head, nn.Linear) or head.bias is None:
        raise UsageError(f"Expected a linear last layer in '{config.architecture}', found another. Choose finetune.")
    return head


def features_of(network: nn.Module, config: ModelConfig, images: ImageSet) -> Tensor:
    """What the last layer sees of each image: float32 (n, d), on the CPU; nothing in the network learns of them.

    Raises:
        UsageError: a network without a linear last layer.
        DataError: an image that cannot be read.
        ModelError: features that are no numbers.
    """
    rows: list[Tensor] = []

    def keep(_: nn.Module, seen: tuple[Tensor, ...]) -> None:
        rows.append(seen[0].float().cpu())

    handle = linear_head(network, config).register_forward_pre_hook(keep)
    try:
        classifier = Classifier(config, network)
        for _, pixels in images.blocks(config.image_size_px, config.antialias):
            classifier.predict(pixels)
    finally:
        handle.remove()
    features = torch.cat(rows).clone()
    if features.ndim != 2 or not features.isfinite().all():
        raise ModelError(f"Expected a row of finite features of each image from '{config.architecture}', got others.")
    return features
