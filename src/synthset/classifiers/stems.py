"""First layers of timm's networks in the forms that small images are worth: finer, or of convolutions.

Both are for networks with random weights; published weights are for the stem that timm gives an architecture.
"""

from __future__ import annotations

import math
from itertools import pairwise

from timm.layers import PatchEmbed
from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from synthset.core.errors import UsageError, setting

FINE_POSITIONS, FEW_POSITIONS = 8, 4  # a side, that a transformer sees of small images


def cuts_patches(model: nn.Module) -> bool:
    """Whether a network of timm first cuts images into patches, one linear map for all."""
    return _patches_of(model) is not None


def choose_patch_px(architecture: str, usual_px: int, image_size_px: int, *, is_fine: bool, is_conv: bool) -> int:
    """Side of a transformer's patches, or stride of the convolutions in their place.

    Args:
        usual_px: side of its patches as timm has it.
        is_fine: see `refine`.
        is_conv: see `convolve`.
    Raises:
        UsageError: an image size that has no such patches.
    """
    if is_conv:
        return _choose_stride(architecture, usual_px, image_size_px, FINE_POSITIONS if is_fine else FEW_POSITIONS)
    if not is_fine:
        return usual_px
    if image_size_px % FINE_POSITIONS:
        raise UsageError(
            f"Expected {setting('image_size_px')} as a multiple of {FINE_POSITIONS} px with {setting('small_images')} "
            f"and '{architecture}', got {image_size_px}."
        )
    return image_size_px // FINE_POSITIONS


def _choose_stride(architecture: str, most: int, image_size_px: int, least_positions: int) -> int:
    """The largest power of two that leaves whole positions, that many a side or more, and is not above `most`."""
    stride = 1
    while 2 * stride <= min(most, image_size_px // least_positions) and image_size_px % (2 * stride) == 0:
        stride *= 2
    if stride == 1:
        raise UsageError(
            f"Expected {setting('image_size_px')} as a multiple of {2 * least_positions} px with "
            f"{setting('conv_stem')} and '{architecture}', whose convolutions halve images, got {image_size_px}."
        )
    return stride


def refine(model: nn.Module, architecture: str) -> None:
    """Let the first layers keep more positions, as small images have few.

    Raises:
        UsageError: an architecture that has no such form.
    """
    if isinstance(model, ResNet):  # stride 4 -> 1; timm's other stems have several layers
        model.conv1 = nn.Conv2d(3, len(model.bn1.get_parameter("weight")), 3, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        model.maxpool = nn.Identity()
    elif isinstance(model, ConvNeXt) and isinstance(patches := model.stem[0], nn.Conv2d):  # stride 4 -> 2
        finer = nn.Conv2d(3, patches.out_channels, kernel_size=2, stride=2)
        nn.init.trunc_normal_(finer.weight, std=0.02)
        nn.init.constant_(finer.get_parameter("bias"), 0)
        model.stem[0] = finer
    elif isinstance(model, MobileNetV3 | EfficientNet):  # stride 32 -> 8
        strided = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
        for convolution in strided[:2]:
            convolution.stride = (1, 1)
    elif not isinstance(model, VisionTransformer):  # whose patch size is set when it is built
        raise UsageError(
            f"'{architecture}' has no form for small images; ResNet, ConvNeXt, MobileNetV3, EfficientNet and ViT "
            f"models have. Leave {setting('small_images')} out, or choose one of these."
        )


def convolve(model: nn.Module, architecture: str) -> None:
    """Put 3×3 convolutions of stride 2 in the place of the map of patches, with as many positions (Xiao et al. 2021).

    Each but the last has half the next one's channels; BatchNorm and ReLU follow each, and a 1×1 convolution all.
    Raises:
        UsageError: an architecture that does not cut images into patches.
    """
    patches = _patches_of(model)
    if patches is None:
        raise UsageError(
            f"'{architecture}' cuts no images into patches, as ViT and ConvNeXt do, whose patches a stem of "
            f"convolutions takes the place of. Leave {setting('conv_stem')} out, or choose one of these."
        )
    width, count = patches.out_channels, round(math.log2(patches.stride[0]))
    widths = [3, *(width // 2 ** (count - at) for at in range(1, count + 1))]
    layers: list[nn.Module] = []
    for in_width, out_width in pairwise(widths):
        convolution = nn.Conv2d(in_width, out_width, 3, stride=2, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(out_width), nn.ReLU(inplace=True)]
    stem = nn.Sequential(*layers, nn.Conv2d(width, width, 1))
    if isinstance(model, ConvNeXt):
        model.stem[0] = stem
    else:
        model.get_submodule("patch_embed").proj = stem


def _patches_of(model: nn.Module) -> nn.Conv2d | None:
    """The layer that is a map of patches."""
    if isinstance(model, VisionTransformer) and type(model.patch_embed) is PatchEmbed:
        return model.patch_embed.get_submodule("proj")  # pyright: ignore[reportReturnType]
    first = model.stem[0] if isinstance(model, ConvNeXt) else None
    return first if isinstance(first, nn.Conv2d) and first.kernel_size == first.stride else None
