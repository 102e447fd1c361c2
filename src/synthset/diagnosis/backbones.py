"""Backbones for a second Fréchet distance: networks in whose features images are compared, as Inception's are for FID.

Marwood et al. 2023, section 3, recreated their results with Inception embeddings; Heusel et al. 2017 use no others.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from synthset.classifiers.architectures import resolve_architecture, split_tag
from synthset.classifiers.models import Classifier, ModelConfig, load_classifier
from synthset.classifiers.pretrained import IMAGENET, find_start, start_model
from synthset.core.devices import choose_device, seeded
from synthset.core.errors import ModelError, UnknownNameError, UsageError, first_line, setting
from synthset.diagnosis.features import penultimate_features
from synthset.diagnosis.inputs import EmbeddedSet

TIMM, TORCHVISION = "timm:", "torchvision:"
NO_CLASSES = ("none", "other")  # a head is not asked
HALVES = (0.5, 0.5, 0.5)
OWN_SCALE = ("inception_v3", "googlenet")  # torchvision's weights of these expect a mean and std of 0.5


def load_backbone(source: str, device: str = "auto") -> Classifier:
    """A network whose features before the last layer are compared; its head, if it has one, is not.

    Args:
        source: an architecture of timm, with a tag or not, and its weights ('inception_v3.tv_in1k'); with '@FILE' a
            safetensors file of weights for it; 'torchvision:NAME@FILE' for torchvision's names of weights; the folder
            of a classifier of ours.
    Raises:
        UsageError: no such architecture, or one without weights.
        ModelError: weights that are not at hand, damaged, or of another architecture.
    """
    if source.startswith(TORCHVISION):
        name, _, weights = source.removeprefix(TORCHVISION).partition("@")
        return _of_torchvision(name, weights, device)
    if Path(source).is_dir():
        return load_classifier(Path(source), device)
    name, _, weights = source.removeprefix(TIMM).partition("@")
    tag = split_tag(name)[1]
    architecture = resolve_architecture(split_tag(name)[0])
    try:
        start = find_start(weights or IMAGENET, architecture, tag)
    except UsageError as error:
        raise UsageError(
            f"Expected a backbone with published weights, got '{name}' ({first_line(error).split('. ')[0]}). Name "
            f"another, or a file of its weights: {setting('frechet_backbone', f'{name}@FILE.safetensors')}."
        ) from error
    if start.ours is not None:
        return load_classifier(Path(weights), device)
    tensors = start.load()
    config = ModelConfig(architecture, NO_CLASSES, start.size_px, mean=start.mean, std=start.std, seen=start.seen)
    try:
        model = start_model(config, replace(start, load=lambda: tensors), 0)
    except ModelError as error:
        raise ModelError(f"Expected weights of '{name}' in '{weights or start.identity}', got others.") from error
    return Classifier(config, model.to(choose_device(device)).eval())


def add_features(sets: Sequence[EmbeddedSet], backbone: Classifier | None) -> list[EmbeddedSet]:
    """The sets with the features of their images, as they are; themselves without a backbone."""
    if backbone is None:
        return list(sets)
    return [replace(item, features=penultimate_features(backbone, item.source.images)) for item in sets]


class _Headless(nn.Module):
    """A network of torchvision's without its last layer, seen as timm's are."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward_features(self, images: Tensor) -> Tensor:
        return self.model(images)

    def forward_head(self, features: Tensor, *, pre_logits: bool) -> Tensor:
        assert pre_logits
        return features


def _of_torchvision(name: str, weights: str, device: str) -> Classifier:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UnknownNameError("torchvision model", name, known)
    if not weights:
        raise UsageError(
            f"Expected a file of weights for torchvision's '{name}', since its own are pickles, which are not read. "
            f"Give {setting('frechet_backbone', f'{TORCHVISION}{name}@FILE.safetensors')}, or a model of timm, which "
            "has most of these weights too, e.g. inception_v3.tv_in1k."
        )
    with seeded(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on how weights are drawn, which are replaced
        model = models.get_model(name, weights=None, **({"init_weights": False} if name in OWN_SCALE else {}))
    heads = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not heads:
        raise UsageError(f"torchvision's '{name}' has no last layer that its features could be taken from before.")
    model.set_submodule(heads[-1], nn.Identity())
    model.load_state_dict(_fitting(model, Path(weights), heads[-1], name))
    published: Any = models.get_model_weights(name)
    preset = published.DEFAULT.transforms()
    mean, std = (HALVES, HALVES) if name in OWN_SCALE else (tuple(preset.mean), tuple(preset.std))
    config = ModelConfig(name, NO_CLASSES, preset.crop_size[0], mean=mean, std=std)
    return Classifier(config, _Headless(model).to(choose_device(device)).eval())


def _fitting(model: nn.Module, path: Path, head: str, name: str) -> dict[str, Tensor]:
    """The weights in a file but for those of the head. Raises ModelError where they are not the model's."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"Expected weights as safetensors in '{path}', got none ({first_line(error)}).") from error
    tensors = {key: value for key, value in tensors.items() if not key.startswith(f"{head}.")}
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    if {key: value.shape for key, value in tensors.items()} != shapes:
        raise ModelError(f"Expected weights of torchvision's '{name}' in '{path}', got others.")
    return tensors
