"""Architectures by name, ours and timm's: how they are written, what is known of them before they are built."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from synthset.classifiers.stems import cuts_patches
from synthset.core.errors import UnknownNameError


class SmallCNN(nn.Module):
    """A compact residual network for images of 8 to 64 px: about 0.4 M weights, quick on a CPU.

    A 3×3 stem, which halves images from 24 px on, then three residual stages that halve each,
    the mean over positions, dropout and a linear layer.
    """

    def __init__(self, num_classes: int, image_size_px: int, dropout: float = 0.1) -> None:
        super().__init__()
        widths = (24, 48, 96, 128)
        stride = 2 if image_size_px >= 24 else 1
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.Sequential(*map(_ResidualBlock, widths[:-1], widths[1:]))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) -> logits (n, k)."""
        return self.head(self.dropout(self.stages(self.stem(images)).mean((2, 3))))


class _ResidualBlock(nn.Module):
    """Two 3×3 convolutions, the first with stride 2, beside an averaged and projected shortcut."""

    def __init__(self, in_width: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Conv2d(in_width, width, 1, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm2.weight)  # starts as its shortcut, which trains faster

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut_norm(self.shortcut(F.avg_pool2d(x, 2, ceil_mode=True)))
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + shortcut, inplace=True)


@dataclass(frozen=True)
class Architecture:
    """A network by a friendly name, and a line about it.

    Its source is its name in timm, or a function from (number of classes, image size in pixels) to the network.
    """

    source: str | Callable[[int, int], nn.Module]
    summary: str


# Table 3 of Shipard et al. 2023, and small_cnn; weights are counted for 10 classes
ARCHITECTURES = {
    "resnet50": Architecture("resnet50", "ResNet-50, 23.5 M weights"),
    "resnet101": Architecture("resnet101", "ResNet-101, 42.5 M weights"),
    "vit_b": Architecture("vit_base_patch16_224", "ViT-B/16, 85.8 M weights"),
    "mobilenetv3_small": Architecture("mobilenetv3_small_100", "MobileNetV3 small, 1.5 M weights"),
    "convnext_small": Architecture("convnext_small", "ConvNeXt small, 49.5 M weights"),
    "small_cnn": Architecture(SmallCNN, "compact residual network for images of 8 to 64 px, 0.4 M weights"),
}

# Other spellings, without case and separators: the papers', and Shipard's command line
ALIASES = {
    "rs50": "resnet50",
    "rs101": "resnet101",
    "vitb16": "vit_b",
    "vitbase": "vit_b",
    "mbv3": "mobilenetv3_small",
    "mobilenetv3": "mobilenetv3_small",
    "mobilenetv3s": "mobilenetv3_small",
    "convnexts": "convnext_small",
}


@dataclass(frozen=True)
class Outline:
    """What a recipe goes by of an architecture.

    Attributes:
        family: the name of its class, such as ResNet.
        num_weights: of two classes.
        patch_px: side of the patches that a transformer sees for words; None of other networks.
        cuts_patches: whether images are first cut into patches, as ConvNeXt cuts them too.
    """

    family: str
    num_weights: int
    patch_px: int | None
    cuts_patches: bool


@cache
def outline(architecture: str) -> Outline:
    """An architecture as timm has it, without memory for its weights. `architecture` is its one name."""
    source = source_of(architecture)
    with torch.device("meta"):
        model = source(2, 32) if callable(source) else timm.create_model(source, num_classes=2)
    patches = getattr(model, "patch_embed", None)
    patch_px = patches.patch_size[0] if isinstance(model, VisionTransformer) and patches is not None else None
    num_weights = sum(weight.numel() for weight in model.parameters())
    return Outline(type(model).__name__, num_weights, patch_px, cuts_patches(model))


def timm_name(architecture: str) -> str | None:
    """The name that timm has for an architecture; None for one that is ours alone."""
    source = source_of(architecture)
    return None if callable(source) else source


def source_of(architecture: str) -> str | Callable[[int, int], nn.Module]:
    """The source of an architecture by its one name, see `Architecture`."""
    known = ARCHITECTURES.get(architecture)
    return known.source if known else architecture


def split_tag(name: str) -> tuple[str, str]:
    """An architecture's name without the tag of timm's weights that follows it, and that tag.

    >>> split_tag("resnet50.a1_in1k"), split_tag("resnet50")
    (('resnet50', 'a1_in1k'), ('resnet50', ''))
    """
    architecture, _, tag = name.partition(".")
    return architecture, tag


def resolve_architecture(name: str) -> str:
    """The one name of an architecture for any way of writing it: 'ViT-B', 'Vit-B' and 'vit_b' are `vit_b`.

    Raises:
        UnknownNameError: neither one of ours nor a timm model; the message lists ours and close timm names.
    """
    if name in ARCHITECTURES:
        return name
    if timm.is_model(name):
        return split_tag(name)[0]
    key = _key(name)
    known = {_key(ours): ours for ours in ARCHITECTURES} | ALIASES
    if key in known:
        return known[key]
    timm_names = _timm_names()
    if key in timm_names:
        return timm_names[key]
    close = [timm_names[match] for match in get_close_matches(key, timm_names, n=3)]
    raise UnknownNameError(
        "model", name, list(dict.fromkeys([*ARCHITECTURES, *close])), "Any other timm model name works too."
    )


@cache
def _timm_names() -> dict[str, str]:
    return {_key(name): name for name in timm.list_models()}


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
