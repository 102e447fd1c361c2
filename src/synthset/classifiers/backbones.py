"""Backbones: networks without a head, as a pre-training leaves them in a folder.

The folder is one of weights to begin with, for `train`, `transfer` and `detect`: model.safetensors, with the names of
the architecture, and config.json, which says how images are normalised for it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from torch import nn

from synthset.classifiers.models import BACKBONE as BACKBONE
from synthset.classifiers.models import CONFIG_FILE, ModelConfig, plain_state, write_model
from synthset.core.errors import ModelError
from synthset.core.json_records import LATER, Count, read_record
from synthset.core.options import Option

_NAMES = ("one", "other")  # of the head that every architecture is built with, and that is taken off


@dataclass(frozen=True)
class BackboneConfig:
    """What a backbone depends on beside its weights.

    Attributes:
        architecture: its one name.
        image_size_px: side of the images that it learned from.
        small_images: a finer stem, see ModelConfig.
        mean, std: of each channel, in [0, 1].
        method: a key of METHODS.
        num_features: numbers that it makes of an image.
        num_images: that it learned from.
        seen: images that it learned from before, in words.
        conv_stem: a stem of convolutions, see ModelConfig.
    """

    kind: Literal["backbone"]
    architecture: str
    image_size_px: Annotated[int, Option(at_least=1)]
    small_images: bool
    mean: Annotated[tuple[float, float, float], Option(at_least=0, at_most=1)]
    std: Annotated[tuple[float, float, float], Option(above=0)]
    method: str
    num_features: Count
    num_images: Count
    seen: str = ""
    conv_stem: bool = field(default=False, metadata=LATER)

    def as_model(self, class_names: tuple[str, ...] = _NAMES) -> ModelConfig:
        """The config of a classifier that sees images as the backbone does."""
        return ModelConfig(
            self.architecture,
            class_names,
            self.image_size_px,
            self.small_images,
            normalisation="dataset",
            mean=self.mean,
            std=self.std,
            seen=self.seen,
            conv_stem=self.conv_stem,
        )


def save_backbone(folder: Path, backbone: nn.Module, config: BackboneConfig) -> None:
    """Write its weights, then config.json, by which the folder is complete."""
    write_model(folder, plain_state(backbone), asdict(config))


def read_backbone(folder: Path) -> BackboneConfig:
    """The config of the backbone in a folder. Raises ModelError if there is none, or it is damaged."""
    try:
        return read_record(BackboneConfig, folder / CONFIG_FILE, "Run 'synthset pretrain' again.", ModelError)
    except FileNotFoundError as error:
        raise ModelError(f"Expected a backbone in '{folder}', found none. Run 'synthset pretrain' first.") from error
