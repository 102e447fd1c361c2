"""Faster R-CNN (Ren et al. 2015) over a backbone of ours, nothing of it frozen.

c4   stages up to the last but one look at the image, the last one at each box of 14 × 14 positions, as He et al. 2016
fpn  a pyramid over the stages, two layers look at each box of 7 × 7 positions, as Lin et al. 2017

torchvision's parts, with what is usual in transfer to VOC: boxes are cut out at their exact places ("aligned"), losses
of boxes are absolute differences over all samples, new layers begin small, a batch norm follows the last stage of c4.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.resnet import ResNet
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork, roi_align
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.poolers import LevelMapper

from synthset.classifiers.architectures import SmallCNN
from synthset.core.errors import UsageError, setting
from synthset.detection.config import DetectConfig

RATIOS = (0.5, 1.0, 2.0)
LEVELS, PYRAMID_WIDTH, BOX_WIDTH = 4, 256, 1024
PROBED_PX = 128  # side of a blank image that shows what the stages make
BOX_POSITIONS = {"c4": 14, "fpn": 7}


def default_form(backbone: nn.Module) -> str:
    """The form of a detector over a backbone, where none is asked for."""
    return "c4" if isinstance(backbone, ResNet | SmallCNN) else "fpn"


def build_detector(
    backbone: nn.Module, architecture: str, num_classes: int, form: str, config: DetectConfig
) -> GeneralizedRCNN:
    """A detector over a backbone without its head; new layers are drawn from torch's global random state.

    Args:
        num_classes: without the background, which is class 0 of the network's own.
        form: a key of FORMS.
        config: its anchors, and its boxes an image.
    Returns:
        As torchvision's: lists of normalised float32 (3, h, w) and, in training, of targets -> losses or detections.
    Raises:
        UsageError: a backbone that the form is not for.
    """
    anchor_sizes_px = config.anchor_sizes_px
    trunk, head, strides, width = (_c4 if form == "c4" else _pyramid)(backbone, architecture)
    if form == "c4":
        anchors = (anchor_sizes_px,)
    elif len(anchor_sizes_px) == len(strides) + 1:
        anchors = tuple((size,) for size in anchor_sizes_px)
    else:
        raise UsageError(
            f"Expected {setting('anchor_sizes_px')} of the {len(strides) + 1} levels that the pyramid over "
            f"'{architecture}' has, got {len(anchor_sizes_px)}. Give one a level."
        )
    generator = AnchorGenerator(anchors, (RATIOS,) * len(anchors))
    rpn = _Proposals(
        generator,
        RPNHead(trunk.out_channels, generator.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 12_000, "testing": 6_000} if form == "c4" else {"training": 2_000, "testing": 1_000},
        post_nms_top_n={"training": 2_000, "testing": 1_000},
        nms_thresh=0.7,
    )
    predictor = FastRCNNPredictor(width, num_classes + 1)
    for layer, std in ((predictor.cls_score, 0.01), (predictor.bbox_pred, 0.001)):
        nn.init.normal_(layer.weight, std=std)
        nn.init.zeros_(layer.bias)
    pool: Any = AlignedPool(strides, BOX_POSITIONS[form])
    heads = _Heads(
        pool,
        head,
        predictor,
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=config.boxes_per_image,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=100,
    )
    return GeneralizedRCNN(trunk, rpn, heads, _Padding(0, 0, [], []))


class AlignedPool(nn.Module):
    """The features of boxes, each cut out at its exact place, from the level that suits its size."""

    def __init__(self, strides: tuple[int, ...], positions: int) -> None:
        super().__init__()
        self.strides, self.positions = strides, positions
        low, high = (round(math.log2(stride)) for stride in (strides[0], strides[-1]))
        self.level_of = LevelMapper(low, high)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor], _sizes: list[tuple[int, int]]) -> Tensor:
        """Features by level and boxes by image -> (boxes, c, positions, positions)."""
        maps = list(features.values())[: len(self.strides)]
        images = torch.cat([one.new_full((len(one), 1), number) for number, one in enumerate(boxes)])
        rows = torch.cat([images, torch.cat(boxes)], 1)

        def cut(level: int, chosen: Tensor) -> Tensor:
            scale = 1 / self.strides[level]
            return roi_align(maps[level], chosen.to(maps[level].dtype), self.positions, scale, 0, aligned=True)

        if len(self.strides) == 1:
            return cut(0, rows)
        levels = self.level_of(boxes)
        found = maps[0].new_zeros(len(rows), maps[0].shape[1], self.positions, self.positions)
        for level in range(len(self.strides)):
            chosen = torch.where(levels == level)[0]
            found[chosen] = cut(level, rows[chosen]).to(found.dtype)
        return found


class _Padding(GeneralizedRCNNTransform):
    """Images of several sizes in one batch; they come normalised and resized."""

    def normalize(self, image: Tensor) -> Tensor:
        return image

    def resize(self, image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        return image, target


class _Proposals(RegionProposalNetwork):
    """Finds boxes that may hold something."""

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Of sampled anchors: cross-entropy, and absolute differences of those with an object."""
        positive, negative = (torch.where(torch.cat(one))[0] for one in self.fg_bg_sampler(labels))
        sampled, samples = torch.cat([positive, negative]), self.fg_bg_sampler.batch_size_per_image * len(labels)
        differences = pred_bbox_deltas[positive].float() - torch.cat(regression_targets)[positive]
        scores = objectness.flatten()[sampled].float()
        entropy = F.binary_cross_entropy_with_logits(scores, torch.cat(labels)[sampled], reduction="sum")
        return entropy / samples, differences.abs().sum() / samples


class _Heads(RoIHeads):
    """Tells what the boxes hold, and where exactly."""

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        labels = wanted = None
        if targets is not None:
            proposals, _, labels, wanted = self.select_training_samples(proposals, targets)
        found = self.box_head(self.box_roi_pool(features, proposals, image_shapes))
        logits, deltas = (one.float() for one in self.box_predictor(found))
        if labels is None or wanted is None:
            boxes, scores, classes = self.postprocess_detections(logits, deltas, proposals, image_shapes)
            rows = zip(boxes, classes, scores, strict=True)
            return [dict(zip(("boxes", "labels", "scores"), row, strict=True)) for row in rows], {}
        return [], dict(zip(("class", "box"), box_losses(logits, deltas, labels, wanted), strict=True))


def box_losses(logits: Tensor, deltas: Tensor, labels: list[Tensor], wanted: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Cross-entropy of sampled boxes (n, k + 1), and absolute differences of those with an object, over all samples.

    Args:
        deltas: (n, 4 (k + 1)), four for each class.
        wanted: (n, 4) in all.
    """
    classes = torch.cat(labels)
    objects = torch.where(classes > 0)[0]
    own = deltas.reshape(len(deltas), -1, 4)[objects, classes[objects]]
    differences = (own - torch.cat(wanted)[objects]).abs().sum()
    return F.cross_entropy(logits, classes), differences / max(1, len(classes))


# ---- backbones as detectors see them ----------------------------------------------------------------------


class _Trunk(nn.Module):
    """Some layers, whose number of channels the detector asks for."""

    def __init__(self, layers: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.layers, self.out_channels = layers, out_channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"0": self.layers(images)}


class _BoxHead(nn.Module):
    """The last stage of a backbone over the features of boxes: (n, c, 14, 14) -> (n, d)."""

    def __init__(self, stage: nn.Module, width: int) -> None:
        super().__init__()
        self.stage, self.norm = stage, nn.BatchNorm2d(width)

    def forward(self, boxes: Tensor) -> Tensor:
        return self.norm(self.stage(boxes)).mean((2, 3))


def _c4(backbone: Any, architecture: str) -> tuple[Any, nn.Module, tuple[int, ...], int]:
    layers: nn.Module
    last: Any
    if isinstance(backbone, ResNet):
        parts: Any = backbone
        first: list[Any] = [backbone.conv1, backbone.bn1, backbone.act1, backbone.maxpool]
        layers, last = nn.Sequential(*first, parts.layer1, parts.layer2, parts.layer3), parts.layer4
    elif isinstance(backbone, SmallCNN):
        layers, last = nn.Sequential(backbone.stem, *list(backbone.stages)[:-1]), backbone.stages[-1]
    else:
        raise UsageError(
            f"Expected a ResNet or small_cnn with {setting('form', 'c4')}, got '{architecture}'. Give "
            f"{setting('form', 'fpn')}."
        )
    with torch.no_grad():
        layers.eval()
        last.eval()
        features = layers(torch.zeros(1, 3, PROBED_PX, PROBED_PX))
        width = last(features).shape[1]
    stride = PROBED_PX // features.shape[-1]
    return _Trunk(layers, features.shape[1]), _BoxHead(last, width), (stride,), width


class _Pyramid(nn.Module):
    """A feature pyramid over the last maps of each resolution."""

    def __init__(self, backbone: nn.Module, indices: list[int], widths: list[int]) -> None:
        super().__init__()
        self.backbone, self.indices, self.out_channels = backbone, indices, PYRAMID_WIDTH
        self.pyramid = FeaturePyramidNetwork(widths, PYRAMID_WIDTH, LastLevelMaxPool())

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = _maps(self.backbone, images)
        return self.pyramid(OrderedDict((str(number), maps[index]) for number, index in enumerate(self.indices)))


def _pyramid(backbone: nn.Module, architecture: str) -> tuple[Any, nn.Module, tuple[int, ...], int]:
    backbone.eval()
    try:
        with torch.no_grad():
            maps = _maps(backbone, torch.zeros(1, 3, PROBED_PX, PROBED_PX))
    except (RuntimeError, AssertionError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(
            f"'{architecture}' does not read images of any size, as a detector must. Choose another architecture."
        ) from error
    last = {one.shape[-1]: index for index, one in enumerate(maps)}  # of each resolution, the finest first
    indices = list(last.values())[-LEVELS:]
    strides = tuple(PROBED_PX // maps[index].shape[-1] for index in indices)
    if len(indices) < 2:
        raise UsageError(
            f"Expected a backbone of several resolutions, '{architecture}' has one. Choose another architecture."
        )
    trunk = _Pyramid(backbone, indices, [maps[index].shape[1] for index in indices])
    return trunk, TwoMLPHead(PYRAMID_WIDTH * BOX_POSITIONS["fpn"] ** 2, BOX_WIDTH), strides, BOX_WIDTH


def _maps(backbone: Any, images: Tensor) -> list[Tensor]:
    """What the stages make of images, one after another."""
    if isinstance(backbone, SmallCNN):
        maps = [backbone.stem(images)]
        for stage in backbone.stages:
            maps.append(stage(maps[-1]))
        return maps
    return backbone.forward_intermediates(images, intermediates_only=True, output_fmt="NCHW")
