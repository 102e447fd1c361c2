"""The network that a pre-training begins with: of any architecture, without its head, from random or given weights."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from synthset.classifiers.backbones import BACKBONE, BackboneConfig
from synthset.classifiers.batch_memory import check_memory
from synthset.classifiers.models import build_model
from synthset.classifiers.pretrained import IMAGENET, Start, find_start, start_model
from synthset.core.devices import choose_device
from synthset.core.errors import UsageError, setting
from synthset.core.seeds import derive_seed
from synthset.pretraining.settings import Settings

NONE = "none"  # random weights, as config files can say it
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as most weights of timm have them


def find_weights(settings: Settings, tag: str) -> Start | None:
    """The weights that are meant; None for random ones.

    Args:
        tag: of timm's weights, in the architecture's name.
    Raises:
        As `find_start` does; UsageError also for weights that are named twice.
    """
    if tag and settings.weights not in (None, IMAGENET):
        named = setting("PretrainConfig.weights", settings.weights)
        raise UsageError(f"Expected weights once, got those of the tag '{tag}' and {named}. Leave one out.")
    wanted = settings.weights or (IMAGENET if tag else None)
    return find_start(wanted, settings.architecture, tag) if wanted not in (None, NONE) else None


def new_backbone(settings: Settings, start: Start | None, num_images: int) -> tuple[nn.Module, BackboneConfig]:
    """The network, on the CPU, and what it will be when it has learned.

    Raises:
        UsageError: a stem that the weights do not fit, or an architecture that makes no features.
        ModelError: weights of another architecture.
    """
    for name in ("small_images", "conv_stem"):
        if start is not None and getattr(settings, name) and not (start.ours and getattr(start.ours, name)):
            raise UsageError(
                f"Expected timm's own stem for {setting('PretrainConfig.weights')}, got {setting(name)}, "
                "whose 3×3 stem has no such weights. Leave one out."
            )
    described = BackboneConfig(
        BACKBONE,
        settings.architecture,
        settings.image_size_px,
        settings.small_images,
        start.mean if start else MEAN,
        start.std if start else STD,
        settings.method,
        0,
        num_images,
        start.seen if start else "",
        settings.conv_stem,
    )
    seed, model = derive_seed(settings.seed, "weights"), described.as_model()
    network = start_model(model, start, seed) if start else build_model(model, seed)
    take_head_off(network)
    if choose_device(settings.device).type == "cpu":
        check_memory(network, settings.batch_size, model.image_size_px, 2 if settings.precision == "bf16" else 4)
    network.eval()
    with torch.no_grad():
        features = network(torch.zeros(1, 3, model.image_size_px, model.image_size_px))
    network.train()
    if features.ndim != 2:
        raise UsageError(f"'{model.architecture}' makes no features of an image. Choose another architecture.")
    return network, replace(described, num_features=features.shape[1])


def take_head_off(network: nn.Module) -> None:
    """Let it give its features (n, d) in place of logits."""
    if hasattr(network, "reset_classifier"):
        network.reset_classifier(0)  # pyright: ignore[reportCallIssue]
    else:
        network.head = nn.Identity()
