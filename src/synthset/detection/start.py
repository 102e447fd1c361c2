"""The network that a detector begins with: a backbone of `pretrain`, a classifier, weights as published, or none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from synthset.classifiers.architectures import resolve_architecture, split_tag
from synthset.classifiers.backbones import BACKBONE, read_backbone
from synthset.classifiers.models import CONFIG_FILE, ModelConfig, build_model, kind_of, read_config
from synthset.classifiers.pretrained import Start, find_start, start_model
from synthset.core.errors import UsageError, setting
from synthset.core.seeds import derive_seed
from synthset.detection.config import DetectConfig
from synthset.pretraining.start import MEAN, STD, take_head_off

RANDOM = "random"
USUAL_ARCHITECTURE = "resnet50"
BUILT_PX = 224  # side that a backbone is built for, where its weights name none
_NAMES = ("one", "other")  # of the head that is taken off


@dataclass(frozen=True, eq=False)
class Beginning:
    """Where a detector begins; nothing of it is loaded yet.

    Attributes:
        model: the network, as a classifier of ours; it says how images are normalised.
        start: its weights; None for random ones.
        folder: of the model, where its weights come from one of ours.
    """

    model: ModelConfig
    start: Start | None = None
    folder: Path | None = None


def find_beginning(model: str, config: DetectConfig) -> Beginning:
    """The network that a name means.

    Args:
        model: "random", "imagenet", a folder of a backbone or a classifier of ours, or a .safetensors file.
    Raises:
        UsageError: another architecture than that of the folder, or a stem that weights do not fit.
        ModelError: no model there.
    """
    named, tag = split_tag(config.architecture) if config.architecture else (_architecture_of(model), "")
    architecture = resolve_architecture(named)
    if model == RANDOM:
        if tag:
            raise UsageError(f"Expected an architecture with random weights, got the tag '{tag}'. Leave it out.")
        small = config.small_images
        return Beginning(ModelConfig(architecture, _NAMES, BUILT_PX, small, mean=MEAN, std=STD))
    start = find_start(model, architecture, tag)
    if start.ours is not None:
        if config.small_images and not start.ours.small_images:
            raise UsageError(
                f"Expected the stem that '{model}' was trained with, got {setting('small_images')}. Leave it out."
            )
        return Beginning(start.ours, start, Path(model).expanduser())
    if config.small_images:
        raise UsageError(
            f"Expected timm's own stem for '{model}', got {setting('small_images')}, whose 3×3 stem has no such "
            "weights. Leave it out."
        )
    return Beginning(ModelConfig(architecture, _NAMES, start.size_px, mean=start.mean, std=start.std), start)


def load_backbone(beginning: Beginning, seed: int) -> nn.Module:
    """The network without its head. Raises ModelError for weights that do not fit."""
    drawn, start = derive_seed(seed, "weights"), beginning.start
    network = start_model(beginning.model, start, drawn) if start else build_model(beginning.model, drawn)
    take_head_off(network)
    return network


def _architecture_of(model: str) -> str:
    folder = Path(model).expanduser()
    if not (folder / CONFIG_FILE).is_file():
        return USUAL_ARCHITECTURE
    if kind_of(folder) == BACKBONE:
        return read_backbone(folder).architecture
    return read_config(folder).architecture
