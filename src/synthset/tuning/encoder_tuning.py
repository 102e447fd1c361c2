"""More than the classifier: the top of the image encoder is tuned along, or its BatchNorm follows the batches.

He et al. 2023, Tables 3 and 6, find that neither helps with synthetic images; this is how to see it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from synthset.core.errors import UsageError
from synthset.core.seeds import derive_seed
from synthset.encoders.clip import Encoder, OpenClipEncoder
from synthset.tuning.config import TuneConfig
from synthset.tuning.coop import PromptHead, prompt_head
from synthset.tuning.features import normalisation, open_clip_encoder
from synthset.tuning.head import random_head

SHARE_TOLERANCE = 1e-9  # 0.3 of 10 is 3


class PixelEncoder(nn.Module):
    """The image tower of a CLIP: float32 pixels (n, 3, h, w) in [0, 1] to unit vectors (n, d)."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.visual = model.visual
        mean, std = normalisation(model)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Unit vectors (n, d)."""
        return F.normalize(self.visual((pixels - self.mean) / self.std).float(), dim=1)


class TunedModel(nn.Module):
    """A classifier over vectors, or over pixels where it has an encoder: logits (n, k)."""

    def __init__(
        self, head: nn.Linear | PromptHead, encoder: PixelEncoder | None = None, *, freeze_batch_norm: bool = True
    ) -> None:
        super().__init__()
        self.head, self.encoder, self._freeze_batch_norm = head, encoder, freeze_batch_norm

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (n, k) of unit vectors (n, d), or of pixels (n, 3, h, w) in [0, 1]."""
        return self.head(inputs if self.encoder is None else self.encoder(inputs))

    def head_tensors(self) -> dict[str, Tensor]:
        """Weight (k, d) and bias (k,) of the classifier, and what else is to be kept of it."""
        return self.head.tensors() if isinstance(self.head, PromptHead) else self.head.state_dict()

    def train(self, mode: bool = True) -> TunedModel:
        """Only BatchNorm ever leaves eval mode, and it too only where it is not frozen."""
        super().train(mode)
        if self.encoder is not None:
            self.encoder.eval()
            if mode and not self._freeze_batch_norm:
                for layer in _batch_norms(self.encoder).values():
                    layer.train()
        return self


def make_model(config: TuneConfig, encoder: Encoder, class_names: Sequence[str], head: nn.Linear) -> TunedModel:
    """The model to tune: with its encoder where images are encoded in each epoch.

    Args:
        head: zero-shot CLIP, which is begun with unless the config asks for another beginning; it stays as it is.
    Raises:
        UsageError: an encoder that cannot be tuned so.
    """
    tower = None
    if config.encodes_each_epoch:
        tower = PixelEncoder(copy.deepcopy(open_clip_encoder(encoder).model))
        if not config.freeze_batch_norm and not _batch_norms(tower):
            raise UsageError(
                f"Expected an encoder with BatchNorm to leave it unfrozen, '{config.clip}' has none. Take a ResNet, "
                "e.g. RN50, or leave BatchNorm frozen."
            )
        unfreeze_top(tower.visual, config.encoder_share)
    own = _begin(config, encoder, class_names, head).requires_grad_(True)
    return TunedModel(own, tower, freeze_batch_norm=config.freeze_batch_norm)


def _begin(config: TuneConfig, encoder: Encoder, class_names: Sequence[str], head: nn.Linear) -> nn.Linear | PromptHead:
    """The classifier to begin with."""
    if config.method == "coop":
        seed, words = derive_seed(config.seed, "context"), config.context_words or ""
        return prompt_head(encoder, class_names, seed, words=words, length=config.context_length)
    if not config.text_initialisation:
        return random_head(head.out_features, head.in_features, derive_seed(config.seed, "head"))
    return copy.deepcopy(head)


def _batch_norms(module: nn.Module) -> dict[str, nn.Module]:
    """All BatchNorm layers within, by name."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, _BatchNorm)}


def unfreeze_top(visual: nn.Module, share: float) -> list[str]:
    """Let gradients reach the top of an image tower, as many whole tensors as stay within `share`.

    The top is what is nearest to the output: of a ResNet the attention pooling, then the last blocks; of a ViT the
    projection, the last norm, then the last blocks.
    Args:
        share: of the tower's parameters, in 0..1; above 0 at least one tensor is tuned.
    Returns:
        Names of the tensors, from the top.
    """
    visual.requires_grad_(False)
    # modules are named in the order of the forward pass; but a ViT's projection, which comes last, is no module
    ordered = list(visual.named_parameters())[::-1]
    ordered.sort(key=lambda item: item[0] != "proj")
    allowed = share * sum(parameter.numel() for _, parameter in ordered) * (1 + SHARE_TOLERANCE)
    names, count = list[str](), 0
    for name, parameter in ordered if share > 0 else ():
        count += parameter.numel()
        if names and count > allowed:
            break
        parameter.requires_grad_(True)
        names.append(name)
    return names


def tuned_share(model: TunedModel, encoder: Encoder) -> float:
    """Share of the parameters of image encoder and classifier that are tuned, in 0..1, as Table 3 counts.

    Args:
        encoder: the CLIP; of one that open_clip did not build, the parameters are not known.
    """
    parameters = list(model.parameters())
    tuned = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    if model.encoder is None and isinstance(encoder, OpenClipEncoder):
        parameters += encoder.model.visual.parameters()
    return tuned / sum(parameter.numel() for parameter in parameters)


def changed_state(encoder: PixelEncoder, *, freeze_batch_norm: bool) -> dict[str, Tensor]:
    """The tensors of the tower that tuning may have changed, by their names in it: parameters and statistics."""
    state = encoder.visual.state_dict()
    names = [name for name, parameter in encoder.visual.named_parameters() if parameter.requires_grad]
    if not freeze_batch_norm:
        kinds = ("running_mean", "running_var", "num_batches_tracked")
        names += [f"{layer}.{kind}" for layer in _batch_norms(encoder.visual) for kind in kinds]
    return {name: state[name] for name in names}
